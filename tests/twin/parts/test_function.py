"""Functions run under AWS's own runtime interface client, within the limits of their templates."""

from __future__ import annotations

import asyncio
import json
import platform
import sysconfig
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from botocore.exceptions import ClientError
from tests.support.templates import StackFile, resource, write_assembly
from tests.support.twin import REGION, api, ask, client, site_of_the_test, until

from evertill.twin.api.errors import ApiError
from evertill.twin.api.handled import Handled
from evertill.twin.api.lambda_ import Lambda
from evertill.twin.clock import Clock
from evertill.twin.events import Timeline
from evertill.twin.metrics import MetricId, MetricStore
from evertill.twin.parts.function import Function, Supply
from evertill.twin.parts.overlay import lay_over
from evertill.twin.plan.bindings import Bindings
from evertill.twin.plan.consumers import FUNCTION
from evertill.twin.plan.functions import FunctionSpec, function_spec
from evertill.twin.plan.places import places_of
from evertill.twin.plan.reading import read_model
from evertill.twin.processes import Processes

HASH = "a" * 64
GROUP = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/t/1"
BALANCER = "elasticloadbalancing.amazonaws.com"
CODE = """
import os
import time

STARTED = os.getpid()


def handle(event, context):
    print("asked", event)
    do = event.get("do")
    if do == "sleep":
        time.sleep(60)
    if do == "fail":
        raise ValueError("no")
    if do == "exit":
        os._exit(3)
    if do == "eat":
        kept = bytearray(300 * 1024 * 1024)
        kept[:: 4096] = b"x" * len(kept[:: 4096])
        time.sleep(60)
    return {
        "pid": STARTED,
        "echo": event,
        "table": os.environ["TABLE"],
        "role": os.environ["ROLE"],
        "name": context.function_name,
        "left_ms": context.get_remaining_time_in_millis(),
    }
"""


def spec_of(folder: Path, code: str = CODE, **properties: Any) -> FunctionSpec:
    """Plan a function whose asset holds `code`."""
    asset = folder / "cdk.out" / f"asset.{HASH}"
    asset.mkdir(parents=True, exist_ok=True)
    (asset / "index.py").write_text(code)
    resources = {
        "Validate": resource(
            FUNCTION,
            FunctionName="validate",
            Runtime="python3.13",
            Handler="index.handle",
            Role="arn:aws:iam::123456789012:role/validate",
            MemorySize=256,
            Timeout=20,
            **{
                "Code": {"S3Bucket": "assets", "S3Key": f"{HASH}.zip"},
                "Environment": {"Variables": {"TABLE": {"Ref": "Table"}}},
                **properties,
            },
        ),
        "Table": resource("AWS::DynamoDB::Table", TableName="lease"),
        "Allow": resource(
            "AWS::Lambda::Permission",
            Action="lambda:InvokeFunction",
            FunctionName={"Fn::GetAtt": ["Validate", "Arn"]},
            Principal=BALANCER,
            SourceArn=GROUP,
        ),
    }
    path = write_assembly(folder / "cdk.out", StackFile(resources, account="123456789012"))
    model = read_model(path)
    (function,) = model.resources_of(FUNCTION)
    return function_spec(model, function, places_of(model), Bindings(model), path)


class Running:
    """A function that runs, and boto3's way to it."""

    def __init__(self, function: Function, store: MetricStore, url: str) -> None:
        self.function = function
        self.store = store
        self.client = client("lambda", url)

    async def ask(self, **event: Any) -> dict[str, Any]:
        answer: dict[str, Any] = await ask(
            self.client.invoke, FunctionName="validate", Payload=json.dumps(event), LogType="Tail"
        )
        answer["read"] = json.loads(answer["Payload"].read())
        return answer

    def total(self, name: str) -> float:
        metric = MetricId(REGION, "AWS/Lambda", name, (("FunctionName", "validate"),))
        found = self.store.window(metric, 0, self.store._clock.epoch_s() + 60)
        return found.total if found else 0.0


@asynccontextmanager
async def running(
    folder: Path, spec: FunctionSpec, authorities: Path | None = None
) -> AsyncIterator[Running]:
    clock = Clock()
    store = MetricStore(clock)
    processes = Processes(folder / "processes")
    function = Function(
        spec,
        folder / "functions",
        clock=clock,
        processes=processes,
        metrics=store,
        timeline=Timeline(clock),
        supply=Supply(lambda role: {"ROLE": role.rpartition("/")[2]}, authorities),
    )
    await function.start()
    try:
        with site_of_the_test() as site:
            handled = Handled("lambda", Lambda([function]))
            async with api({"lambda": handled}, site) as server:
                yield Running(function, store, server.url)
    finally:
        await function.stop()
        await processes.end_all()


def test_a_function_answers_from_a_process_that_is_used_again(tmp_path: Path) -> None:
    async def story() -> tuple[dict[str, Any], dict[str, Any], float]:
        async with running(tmp_path, spec_of(tmp_path)) as lambda_:
            first = await lambda_.ask(amount="1")
            return first, await lambda_.ask(amount="2"), lambda_.total("Invocations")

    first, second, invocations = asyncio.run(story())
    read = first["read"]
    assert ({"amount": "1"}, "lease", "validate") == (read["echo"], read["table"], read["name"])
    assert "validate" == read["role"]
    assert 0 < read["left_ms"] <= 20_000
    assert read["pid"] == second["read"]["pid"]
    assert "FunctionError" not in first
    assert 2.0 == invocations


def test_a_function_finds_its_code_and_the_twins_authorities_where_its_variables_say(
    tmp_path: Path,
) -> None:
    authorities = tmp_path / "authorities.pem"
    authorities.write_text("the twin's")
    url = "postgresql://db/evertill?sslrootcert=/var/task/rds-ca.pem"
    code = """
import os
def handle(event, context):
    return {"trusts": open(os.environ["URL"].partition("sslrootcert=")[2]).read()}
"""
    spec = spec_of(tmp_path, code, Environment={"Variables": {"URL": url}})
    assert spec.asset is not None
    (spec.asset / "rds-ca.pem").write_text("Amazon's")

    async def story() -> dict[str, Any]:
        async with running(tmp_path, spec, authorities) as lambda_:
            return await lambda_.ask()

    assert {"trusts": "the twin's"} == asyncio.run(story())["read"]
    assert "Amazon's" == (spec.asset / "rds-ca.pem").read_text()


def test_what_a_function_raises_is_a_function_error_and_the_process_stays(tmp_path: Path) -> None:
    async def story() -> tuple[Any, ...]:
        async with running(tmp_path, spec_of(tmp_path)) as lambda_:
            before = await lambda_.ask()
            failed = await lambda_.ask(do="fail")
            after = await lambda_.ask()
            return before, failed, after, lambda_.total("Errors")

    before, failed, after, errors = asyncio.run(story())
    assert ("Unhandled", "ValueError") == (failed["FunctionError"], failed["read"]["errorType"])
    assert before["read"]["pid"] == after["read"]["pid"]
    assert 1.0 == errors


@pytest.mark.parametrize(
    ("event", "limits", "expected"),
    [
        ("sleep", {"Timeout": 1}, ("Sandbox.Timedout", "timed out after 1.00 seconds")),
        ("exit", {}, ("Runtime.ExitError", "exit status 3")),
        ("eat", {"MemorySize": 128}, ("Runtime.ExitError", "signal: killed")),
    ],
)
def test_a_function_that_breaks_its_limits_is_ended_and_the_next_call_starts_anew(
    tmp_path: Path, event: str, limits: dict[str, int], expected: tuple[str, str]
) -> None:
    async def story() -> tuple[Any, ...]:
        async with running(tmp_path, spec) as lambda_:
            return await lambda_.ask(do=event), await lambda_.ask()

    spec = spec_of(tmp_path)
    if "Timeout" in limits:
        spec = _with(spec, timeout_s=1.0)
    if "MemorySize" in limits:
        spec = _with(spec, memory_mb=128)
    failed, after = asyncio.run(story())
    assert expected[0] == failed["read"]["errorType"]
    assert expected[1] in failed["read"]["errorMessage"]
    assert "pid" in after["read"]


def test_no_more_than_the_reserved_concurrency_run_at_a_time(tmp_path: Path) -> None:
    async def story() -> tuple[str, float]:
        spec = spec_of(tmp_path, ReservedConcurrentExecutions=1)
        async with running(tmp_path, _with(spec, timeout_s=2.0)) as lambda_:
            slow = asyncio.create_task(lambda_.ask(do="sleep"))
            await until(lambda: lambda_.function.status()["busy"] == 1)
            with pytest.raises(ClientError) as refused:
                await lambda_.ask()
            await slow
            return str(refused.value.response["Error"]["Code"]), lambda_.total("Throttles")

    assert ("TooManyRequestsException", 1.0) == asyncio.run(story())


def test_a_service_invokes_only_what_a_permission_allows_it(tmp_path: Path) -> None:
    async def story() -> tuple[Any, list[str]]:
        async with running(tmp_path, spec_of(tmp_path)) as lambda_:
            result = await lambda_.function.invoke_for(BALANCER, GROUP, b"{}")
            refused = []
            for principal, source in (
                (BALANCER, GROUP + "2"),
                ("events.amazonaws.com", GROUP),
            ):
                with pytest.raises(ApiError) as error:
                    await lambda_.function.invoke_for(principal, source, b"{}")
                refused.append(error.value.aws_code)
            return json.loads(result.payload), refused

    read, refused = asyncio.run(story())
    assert "validate" == read["name"]
    assert ["AccessDeniedException"] * 2 == refused


def test_a_function_that_cannot_be_loaded_says_why(tmp_path: Path) -> None:
    async def story() -> dict[str, Any]:
        spec = spec_of(tmp_path, code="import what_is_not_there")
        async with running(tmp_path, spec) as lambda_:
            return await lambda_.ask()

    failed = asyncio.run(story())
    assert "Unhandled" == failed["FunctionError"]
    assert "what_is_not_there" in failed["read"]["errorMessage"]


def test_a_function_that_stands_in_its_template_runs_too(tmp_path: Path) -> None:
    async def story() -> dict[str, Any]:
        code = "def handle(event, context):\n    return {'valid': event['amount'] > 0}"
        spec = spec_of(tmp_path, Code={"ZipFile": code})
        assert spec.asset is None
        async with running(tmp_path, spec) as lambda_:
            return await lambda_.ask(amount=1)

    assert {"valid": True} == asyncio.run(story())["read"]


def test_what_is_compiled_for_another_machine_is_left_out_of_the_asset(tmp_path: Path) -> None:
    asset = tmp_path / "asset"
    for name in ("plain", "foreign", "native", "other_python"):
        (asset / name).mkdir(parents=True)
        (asset / name / "__init__.py").write_text("")
    arm = b"\x7fELF" + b"\0" * 14 + (0xB7 if _machine() != 0xB7 else 0x3E).to_bytes(2, "little")
    (asset / "foreign" / "fast.abi3.so").write_bytes(arm)
    ours = b"\x7fELF" + b"\0" * 14 + _machine().to_bytes(2, "little")
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    (asset / "native" / f"fast{suffix}").write_bytes(ours)
    (asset / "other_python" / "fast.cpython-39-x86_64-linux-gnu.so").write_bytes(ours)
    left_out = lay_over(asset, tmp_path / "code")
    assert ("foreign", "other_python") == left_out
    assert ["native", "plain"] == sorted(path.name for path in (tmp_path / "code").iterdir())


def _machine() -> int:
    """Return ELF's number of this machine's processor."""
    return {"x86_64": 0x3E, "aarch64": 0xB7, "arm64": 0xB7}[platform.machine()]


def _with(spec: FunctionSpec, **changed: Any) -> FunctionSpec:
    return msgspec.structs.replace(spec, **changed)
