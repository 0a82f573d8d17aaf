"""The service in ECS: the task that serves, and how one release replaces another.

It is separate from `scaling`, which says how many tasks there are: this module names no number of
tasks at all, because a count in a template would undo what autoscaling and recovery decided
(aws/aws-cdk#3919).
"""

from __future__ import annotations

from typing import Final

from aws_cdk import CfnOutput, Duration
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from constructs import Construct

from evertill.infrastructure.addresses import database_urls
from evertill.infrastructure.alarm_names import deployment_alarms
from evertill.infrastructure.containers import AUTHORITIES, OurTask
from evertill.infrastructure.names import DATABASE_USER, SERVICE_PORT, Names
from evertill.infrastructure.rights import add_to_log, hold_lease, log_in, publish_events
from evertill.infrastructure.stacks import DataStack, NetworkStack

# One vCPU, two workers: while one is replaced, the other answers.
WORKERS: Final = 2
HEALTH_INTERVAL_S: Final = 10
HEALTH_TIMEOUT_S: Final = 5
HEALTH_TRIES: Final = 3
# Python, two workers and their first connections take about five seconds on one vCPU.
START_PERIOD_S: Final = 30
# Until then ECS does not count the load balancer's opinion against a new task.
GRACE_PERIOD_S: Final = 60
# A deployment adds tasks before it takes any away, and may double them for that.
HEALTHY_PERCENT_MIN: Final = 100
HEALTHY_PERCENT_MAX: Final = 200
HEALTH_PROBE: Final = (
    f"import urllib.request as r; r.urlopen('http://127.0.0.1:{SERVICE_PORT}/health', timeout=3)"
)


class Compute(Construct):
    """A region's ECS service: `service`, `task`."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        network: NetworkStack,
        data: DataStack,
        cluster: ecs.ICluster,
    ) -> None:
        """Run the service of a region on `cluster`, in its private subnets."""
        super().__init__(scope, construct_id)
        self.task = self._task(data)
        self.service = self._service(network, data.names, cluster)
        CfnOutput(scope, "ServiceName", value=self.service.service_name)

    def _task(self, data: DataStack) -> OurTask:
        task = OurTask(
            self,
            "Task",
            data=data,
            family=data.names.service,
            command=["serve"],
            environment={
                **_environment(data),
                "EVERTILL_HOST": "0.0.0.0",  # noqa: S104 - a task has one interface, and no other guest
                "EVERTILL_PORT": str(SERVICE_PORT),
                "EVERTILL_WORKERS": str(WORKERS),
            },
            health_check=ecs.HealthCheck(
                command=["CMD", "python", "-c", HEALTH_PROBE],
                interval=Duration.seconds(HEALTH_INTERVAL_S),
                timeout=Duration.seconds(HEALTH_TIMEOUT_S),
                retries=HEALTH_TRIES,
                start_period=Duration.seconds(START_PERIOD_S),
            ),
        )
        task.container.add_port_mappings(ecs.PortMapping(container_port=SERVICE_PORT))
        for statement in (
            log_in(data, DATABASE_USER),
            *add_to_log(data),
            *publish_events(data),
            hold_lease(data),
        ):
            task.role.add_to_policy(statement)
        return task

    def _service(
        self, network: NetworkStack, names: Names, cluster: ecs.ICluster
    ) -> ecs.FargateService:
        return ecs.FargateService(
            self,
            "Service",
            service_name=names.service,
            cluster=cluster,
            task_definition=self.task.definition,
            platform_version=ecs.FargatePlatformVersion.VERSION1_4,
            vpc_subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS),
            security_groups=[network.groups.tasks],
            assign_public_ip=False,
            min_healthy_percent=HEALTHY_PERCENT_MIN,
            max_healthy_percent=HEALTHY_PERCENT_MAX,
            health_check_grace_period=Duration.seconds(GRACE_PERIOD_S),
            circuit_breaker=ecs.DeploymentCircuitBreaker(enable=True, rollback=True),
            # By name: the alarms are in the watch stack, which is deployed later. The CDK's own
            # example names alarms that are made after the service; ECS asks for them when a release
            # replaces another (aws/copilot-cli#4294), and holds nothing against a deployment that
            # rings already when it starts:
            # https://docs.aws.amazon.com/cdk/api/v2/docs/aws-cdk-lib.aws_ecs.DeploymentAlarmConfig.html
            # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-alarm-failure.html
            deployment_alarms=ecs.DeploymentAlarmConfig(
                alarm_names=deployment_alarms(names), behavior=ecs.AlarmBehavior.ROLLBACK_ON_ALARM
            ),
            # ECS evens the zones out again after one of them came back:
            # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-rebalancing.html
            availability_zone_rebalancing=ecs.AvailabilityZoneRebalancing.ENABLED,
            # Nobody needs a shell in a task that handles payments.
            enable_execute_command=False,
            propagate_tags=ecs.PropagatedTagSource.SERVICE,
            enable_ecs_managed_tags=True,
        )


def _environment(data: DataStack) -> dict[str, str]:
    """Return where the service finds what it works with; nothing in it is secret."""
    names = data.names
    # Its own region's copy of the lease first: that one is asked.
    regions = [data.place, *(r.name for r in data.settings.regions if r.name != data.place)]
    return {
        **database_urls(data, DATABASE_USER, AUTHORITIES),
        "EVERTILL_DATABASE_LOGIN": "iam",
        "EVERTILL_REGION": data.place,
        "EVERTILL_LOG_BUCKET": data.log_bucket.bucket_name,
        "EVERTILL_EVENTS_TOPIC_ARN": data.events.topic_arn,
        "EVERTILL_AUTHORITY_TABLE": names.lease_table,
        "EVERTILL_AUTHORITY_REGIONS": ",".join(regions),
    }
