"""What the tests of tasks and services share: real tools in a folder, specifications, waiting."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from evertill.twin.addresses import Addresses, Site
from evertill.twin.clock import Clock
from evertill.twin.errors import TwinError
from evertill.twin.parts.checks import Checks
from evertill.twin.parts.programs import Programs
from evertill.twin.parts.task import LogReader, TaskTools
from evertill.twin.plan.images import Image, image_of
from evertill.twin.plan.tasks import ContainerSpec, Probe, TaskSpec
from evertill.twin.processes import Processes

DEADLINE_S = 60.0
REGION = "us-east-1"
ZONES = ("us-east-1a", "us-east-1b", "us-east-1c")
PORT = 8080
NODE_IMAGE = image_of("node:20-alpine")
OUR_IMAGE = image_of("123456789012.dkr.ecr.us-east-1.amazonaws.com/evertill:dev")
# It answers /health, remembers SIGTERM, and ends with status 3 when it is asked for /die.
WEB = """
const http = require('http');
http.createServer((request, response) => {
  if (request.url === '/die') process.exit(3);
  response.writeHead(request.url === '/health' ? 200 : 404);
  response.end(process.env.GREETING || '');
}).listen(8080);
process.on('SIGTERM', () => process.exit(0));
"""


class Around:
    """The surroundings of tasks, with secrets and files that a test chooses."""

    def __init__(self, secrets: Mapping[str, str] = {}, files: Mapping[str, Path] = {}) -> None:
        self.secrets = dict(secrets)
        self.files = dict(files)

    def environment(self, region: str, role: str, task: str) -> Mapping[str, str]:
        return {"TWIN_TEST_TASK": f"{region} {role} {task}"}

    async def secret(self, region: str, value_from: str) -> str:
        del region
        if value_from not in self.secrets:
            raise TwinError(f"There is no secret {value_from}.")
        return self.secrets[value_from]

    def file(self, supply: str) -> Path | None:
        return self.files.get(supply)


class Bench:
    """A site with its tools, for one test."""

    def __init__(
        self,
        folder: Path,
        site: int,
        speed: float,
        around: Around,
        logs: Mapping[str, LogReader] = {},
    ) -> None:
        self.folder = folder
        self.site = site
        self.clock = Clock(speed)
        self.processes = Processes(folder / "record")
        self.addresses = Addresses(site, {REGION: ZONES})
        self.checks = Checks(self.processes, folder)
        programs = Programs(folder / "programs")
        self.tools = TaskTools(self.clock, self.processes, self.checks, programs, around, logs)


@asynccontextmanager
async def bench(
    folder: Path,
    speed: float = 60.0,
    around: Around | None = None,
    logs: Mapping[str, LogReader] = {},
) -> AsyncIterator[Bench]:
    """Give the tools; whatever still runs afterwards is ended."""
    with Site() as site:
        made = Bench(folder, site.number, speed, around or Around(), logs)
        try:
            yield made
        finally:
            await made.checks.stop()
            await made.processes.end_all()


def container(
    *command: str,
    image: Image = NODE_IMAGE,
    name: str = "web",
    environment: Mapping[str, str] = {},
    probe: Probe | None = None,
    stop_timeout_s: float = 20.0,
    **fields: object,
) -> ContainerSpec:
    """Return a container that runs `command`."""
    return ContainerSpec(
        name=name,
        image=image,
        arguments=command,
        environment={zone: dict(environment) for zone in ZONES},
        ports=(PORT,),
        probe=probe,
        stop_timeout_s=stop_timeout_s,
        **fields,  # type: ignore[arg-type] # the tests' own names
    )


def definition(*containers: ContainerSpec, family: str = "app", revision: int = 1) -> TaskSpec:
    """Return a task definition."""
    return TaskSpec(
        family=family,
        region=REGION,
        account="123456789012",
        containers=containers,
        revision=revision,
    )


async def until(condition: Callable[[], bool], what: str = "what was awaited") -> None:
    """Wait until a condition of this process is true."""
    try:
        async with asyncio.timeout(DEADLINE_S):
            while not condition():  # noqa: ASYNC110 - processes of others tell nobody
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"{what} did not come") from None
