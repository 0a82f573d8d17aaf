"""A twin of a few small templates in two regions, without databases: it starts in seconds.

Each region has a service of two tasks behind a load balancer, a function, an alarm that sends a
mail, and a bucket that is copied to the other region.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.running_twin import RunningTwin, running_twin
from tests.support.templates import StackFile, resource, write_assembly

REGIONS = ("us-east-1", "us-east-2")
SERVER = (
    "require('http').createServer((asked, answer) => answer.end('well')).listen(3000, '0.0.0.0')"
)
HANDLER = "def handler(event, context):\n    return event\n"


def assembly(folder: Path) -> Path:
    """Write the templates and return their folder."""
    return write_assembly(
        folder,
        *(StackFile(_stack(region), id=f"App-{region}", region=region) for region in REGIONS),
    )


def _stack(region: str) -> dict[str, Any]:
    return {**_network(region), **_service(), **_events(region)}


def _network(region: str) -> dict[str, Any]:
    rule = {"IpProtocol": "tcp", "CidrIp": "0.0.0.0/0"}
    return {
        "Vpc": resource("AWS::EC2::VPC", CidrBlock="10.0.0.0/16"),
        **{
            f"Subnet{zone}": resource(
                "AWS::EC2::Subnet",
                VpcId={"Ref": "Vpc"},
                CidrBlock=f"10.0.{number}.0/24",
                AvailabilityZone=f"{region}{zone}",
            )
            for number, zone in enumerate("ab")
        },
        "Group": resource(
            "AWS::EC2::SecurityGroup",
            GroupDescription="everything",
            VpcId={"Ref": "Vpc"},
            SecurityGroupIngress=[{**rule, "FromPort": 0, "ToPort": 65_535}],
            SecurityGroupEgress=[{"IpProtocol": "-1", "CidrIp": "0.0.0.0/0"}],
        ),
    }


def _service() -> dict[str, Any]:
    subnets = [{"Ref": "Subneta"}, {"Ref": "Subnetb"}]
    groups = [{"Fn::GetAtt": ["Group", "GroupId"]}]
    forward = {"Type": "forward", "TargetGroupArn": {"Ref": "Targets"}}
    return {
        "Cluster": resource("AWS::ECS::Cluster", ClusterName="shop"),
        "Task": resource(
            "AWS::ECS::TaskDefinition",
            Family="shop",
            Cpu="256",
            Memory="512",
            NetworkMode="awsvpc",
            RequiresCompatibilities=["FARGATE"],
            ContainerDefinitions=[
                {
                    "Name": "web",
                    "Image": "node:20-alpine",
                    "Essential": True,
                    "Command": ["sh", "-c", f'node -e "{SERVER}"'],
                    "PortMappings": [{"ContainerPort": 3000}],
                }
            ],
        ),
        "Service": resource(
            "AWS::ECS::Service",
            ServiceName="shop",
            Cluster={"Ref": "Cluster"},
            TaskDefinition={"Ref": "Task"},
            DesiredCount=2,
            LaunchType="FARGATE",
            HealthCheckGracePeriodSeconds=30,
            LoadBalancers=[
                {
                    "ContainerName": "web",
                    "ContainerPort": 3000,
                    "TargetGroupArn": {"Ref": "Targets"},
                }
            ],
            NetworkConfiguration={
                "AwsvpcConfiguration": {"Subnets": subnets, "SecurityGroups": groups}
            },
        ),
        "Targets": resource(
            "AWS::ElasticLoadBalancingV2::TargetGroup",
            Port=80,
            Protocol="HTTP",
            TargetType="ip",
            VpcId={"Ref": "Vpc"},
            HealthCheckPath="/",
            HealthCheckIntervalSeconds=10,
            HealthyThresholdCount=2,
            UnhealthyThresholdCount=2,
            TargetGroupAttributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": "5"}],
        ),
        "Balancer": resource(
            "AWS::ElasticLoadBalancingV2::LoadBalancer",
            Name="shop",
            Scheme="internet-facing",
            Type="application",
            SecurityGroups=groups,
            Subnets=subnets,
        ),
        "Listener": resource(
            "AWS::ElasticLoadBalancingV2::Listener",
            LoadBalancerArn={"Ref": "Balancer"},
            Port=80,
            Protocol="HTTP",
            DefaultActions=[forward],
        ),
    }


def _events(region: str) -> dict[str, Any]:
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole"}
    lambdas = {"Principal": {"Service": "lambda.amazonaws.com"}}
    return {
        "Role": resource(
            "AWS::IAM::Role",
            AssumeRolePolicyDocument={"Version": "2012-10-17", "Statement": [{**trust, **lambdas}]},
        ),
        "Function": resource(
            "AWS::Lambda::Function",
            FunctionName="shop-echo",
            Runtime="python3.12",
            Handler="index.handler",
            Role={"Fn::GetAtt": ["Role", "Arn"]},
            Timeout=5,
            MemorySize=256,
            Code={"ZipFile": HANDLER},
        ),
        "Topic": resource("AWS::SNS::Topic", TopicName="shop-alerts"),
        "Mail": resource(
            "AWS::SNS::Subscription",
            Protocol="email",
            TopicArn={"Ref": "Topic"},
            Endpoint="ops@shop.example",
        ),
        "Alarm": resource(
            "AWS::CloudWatch::Alarm",
            AlarmName="shop-few-targets",
            Namespace="AWS/ApplicationELB",
            MetricName="HealthyHostCount",
            Dimensions=[
                {
                    "Name": "LoadBalancer",
                    "Value": {"Fn::GetAtt": ["Balancer", "LoadBalancerFullName"]},
                },
                {
                    "Name": "TargetGroup",
                    "Value": {"Fn::GetAtt": ["Targets", "TargetGroupFullName"]},
                },
            ],
            Statistic="Minimum",
            Period=60,
            EvaluationPeriods=1,
            Threshold=2,
            ComparisonOperator="LessThanThreshold",
            TreatMissingData="breaching",
            AlarmActions=[{"Ref": "Topic"}],
        ),
        "Bucket": resource(
            "AWS::S3::Bucket",
            BucketName=f"shop-log-{region}",
            VersioningConfiguration={"Status": "Enabled"},
            ReplicationConfiguration={
                "Role": {"Fn::GetAtt": ["Role", "Arn"]},
                "Rules": [
                    {
                        "Status": "Enabled",
                        "Priority": 1,
                        "Filter": {"Prefix": ""},
                        "DeleteMarkerReplication": {"Status": "Disabled"},
                        "Destination": {
                            "Bucket": f"arn:aws:s3:::shop-log-{_other(region)}",
                        },
                    }
                ],
            },
        ),
    }


def _other(region: str) -> str:
    return next(other for other in REGIONS if other != region)


@contextmanager
def small_twin(folder: Path) -> Iterator[RunningTwin]:
    """Run the small twin."""
    with running_twin(assembly(folder)) as twin:
        yield twin
