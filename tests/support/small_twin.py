"""A twin of a few small templates in two regions, without databases: it starts in seconds.

Each region has a service of two tasks behind a load balancer, a function, an alarm that sends a
mail, and a bucket that is copied to the other region. It runs in a thread with a loop of its own,
because what tests it does so over HTTP, as everybody else.
"""

from __future__ import annotations

import asyncio
import shutil
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx
from tests.support.databases import make_folder
from tests.support.templates import StackFile, resource, write_assembly

from evertill.twin.running.session import running
from evertill.twin.running.twin import Twin

REGIONS = ("us-east-1", "us-east-2")
SPEED = 10.0
START_TIMEOUT_S = 90.0
DEADLINE_S = 60.0
PAUSE_S = 0.05
SERVER = (
    "require('http').createServer((asked, answer) => answer.end('well')).listen(3000, '0.0.0.0')"
)
HANDLER = "def handler(event, context):\n    return event\n"
T = TypeVar("T")


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


class RunningTwin:
    """A twin that runs in a thread, and its control API."""

    def __init__(self, path: Path) -> None:
        self.folder = make_folder()
        self._path = path
        self._twin: Twin | None = None
        self._failure: BaseException | None = None
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._stopping = asyncio.Event()
        self._thread = threading.Thread(target=self._run)
        self.http = httpx.Client()

    @property
    def twin(self) -> Twin:
        """The twin, for what only its parts tell."""
        assert self._twin is not None
        return self._twin

    def start(self) -> None:
        """Start it; raise what stood in the way."""
        self._thread.start()
        assert self._started.wait(START_TIMEOUT_S), "the twin did not start in time"
        if self._failure is not None:
            raise self._failure
        self.http.close()
        self.http = httpx.Client(base_url=self.twin.control_url, timeout=60, trust_env=False)

    def stop(self) -> None:
        """Stop it and delete its data."""
        self.http.close()
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(START_TIMEOUT_S)
        shutil.rmtree(self.folder, ignore_errors=True)

    def ask(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something in the twin's own loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(DEADLINE_S)

    def status(self) -> dict[str, Any]:
        """Return the status document."""
        document: dict[str, Any] = self.http.get("/status").json()
        return document

    def region(self, name: str) -> dict[str, Any]:
        """Return a region's part of the status document."""
        region: dict[str, Any] = self.status()["regions"][name]
        return region

    def set(self, fault: str, **parameters: Any) -> str:
        """Set a fault and return its id."""
        # `from` is a word of Python.
        named = {name.rstrip("_"): value for name, value in parameters.items()}
        answer = self.http.post("/faults", json={"fault": fault, **named})
        assert 201 == answer.status_code, answer.text
        return str(answer.json()["id"])

    def undo(self, fault_id: str) -> None:
        """Undo a fault."""
        answer = self.http.delete(f"/faults/{fault_id}")
        assert 200 == answer.status_code, answer.text

    def until_steady(self) -> None:
        """Wait until every service is as it should be, and every target healthy."""
        until(lambda: all(map(is_well, self.status()["regions"].values())), "a steady twin")

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._live())
        except BaseException as failure:  # noqa: BLE001 - told by `start`, in the other thread
            self._failure = failure
        finally:
            self._started.set()
            self._loop.close()

    async def _live(self) -> None:
        async with running(self._path, self.folder, say=lambda _: None, speed=SPEED) as twin:
            self._twin = twin
            self._started.set()
            await self._stopping.wait()


@contextmanager
def small_twin(folder: Path) -> Iterator[RunningTwin]:
    """Run the small twin."""
    twin = RunningTwin(assembly(folder))
    try:
        twin.start()
        yield twin
    finally:
        twin.stop()


def is_well(region: dict[str, Any]) -> bool:
    """Tell whether a region's services are steady and all their targets healthy."""
    targets = [target for item in region["load_balancer"] for target in item["targets"]]
    return (
        all(item["is_steady"] for item in region["services"])
        and bool(targets)
        and all(target["health"] == "healthy" for target in targets)
    )


def until(condition: Callable[[], object], what: str, deadline_s: float = DEADLINE_S) -> None:
    """Wait until a condition holds."""
    end_s = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end_s, f"{what} did not come"
        time.sleep(PAUSE_S)
