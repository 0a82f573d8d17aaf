"""The plan says what will run: commands, variables by zone, counts, releases, scaling."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.support.assembly import shared_assembly
from tests.support.templates import StackFile, resource, write_assembly

from evertill.cli import main
from evertill.twin.errors import TwinError
from evertill.twin.plan.images import (
    OUR_COMMAND,
    OUR_ENTRY_POINT,
    OUR_ENVIRONMENT,
    OUR_FILES,
    ImageUnknown,
    arguments,
    image_of,
)
from evertill.twin.plan.plan import Plan, plan_of
from evertill.twin.plan.services import Rollout

FOREIGN = Path(__file__).parents[1] / "assemblies" / "foreign"
DOCKERFILE = (Path(__file__).parents[3] / "deploy" / "Dockerfile").read_text()


def foreign() -> Plan:
    return plan_of(FOREIGN)


@pytest.fixture
def ours(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    return plan_of(shared_assembly(tmp_path_factory, "dev").folder)


def test_a_foreign_container_has_its_command_and_reads_its_variables_by_zone() -> None:
    plan = foreign()
    first, second = plan.services
    (web,) = first.task.containers
    assert ("sh", "-c") == web.arguments[:2]
    assert web.arguments[2].startswith('node -e "')
    hosts = {zone: variables["DB_HOST"] for zone, variables in web.environment.items()}
    gates = {gate.host: gate for gate in plan.database_gates}
    assert hosts.keys() == {"us-east-1a", "us-east-1b"}
    for zone, host in hosts.items():
        assert (zone, "writer", "") == (gates[host].zone, gates[host].role, gates[host].refusal)
    assert "test" == web.environment["us-east-1a"]["STAGE"]
    assert web.secrets["DB_PASSWORD"].endswith(":password::")
    assert ("us-west-2a", "us-west-2b") == second.zones
    assert Rollout(minimum_percent=50, maximum_percent=200) == first.rollout
    assert (2, 60.0, True) == (first.count, first.grace_period_s, first.has_insights)


def test_scaling_policies_find_their_service_and_their_metric() -> None:
    scaling, _ = foreign().scaling
    assert ("service/shop-cluster-test/shop-web-test", 2, 10) == (
        scaling.resource_id,
        scaling.count_min,
        scaling.count_max,
    )
    (policy,) = scaling.policies
    assert ("AWS/ECS", "CPUUtilization", 60.0) == (policy.namespace, policy.metric, policy.target)


def test_our_own_service_runs_the_image_of_the_dockerfile(ours: Plan) -> None:
    service = ours.services[0]
    (container,) = service.task.containers
    assert (*OUR_ENTRY_POINT, "serve") == container.arguments
    assert container.probe is not None
    assert service.rollout.has_breaker
    assert service.rollout.bake_s > 0
    assert {"/scratch"} == set(container.mounts)
    requests = ours.scaling[0].policies[1]
    assert "RequestCountPerTarget" == requests.metric
    assert requests.dimensions["TargetGroup"].startswith("targetgroup/")


def test_the_filters_of_our_logs_look_at_what_our_containers_write(ours: Plan) -> None:
    groups = {service.task.containers[0].log_group for service in ours.services}
    assert ours.log_filters
    assert {spec.log_group for spec in ours.log_filters} <= groups


def test_a_migration_is_a_task_of_its_own(ours: Plan) -> None:
    task = ours.loose_tasks[0]
    assert "migrate" == task.task.containers[0].arguments[-1]
    assert task.zones == ours.services[0].zones


def test_what_stands_for_our_image_is_what_the_dockerfile_says() -> None:
    assert f"ENTRYPOINT {json.dumps(OUR_ENTRY_POINT)}" in DOCKERFILE
    assert f"CMD {json.dumps(OUR_COMMAND)}" in DOCKERFILE
    for name, value in OUR_ENVIRONMENT.items():
        assert f"{name}={value}" in DOCKERFILE
    for path in OUR_FILES:
        assert path in DOCKERFILE


@pytest.mark.parametrize(
    "reference",
    ["node:20-alpine", "public.ecr.aws/docker/library/node:18", "docker.io/library/node"],
)
def test_node_is_known_by_any_of_its_names(reference: str) -> None:
    assert "node" == image_of(reference).kind


@pytest.mark.parametrize("reference", ["nginx:latest", "python:3.13", "somebody/node:1"])
def test_another_image_is_refused_by_name(reference: str) -> None:
    with pytest.raises(ImageUnknown, match=reference):
        image_of(reference)


def test_only_images_with_curl_have_curl() -> None:
    assert "curl" in image_of("node:20").programs
    assert "curl" not in image_of("node:20-alpine").programs
    assert "wget" in image_of("node:20-alpine").programs
    assert "wget" not in image_of("node:20-slim").programs


def test_a_command_line_is_made_as_docker_makes_it() -> None:
    node = image_of("node:20-alpine")
    ours = image_of("1.dkr.ecr.us-east-1.amazonaws.com/evertill@sha256:00")
    assert ["node"] == arguments(node, (), ())
    assert ["node", "-e", "1"] == arguments(node, (), ("-e", "1"))
    assert ["npm", "start"] == arguments(node, ("npm",), ("start",))
    assert [*OUR_ENTRY_POINT, "migrate"] == arguments(ours, (), ("migrate",))


def test_the_printed_plan_names_services_counts_and_the_cap(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert 0 == main(["twin", "plan", str(FOREIGN), "--tasks", "1"])
    told = capsys.readouterr().out
    for words in (
        "us-west-2: us-west-2a, us-west-2b",
        "service shop-web-test in shop-cluster-test",
        "2 tasks over 2 zones, 2 to 10 by load; 1 of them started here",
        "container web: node:20-alpine",
        "load balancer shop-alb-test: a front in us-east-1a, us-east-1b",
        "HTTP 80 (here 8080): 0 rules and a default, 1 forward",
        "database appprimary-db-c6e63509: aurora-postgresql 16.8",
        "zone shop-platform.dev.",
        "AWS::RDS::DBCluster: Real PostgreSQL instances",
        "6 AWS::EC2::Subnet: Places what is in it into a zone.",
    ):
        assert words in told


def test_the_plan_is_json_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 == main(["twin", "plan", str(FOREIGN), "--json"])
    told = json.loads(capsys.readouterr().out)
    (service,) = told["regions"]["us-west-2"]["services"]
    assert (2, 2, 10) == (service["count"], service["count_min"], service["count_max"])
    assert ["shop-alb-test"] == [
        balancer["name"] for balancer in told["regions"]["us-west-2"]["load_balancers"]
    ]
    (database,) = told["regions"]["us-west-2"]["databases"]
    assert 2 == len(database["instances"])
    (refused,) = database["refused"]
    assert "shop-validate-test may not reach" in refused, "it is outside of the network"
    assert [] == told["not_represented"]


def scaled_by(folder: Path, **policy: Any) -> Plan:
    stack = StackFile(
        {
            "Task": resource("AWS::ECS::TaskDefinition", Family="web", ContainerDefinitions=[]),
            "Service": resource(
                "AWS::ECS::Service", ServiceName="web", TaskDefinition={"Ref": "Task"}
            ),
            "Count": resource(
                "AWS::ApplicationAutoScaling::ScalableTarget",
                MinCapacity=1,
                MaxCapacity=4,
                ScalableDimension="ecs:service:DesiredCount",
                ResourceId="service/default/web",
            ),
            "Policy": resource(
                "AWS::ApplicationAutoScaling::ScalingPolicy",
                PolicyName="by",
                ScalingTargetId={"Ref": "Count"},
                **policy,
            ),
        }
    )
    return plan_of(write_assembly(folder, stack))


def test_a_policy_that_cannot_be_followed_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(TwinError, match=r"App\.Policy scales by StepScaling"):
        scaled_by(tmp_path, PolicyType="StepScaling")


def test_a_policy_may_track_a_metric_of_ones_own(tmp_path: Path) -> None:
    plan = scaled_by(
        tmp_path,
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration={
            "TargetValue": 100,
            "ScaleInCooldown": 30,
            "CustomizedMetricSpecification": {
                "Namespace": "Shop",
                "MetricName": "Backlog",
                "Statistic": "Average",
                "Dimensions": [{"Name": "Queue", "Value": "orders"}],
            },
        },
    )
    (policy,) = plan.scaling[0].policies
    assert ("Shop", {"Queue": "orders"}, 30.0, 300.0) == (
        policy.namespace,
        policy.dimensions,
        policy.in_cooldown_s,
        policy.out_cooldown_s,
    )


@pytest.mark.parametrize(
    ("task", "service", "named"),
    [
        ({"NetworkMode": "bridge"}, {}, "network mode bridge"),
        (
            {"Volumes": [{"Name": "x", "EFSVolumeConfiguration": {"FilesystemId": "fs-1"}}]},
            {},
            "a file system that tasks share",
        ),
        ({}, {"DeploymentController": {"Type": "CODE_DEPLOY"}}, "CODE_DEPLOY"),
        ({}, {"SchedulingStrategy": "DAEMON"}, "DAEMON"),
        ({}, {"ServiceRegistries": [{"RegistryArn": "arn"}]}, "ServiceRegistries"),
    ],
)
def test_what_the_twin_cannot_give_a_service_is_refused_by_name(
    tmp_path: Path, task: dict[str, Any], service: dict[str, Any], named: str
) -> None:
    stack = StackFile(
        {
            "Task": resource(
                "AWS::ECS::TaskDefinition", Family="web", ContainerDefinitions=[], **task
            ),
            "Service": resource(
                "AWS::ECS::Service", ServiceName="web", TaskDefinition={"Ref": "Task"}, **service
            ),
        }
    )
    with pytest.raises(TwinError, match=named):
        plan_of(write_assembly(tmp_path, stack))
