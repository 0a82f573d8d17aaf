"""How services, functions and their ways are broken, each in one way."""

from __future__ import annotations

from tests.support.breaking import GONE, Case
from tests.support.platform_network import group, ref
from tests.support.templates import resource

APP = "active/Task.Properties.ContainerDefinitions.0"
HOME = "active/Service.Properties.NetworkConfiguration.AwsvpcConfiguration"
WORKER = resource("AWS::Lambda::Function", Timeout=3)
QUEUE = resource("AWS::SQS::Queue", QueueName="work")

CASES = [
    Case(
        "target-group-probe",
        {"active/Service.Properties.LoadBalancers.0.ContainerName": "web"},
        "Service",
        "has no container web",
    ),
    Case(
        "target-group-probe",
        {"active/Service.Properties.LoadBalancers.0.ContainerPort": 80},
        "Service",
        "does not map port 80",
    ),
    Case(
        "target-group-probe",
        {"active/Targets.Properties.HealthCheckPort": "9090"},
        "Targets",
        "probes port 9090",
    ),
    Case(
        "target-group-probe",
        {"active/Targets.Properties.TargetType": GONE},
        "Targets",
        "takes instances",
    ),
    Case("function-is-invoked", {"active/Idle": WORKER}, "Idle", "Nothing in the assembly"),
    Case(
        "function-is-invoked",
        {
            "active/Idle": WORKER,
            "active/Newest": resource("AWS::Lambda::Version", FunctionName=ref("Idle")),
        },
        "Idle",
        "Nothing in the assembly",
    ),
    Case(
        "dead-letters-arrive",
        {"active/Function.Properties.DeadLetterConfig": {"TargetArn": "arn:aws:sqs:x:1:dead"}},
        "Function",
        "no failure ever reaches",
    ),
    Case(
        "function-timeout",
        {"active/Function.Properties.Timeout": 61},
        "Function",
        "gives up after 60 s",
    ),
    Case(
        "function-timeout",
        {
            "active/Function.Properties.Timeout": 61,
            "active/Live": resource("AWS::Lambda::Alias", FunctionName=ref("Function")),
            "active/FunctionTargets.Properties.Targets": [{"Id": ref("Live")}],
        },
        "Function",
        "gives up after 60 s",
    ),
    Case(
        "function-timeout",
        {
            "active/Queue": QUEUE,
            "active/Worker": resource("AWS::Lambda::Function", Timeout=40),
            "active/Mapping": resource(
                "AWS::Lambda::EventSourceMapping",
                FunctionName=ref("Worker"),
                EventSourceArn={"Fn::GetAtt": ["Queue", "Arn"]},
            ),
        },
        "Queue",
        "come back after 30 s",
    ),
    Case(
        "no-pinned-count",
        {"active/Service.Properties.DesiredCount": 3},
        "Service",
        "in the middle of the peak",
    ),
    Case(
        "no-pinned-count",
        {
            "active/Machines": resource("AWS::AutoScaling::AutoScalingGroup", DesiredCapacity="2"),
            "active/Grow": resource(
                "AWS::AutoScaling::ScalingPolicy", AutoScalingGroupName=ref("Machines")
            ),
        },
        "Machines",
        "sets the capacity back",
    ),
    Case("image-is-pinned", {f"{APP}.Image": "registry/evertill:latest"}, "Task", "not pinned"),
    Case("image-is-pinned", {f"{APP}.Image": "amazon/amazon-ecs-sample"}, "Task", "public sample"),
    Case(
        "image-is-pinned",
        {f"{APP}.Image": "public.ecr.aws/nginx/nginx:1.27"},
        "Task",
        "not pinned",
    ),
    Case(
        "environment-names",
        {f"{APP}.Environment.2.Value": "log-replica"},
        "Task",
        "LOG_BUCKET names Log in us-east-2",
    ),
    Case(
        "environment-names",
        {
            "active/Log.Properties.BucketName": {"Fn::Sub": "log-${AWS::StackId}"},
            "active/AccessLogs.Properties.BucketName": "access",
            f"{APP}.Environment.2.Value": "logs",
        },
        "Task",
        "LOG_BUCKET says logs",
    ),
    Case(
        "environment-names",
        {f"{APP}.Environment.4.Value": "leases"},
        "Task",
        "LEASE_TABLE says leases",
    ),
    Case(
        "environment-names",
        {
            "standby/Hidden": resource("AWS::SecretsManager::Secret", Name="admin"),
            f"{APP}.Environment.6": {"Name": "ADMIN_SECRET", "Value": "admin"},
        },
        "Task",
        "ADMIN_SECRET names Hidden in us-east-2",
    ),
    Case(
        "environment-names",
        {f"{APP}.Environment.5.Value": "us-east-2"},
        "Task",
        "AWS_REGION says us-east-2",
    ),
    Case(
        "environment-names",
        {
            f"{APP}.Secrets": [
                {"Name": "KEY", "ValueFrom": "arn:aws:secretsmanager:us-west-1:1:secret:key"}
            ]
        },
        "Task",
        "no task starts in us-east-1 while us-west-1 is down",
    ),
    Case(
        "environment-means",
        {f"{APP}.Environment.2.Name": "LOG_BUCKET_ARN"},
        "Task",
        "holds the name of Log",
    ),
    Case(
        "environment-means",
        {f"{APP}.Environment.3.Name": "TOPIC_NAME"},
        "Task",
        "holds the ARN of Topic",
    ),
    Case(
        "environment-means",
        {f"{APP}.Environment.0.Name": "DATABASE_READER_HOST"},
        "Task",
        "DATABASE_READER_HOST holds Endpoint.Address",
    ),
    Case(
        "environment-means",
        {f"{APP}.Environment.0.Value": ref("Database")},
        "Task",
        "DATABASE_HOST holds the name of Database",
    ),
    Case(
        "environment-means",
        {f"{APP}.Environment.0.Name": "DATABASE_URL"},
        "Task",
        "takes it for a URL",
    ),
    Case(
        "way-to-tasks",
        {"active/TaskGroup.Properties.SecurityGroupIngress.0.ToPort": 8079},
        "Service",
        "lets Balancer reach port 8080",
    ),
    Case(
        "way-to-tasks",
        {
            "active/BalancerGroup.Properties.SecurityGroupEgress": [
                {"IpProtocol": "icmp", "CidrIp": "255.255.255.255/32"}
            ]
        },
        "Service",
        "lets Balancer reach port 8080",
    ),
    Case("way-to-database", {"active/DatabaseGroup": group()}, "Service", "reach port 5432"),
    Case(
        "way-to-database",
        {"active/DatabaseGroup.Properties.SecurityGroupIngress.1": GONE},
        "Function",
        "reach port 5432",
    ),
    Case("way-out", {"active/PrivateaDefault": GONE}, "Service", "the image cannot be pulled"),
    Case("way-out", {f"{HOME}.Subnets.0": ref("Publica")}, "Service", "cannot be pulled"),
    Case(
        "way-out",
        {"active/Function.Properties.VpcConfig.SubnetIds.0": ref("Publica")},
        "Function",
        "every call to the internet times out",
    ),
    Case("draining-fits", {f"{APP}.StopTimeout": 300}, "Task", "refuses a StopTimeout of 300 s"),
    Case(
        "draining-fits",
        {"active/Targets.Properties.TargetGroupAttributes.0.Value": "0"},
        "Targets",
        "cut off at once",
    ),
    Case(
        "draining-fits",
        {
            "active/Targets.Properties.TargetGroupAttributes": GONE,
            "active/Service.Properties.CapacityProviderStrategy": [
                {"CapacityProvider": "FARGATE_SPOT"}
            ],
        },
        "Targets",
        "Spot gives 120 s",
    ),
    Case(
        "service-waits-for-listener",
        {"active/Service.DependsOn": []},
        "Service",
        "refuses a group without a load balancer",
    ),
    Case(
        "listener-priorities",
        {"active/MetricsRule.Properties.Priority": 10},
        "MetricsRule",
        "has the priority 10 too",
    ),
]
