"""A task runs its containers as ECS would: commands, variables, checks and exits."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import pytest
from tests.twin.tasks import (
    OUR_IMAGE,
    PORT,
    REGION,
    WEB,
    ZONES,
    Around,
    Bench,
    bench,
    container,
    definition,
    until,
)

from evertill.twin.clock import Clock
from evertill.twin.metrics import MetricId, MetricStore
from evertill.twin.parts.container import HEALTHY, UNHEALTHY
from evertill.twin.parts.log_metrics import LogMetrics
from evertill.twin.parts.room import EVERY_INTERFACE
from evertill.twin.parts.task import EXITED, FAILED_TO_START, RUNNING, STOPPED, Task
from evertill.twin.plan.images import AUTHORITIES
from evertill.twin.plan.storage import MetricFilterSpec
from evertill.twin.plan.tasks import ContainerSpec, Probe

QUICK = Probe(("wget", "-q", "--spider", "http://localhost:8080/health"), 10, 5, 2, 0)


def made(bench: Bench, *containers: ContainerSpec, task_id: str = "one") -> Task:
    place = (ZONES[0], bench.addresses.take(ZONES[0], task_id))
    return Task(
        task_id, definition(*containers), place, folder=bench.folder / task_id, tools=bench.tools
    )


def told(
    folder: Path, story: Callable[[Bench], Awaitable[None]], around: Around | None = None
) -> None:
    async def run() -> None:
        async with bench(folder, around=around) as tools:
            await story(tools)

    asyncio.run(run())


async def page(task: Task, path: str = "/health", port: int = PORT) -> httpx.Response:
    async with httpx.AsyncClient(timeout=10) as client:
        return await client.get(f"http://{task.address}:{port}{path}")


async def answering(task: Task, path: str = "/health", port: int = PORT) -> httpx.Response:
    async with asyncio.timeout(40):
        while True:
            try:
                return await page(task, path, port)
            except httpx.TransportError:
                await asyncio.sleep(0.05)


def test_a_script_that_listens_everywhere_listens_at_its_tasks_address_only(tmp_path: Path) -> None:
    async def story(tools: Bench) -> None:
        one = made(tools, container("node", "-e", WEB, environment={"GREETING": "one"}))
        two = made(
            tools,
            container("sh", "-c", f'node -e "{WEB}"', environment={"GREETING": "two"}),
            task_id="two",
        )
        one.start()
        two.start()
        assert ["one", "two"] == [(await answering(task)).text for task in (one, two)]
        await asyncio.gather(*(task.stop("UserInitiated", "enough") for task in (one, two)))
        assert [STOPPED, STOPPED] == [one.status, two.status]
        assert {"web": 0} == one.exit_codes

    told(tmp_path, story)


def test_a_check_by_wget_passes_in_alpine_and_one_by_curl_never_does(tmp_path: Path) -> None:
    curl = Probe(("sh", "-c", "curl -f http://localhost:8080/health || exit 1"), 10, 5, 2, 0)

    async def story(tools: Bench) -> None:
        good = made(tools, container("node", "-e", WEB, probe=QUICK))
        bad = made(tools, container("node", "-e", WEB, probe=curl), task_id="two")
        good.start()
        bad.start()
        await until(lambda: good.health == HEALTHY, "a passing check")
        await until(lambda: bad.health == UNHEALTHY, "a failing check")
        assert RUNNING == bad.status
        assert "curl" in (tmp_path / "two" / "web" / "checks.log").read_text()

    told(tmp_path, story)


def test_our_own_service_starts_from_its_image_and_drains_on_sigterm(tmp_path: Path) -> None:
    bundle = tmp_path / "authorities.pem"
    bundle.write_text("")
    variables = {
        "EVERTILL_DATABASE_URL": "postgresql://payment_user@127.0.0.2:1/evertill"
        "?sslmode=verify-full&sslrootcert=/etc/evertill/rds-ca.pem",
        "EVERTILL_HOST": EVERY_INTERFACE,
        "EVERTILL_PORT": str(PORT),
        "EVERTILL_WORKERS": "1",
    }
    check = f"import urllib.request as r; r.urlopen('http://127.0.0.1:{PORT}/health', timeout=9)"
    ours = container(
        *("python", "-P", "-m", "evertill.cli", "serve"),
        image=OUR_IMAGE,
        environment=variables,
        probe=Probe(("python", "-c", check), 30, 20, 3, 30),
        mounts={"/scratch": "scratch"},
    )

    async def story(tools: Bench) -> None:
        task = made(tools, ours)
        task.start()
        assert 200 == (await answering(task)).status_code
        await until(lambda: task.health == HEALTHY, "a passing check")
        await task.stop("UserInitiated", "enough")
        assert {"web": 0} == task.exit_codes, (tmp_path / "one" / "web.log").read_text()

    told(tmp_path, story, Around(files={AUTHORITIES: bundle}))


def test_a_container_reads_its_variables_secrets_and_files_in_terms_of_this_machine(
    tmp_path: Path,
) -> None:
    bundle = tmp_path / "authorities.pem"
    show = (
        "import json, os; keys = ('HOST', 'URL', 'PASSWORD', 'TMPDIR', 'AWS_REGION', 'PATH');"
        "print(json.dumps({key: os.environ[key] for key in keys}))"
    )
    image = OUR_IMAGE
    asks = container(
        *("python", "-c", show),
        image=image,
        environment={
            "HOST": EVERY_INTERFACE,
            "URL": "db://host/x?ca=/etc/evertill/rds-ca.pem&y=0.0.0.0",
        },
        secrets={"PASSWORD": "arn:secret:password::"},
        mounts={"/scratch": "scratch"},
    )

    async def story(tools: Bench) -> None:
        task = made(tools, asks)
        task.start()
        await task.wait()
        read = json.loads((tmp_path / "one" / "web.log").read_text())
        assert task.address == read["HOST"]
        assert f"db://host/x?ca={bundle}&y=0.0.0.0" == read["URL"]
        assert "hush" == read["PASSWORD"]
        assert str(tmp_path / "one" / "volumes" / "scratch") == read["TMPDIR"]
        assert "us-east-1" == read["AWS_REGION"]
        assert str(tmp_path / "programs") in read["PATH"]

    told(tmp_path, story, Around({"arn:secret:password::": "hush"}, {AUTHORITIES: bundle}))


def test_a_secret_within_a_variable_is_put_there_as_cloudformation_would(tmp_path: Path) -> None:
    arn = "arn:aws:secretsmanager:us-east-1:1:secret:db-ab12cd"
    variables = {
        "URL": f"db://{{{{resolve:secretsmanager:{arn}:SecretString:username::}}}}@host",
        "WHOLE": "{{resolve:secretsmanager:plain}}",
    }
    show = container("sh", "-c", 'echo "$URL $WHOLE"', environment=variables)

    async def story(tools: Bench) -> None:
        task = made(tools, show)
        task.start()
        await task.wait()
        assert "db://admin@host all\n" == (tmp_path / "one" / "web.log").read_text()

    told(tmp_path, story, Around({f"{arn}:username::": "admin", "plain:::": "all"}))


def test_a_task_whose_secret_is_missing_fails_to_start_and_says_so(tmp_path: Path) -> None:
    async def story(tools: Bench) -> None:
        task = made(tools, container("node", "-e", WEB, secrets={"PASSWORD": "arn:nowhere"}))
        task.start()
        await task.wait()
        assert (STOPPED, FAILED_TO_START) == (task.status, task.stop_code)
        assert "arn:nowhere" in task.stop_reason

    told(tmp_path, story)


def test_with_its_essential_container_a_task_ends_and_the_others_are_stopped(
    tmp_path: Path,
) -> None:
    async def story(tools: Bench) -> None:
        side = container("sh", "-c", "sleep 600", name="side", is_essential=False)
        task = made(tools, container("node", "-e", WEB), side)
        task.start()
        await answering(task)
        with pytest.raises(httpx.TransportError):
            await page(task, "/die")
        await task.wait()
        assert (STOPPED, EXITED) == (task.status, task.stop_code)
        assert {"web": 3, "side": 143} == task.exit_codes
        assert [] == list(tools.processes.running())

    told(tmp_path, story)


def test_a_container_waits_for_the_success_of_the_one_it_depends_on(tmp_path: Path) -> None:
    async def story(tools: Bench) -> None:
        first = container("sh", "-c", "touch ../done", name="first", is_essential=False)
        second = container(
            *("sh", "-c", "test -e ../done && sleep 600"),
            name="second",
            depends_on={"first": "SUCCESS"},
        )
        task = made(tools, second, first)
        task.start()
        await until(lambda: task.status == RUNNING, "a running task")
        assert {"second": None, "first": 0} == task.exit_codes
        broken = container("false", name="first", is_essential=False)
        task = made(tools, second, broken, task_id="two")
        task.start()
        await task.wait()
        assert FAILED_TO_START == task.stop_code

    told(tmp_path, story)


def test_a_task_that_ignores_sigterm_is_killed_after_its_stop_timeout(tmp_path: Path) -> None:
    async def story(tools: Bench) -> None:
        deaf = container(
            *(
                "node",
                "-e",
                "process.on('SIGTERM', () => {}); " + WEB.replace("exit(0)", "uptime()"),
            ),
            stop_timeout_s=0.3,
        )
        task = made(tools, deaf)
        task.start()
        await answering(task)
        await task.stop("UserInitiated", "enough")
        assert {"web": 137} == task.exit_codes

    told(tmp_path, story)


def test_a_frozen_task_keeps_its_connections_waiting_and_goes_on_when_thawed(
    tmp_path: Path,
) -> None:
    async def story(tools: Bench) -> None:
        task = made(tools, container("node", "-e", WEB, environment={"GREETING": "late"}))
        task.start()
        await answering(task)
        task.freeze()
        async with httpx.AsyncClient(timeout=0.5) as client:
            with pytest.raises(httpx.TimeoutException):
                await client.get(f"http://{task.address}:{PORT}/health")
        task.thaw()
        assert "late" == (await answering(task)).text

    told(tmp_path, story)


def test_a_port_that_needs_root_is_moved_up(tmp_path: Path) -> None:
    async def story(tools: Bench) -> None:
        low = Probe(("wget", "-qO-", "http://localhost/health"), 10, 5, 2, 0)
        task = made(tools, container("node", "-e", WEB.replace("8080", "80"), probe=low))
        task.start()
        assert 200 == (await answering(task, port=8080)).status_code
        await until(lambda: task.health == HEALTHY, "a passing check")

    told(tmp_path, story)


def test_the_processor_time_and_the_memory_of_a_task_are_measured(tmp_path: Path) -> None:
    async def story(tools: Bench) -> None:
        task = made(tools, container("node", "-e", WEB))
        task.start()
        await answering(task)
        seconds, memory_bytes = task.usage()
        assert seconds > 0
        assert memory_bytes > 10_000_000

    told(tmp_path, story)


def test_what_a_container_writes_counts_as_the_filters_of_its_log_group_say(
    tmp_path: Path,
) -> None:
    filters = MetricFilterSpec(
        region=REGION,
        log_group="/app",
        pattern='{ ($.message = "request") && ($.route != "/ready") && ($.status >= 500) }',
        namespace="App",
        metric="Failed",
        value="1",
    )
    lines = """
        echo '{"message":"request","route":"/v1","status":503}'
        echo '{"message":"request","route":"/ready","status":503}'
        echo '{"message":"request","route":"/v1","status":201}'
        echo 'no JSON'
        printf '{"message":"request","route":"/v2","status":500}\\n'
    """

    async def run() -> list[float]:
        metrics = MetricStore(Clock())
        reader = LogMetrics(REGION, [filters], Clock(), metrics)
        async with bench(tmp_path, logs={REGION: reader}) as tools:
            task = made(tools, container("sh", "-c", lines, log_group="/app"))
            task.start()
            await task.wait()
        assert 5 == reader.status()["lines"]
        window = metrics.window(MetricId(REGION, "App", "Failed"), 0, time.time() + 1)
        assert window is not None
        return [window.statistic("Sum")]

    assert [2.0] == asyncio.run(run())
