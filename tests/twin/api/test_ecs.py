"""The ECS API tells what runs and changes it, in answers that AWS's own model accepts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore import xform_name
from botocore.validate import ParamValidator
from tests.twin.services import Stage, service_spec, stage
from tests.twin.tasks import REGION, ZONES, container, definition, until

from evertill.twin.api.autoscaling import ApplicationAutoScaling
from evertill.twin.api.ecs import Ecs
from evertill.twin.api.errors import ApiError
from evertill.twin.definitions import Definitions
from evertill.twin.parts.scaling import Scaling
from evertill.twin.plan.scaling import PolicySpec, ScalingSpec

ACCOUNT = "123456789012"
MIGRATION = definition(
    container("sh", "-c", 'exit "$CODE"', environment={"CODE": "0"}), family="migration"
)
POLICY = PolicySpec(
    name="cpu",
    namespace="AWS/ECS",
    metric="CPUUtilization",
    statistic="Average",
    dimensions={},
    target=50.0,
    predefined="ECSServiceAverageCPUUtilization",
)


class Client:
    """Calls a handler as the server does: both sides are checked by botocore's model."""

    def __init__(self, service: str, handler: object) -> None:
        self._model = botocore.session.get_session().get_service_model(service)
        self._handler = handler

    async def __call__(self, operation: str, **parameters: Any) -> dict[str, Any]:
        model = self._model.operation_model(operation)
        for values, shape in ((parameters, model.input_shape),):
            assert "" == ParamValidator().validate(values, shape).generate_report()
        answer: dict[str, Any] = await getattr(self._handler, xform_name(operation))(**parameters)
        assert "" == ParamValidator().validate(answer, model.output_shape).generate_report()
        known = set(model.output_shape.members)
        assert set(answer) <= known
        return answer


Story = Callable[[Stage, Client, Client], Awaitable[None]]


def told(folder: Path, story: Story, count: int = 2, count_max: int | None = None) -> None:
    async def run() -> None:
        spec = service_spec(count, count_max=count_max)
        async with stage(folder, spec) as found:
            ecs = Ecs(
                REGION,
                ACCOUNT,
                services=[found.service],
                runner=found.runner,
                definitions=Definitions([spec.task, MIGRATION], ZONES),
                zone_of_subnet={f"subnet-{zone[-1]}": zone for zone in ZONES},
            )
            scaling = Scaling(
                ScalingSpec(spec, 1, 4, (POLICY,)),
                found.service,
                lambda *_: [],
                found.bench.clock,
                found.timeline,
            )
            await found.steady()
            scales = Client("application-autoscaling", ApplicationAutoScaling([scaling]))
            await story(found, Client("ecs", ecs), scales)

    asyncio.run(run())


async def service(ecs: Client) -> dict[str, Any]:
    answer = await ecs("DescribeServices", cluster="main", services=["web"])
    found: dict[str, Any] = answer["services"][0]
    return found


def test_a_service_is_described_with_its_counts_and_its_deployment(tmp_path: Path) -> None:
    async def story(found: Stage, ecs: Client, scales: Client) -> None:
        del found, scales
        told = await service(ecs)
        assert (2, 2, 0) == (told["desiredCount"], told["runningCount"], told["pendingCount"])
        (deployment,) = told["deployments"]
        assert ("PRIMARY", "COMPLETED") == (deployment["status"], deployment["rolloutState"])
        assert "(service.steady) web has reached a steady state" == told["events"][0]["message"]
        answer = await ecs("DescribeServices", cluster="main", services=["other"])
        assert ["MISSING"] == [failure["reason"] for failure in answer["failures"]]
        clusters = await ecs("DescribeClusters", clusters=["main", "none"])
        assert [2] == [one["runningTasksCount"] for one in clusters["clusters"]]
        assert 1 == len((await ecs("ListClusters"))["clusterArns"])
        assert [told["serviceArn"]] == (await ecs("ListServices", cluster="main"))["serviceArns"]

    told(tmp_path, story)


def test_a_cluster_that_does_not_exist_is_refused_as_aws_does(tmp_path: Path) -> None:
    async def story(found: Stage, ecs: Client, scales: Client) -> None:
        del found, scales
        with pytest.raises(ApiError) as refused:
            await ecs("ListTasks", cluster="nowhere")
        assert "ClusterNotFoundException" == refused.value.aws_code

    told(tmp_path, story, 0)


def test_a_task_that_is_stopped_by_hand_is_replaced(tmp_path: Path) -> None:
    async def story(found: Stage, ecs: Client, scales: Client) -> None:
        del scales
        arn, _ = (await ecs("ListTasks", cluster="main", serviceName="web"))["taskArns"]
        before = (await ecs("DescribeTasks", cluster="main", tasks=[arn]))["tasks"][0]
        assert ("RUNNING", "service:web") == (before["lastStatus"], before["group"])
        await ecs("StopTask", cluster="main", task=arn, reason="drill")
        await until(lambda: len(found.service.crew.stopped) == 1, "its end")
        await found.steady()
        after = (await ecs("DescribeTasks", cluster="main", tasks=[arn]))["tasks"][0]
        assert ("STOPPED", "UserInitiated", "drill") == (
            after["lastStatus"],
            after["stopCode"],
            after["stoppedReason"],
        )
        assert 0 == after["containers"][0]["exitCode"]
        stopped = await ecs("ListTasks", cluster="main", desiredStatus="STOPPED")
        assert [arn] == stopped["taskArns"]

    told(tmp_path, story)


def test_a_changed_definition_is_registered_and_released(tmp_path: Path) -> None:
    async def story(found: Stage, ecs: Client, scales: Client) -> None:
        del scales
        told = (await ecs("DescribeTaskDefinition", taskDefinition="app"))["taskDefinition"]
        (changed,) = told["containerDefinitions"]
        changed["environment"] = [{"name": "GREETING", "value": "new"}]
        registered = await ecs(
            "RegisterTaskDefinition", family="app", containerDefinitions=[changed], cpu="512"
        )
        arn = registered["taskDefinition"]["taskDefinitionArn"]
        assert arn.endswith("app:2")
        await ecs("UpdateService", cluster="main", service="web", taskDefinition="app:2")
        await until(
            lambda: {2} == {task.spec.revision for task in found.service.running}, "the release"
        )
        await found.steady()
        assert arn == (await service(ecs))["taskDefinition"]
        listed = await ecs("ListTaskDefinitions", familyPrefix="app")
        assert 2 == len(listed["taskDefinitionArns"])

    told(tmp_path, story)


def test_the_count_is_changed_and_what_cannot_be_is_refused(tmp_path: Path) -> None:
    async def story(found: Stage, ecs: Client, scales: Client) -> None:
        del scales
        await ecs("UpdateService", cluster="main", service="web", desiredCount=1)
        await until(lambda: len(found.service.running) == 1, "one task")
        with pytest.raises(ApiError, match="platformVersion"):
            await ecs("UpdateService", cluster="main", service="web", platformVersion="1.3.0")
        with pytest.raises(ApiError) as refused:
            await ecs("UpdateService", cluster="main", service="none", desiredCount=1)
        assert "ServiceNotFoundException" == refused.value.aws_code

    told(tmp_path, story)


def test_a_migration_is_run_in_a_subnet_with_an_override_and_tells_its_exit_code(
    tmp_path: Path,
) -> None:
    async def story(found: Stage, ecs: Client, scales: Client) -> None:
        del scales
        network = {"awsvpcConfiguration": {"subnets": ["subnet-b"]}}
        override = {"name": "web", "environment": [{"name": "CODE", "value": "7"}]}
        started = await ecs(
            "RunTask",
            cluster="main",
            taskDefinition="migration",
            networkConfiguration=network,
            overrides={"containerOverrides": [override]},
        )
        arn = started["tasks"][0]["taskArn"]

        (once,) = [task for task in found.runner.tasks if arn.endswith(task.id)]
        await once.wait()
        task = (await ecs("DescribeTasks", cluster="main", tasks=[arn]))["tasks"][0]
        assert 7 == task["containers"][0]["exitCode"]
        assert "us-east-1b" == task["availabilityZone"]
        network["awsvpcConfiguration"]["subnets"] = ["subnet-x"]
        with pytest.raises(ApiError, match="subnet-x"):
            await ecs(
                "RunTask",
                cluster="main",
                taskDefinition="migration",
                networkConfiguration=network,
            )
        assert 2 == len(found.service.running)

    told(tmp_path, story)


def test_a_family_that_is_new_runs_with_its_variables_in_any_zone(tmp_path: Path) -> None:
    once = {
        "name": "web",
        "image": "node:20-alpine",
        "command": ["sh", "-c", 'exit "$CODE"'],
        "environment": [{"name": "CODE", "value": "5"}],
    }

    async def story(found: Stage, ecs: Client, scales: Client) -> None:
        del scales
        await ecs("RegisterTaskDefinition", family="new", containerDefinitions=[once])
        await ecs("RunTask", cluster="main", taskDefinition="new", count=2)
        tasks = found.runner.tasks
        await asyncio.gather(*(task.wait() for task in tasks))
        assert [{"web": 5}, {"web": 5}] == [task.exit_codes for task in tasks]

    told(tmp_path, story, 0)


def test_where_tasks_are_capped_the_counts_are_those_that_they_stand_for(tmp_path: Path) -> None:
    async def story(found: Stage, ecs: Client, scales: Client) -> None:
        del scales
        told = await service(ecs)
        assert (6, 6) == (told["desiredCount"], told["runningCount"])
        assert 6 == told["deployments"][0]["runningCount"]
        assert 2 == len(found.service.running)

    told(tmp_path, story, 6, 2)


def test_an_image_that_nothing_stands_for_is_refused_when_it_is_registered(
    tmp_path: Path,
) -> None:
    async def story(found: Stage, ecs: Client, scales: Client) -> None:
        del found, scales
        with pytest.raises(ApiError, match="nginx"):
            await ecs(
                "RegisterTaskDefinition",
                family="app",
                containerDefinitions=[{"name": "web", "image": "nginx"}],
            )

    told(tmp_path, story, 0)


def test_the_floor_is_raised_and_the_service_follows(tmp_path: Path) -> None:
    where = {
        "ServiceNamespace": "ecs",
        "ScalableDimension": "ecs:service:DesiredCount",
        "ResourceId": "service/main/web",
    }

    async def story(found: Stage, ecs: Client, scales: Client) -> None:
        await scales("RegisterScalableTarget", **where, MinCapacity=3)
        (target,) = (await scales("DescribeScalableTargets", ServiceNamespace="ecs"))[
            "ScalableTargets"
        ]
        assert (3, 4) == (target["MinCapacity"], target["MaxCapacity"])
        await until(lambda: len(found.service.running) == 3, "three tasks")
        assert 3 == (await service(ecs))["desiredCount"]
        (activity,) = (await scales("DescribeScalingActivities", ServiceNamespace="ecs"))[
            "ScalingActivities"
        ]
        assert "Setting desired count to 3." == activity["Description"]
        (policy,) = (await scales("DescribeScalingPolicies", ServiceNamespace="ecs"))[
            "ScalingPolicies"
        ]
        assert "cpu" == policy["PolicyName"]
        suspended = {"DynamicScalingInSuspended": True}
        await scales("RegisterScalableTarget", **where, SuspendedState=suspended)
        with pytest.raises(ApiError):
            await scales("RegisterScalableTarget", **where, MinCapacity=9, MaxCapacity=5)

    told(tmp_path, story)
