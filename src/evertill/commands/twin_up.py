"""`twin up`: the twin with a demonstration in it, told to the user, until Ctrl-C.

It is separate from the other commands of the twin because it alone needs the packages that run one.
"""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import ssl
from pathlib import Path
from typing import Final

import click
import httpx

from evertill.quickstart import demo
from evertill.quickstart.backing import shown
from evertill.quickstart.demo import Demo
from evertill.quickstart.state import State
from evertill.twin.plan.images import OURS
from evertill.twin.running.ground import AUTHORITIES, EVENTS, NOTHING, Wanted
from evertill.twin.running.session import Stopping, running
from evertill.twin.running.twin import Twin

EXIT_INTERRUPTED: Final = 130
HTTPS_PORT: Final = 443
READY_TIMEOUT_S: Final = 90.0
READY_CALL_TIMEOUT_S: Final = 2.0
READY_PAUSE_S: Final = 0.2
# Every process learns by itself that it may write, and the load balancer chooses among them all:
# one of six that does not know yet is missed by so many questions once in a thousand starts.
READY_IN_A_ROW: Final = 40


def run(
    path: Path,
    folder: Path,
    *,
    speed: float,
    count_max: int | None,
    allows_unsupported: bool,
    wanted: Wanted = NOTHING,
) -> int:
    """Run the assembly at `path` until told to stop; return the exit status.

    Raise a TwinError if it cannot be run, with everything stopped that was started.
    """
    absolute = folder.absolute()

    async def session() -> int:
        stopping = Stopping()
        try:
            async with running(
                path,
                absolute,
                say=click.echo,
                speed=speed,
                count_max=count_max,
                allows_unsupported=allows_unsupported,
                wanted=wanted,
            ) as twin:
                click.echo(await _welcome(twin, folder))
                await stopping.wait()
                click.echo(f"Stopping: databases and services end in good order; {_stays(twin)}.")
        except asyncio.CancelledError:
            if not stopping.is_told:
                raise
            click.echo("Stopped before the start was finished; nothing was lost.")
            return EXIT_INTERRUPTED
        return 0

    return asyncio.run(session())


async def _welcome(twin: Twin, folder: Path) -> str:
    """Return the one page that a newcomer reads: first what to do, then what else there is."""
    regions = " and ".join(twin.regions)
    key = twin.key = await _demonstration(twin, folder)
    lines = [f"Evertill runs in {regions}.", ""]
    if twin.door is not None and key is not None:
        port = next(port for port, behind in twin.door.doors.ports if behind == HTTPS_PORT)
        access = Demo(f"https://localhost:{port}", key, str(twin.ground.authorities.absolute()))
        demo.write(State(folder), access)
        await _until_ready(access, folder)
        # The certificate is the twin's own authority's, which curl has to be told.
        authorities = shlex.quote(str(shown(folder / AUTHORITIES)))
        payment = demo.first_payment(access).replace("curl ", f"curl --cacert {authorities} ", 1)
        lines = [f"Evertill takes payments at {access.url}, in {regions}.", ""]
        lines += [f"  API key  {key}", _console(twin), ""]
        lines += ["Take a first payment: paste this into another terminal.", "", payment, ""]
    else:
        lines.append(_console(twin))
    lines += [f"  AWS API  {url}  ({region})" for region, url in twin.endpoints.items()]
    lines += [f"  DNS      {twin.server.host}:{twin.server.port}"]
    lines += [f"  Events   {shown(folder / EVENTS)}"]
    return "\n".join(["", *lines, "", f"Ctrl-C stops everything; {_stays(twin)}.", ""])


async def _until_ready(access: Demo, folder: Path) -> None:
    """Wait until the service can take a payment; after a while tell that it cannot yet."""
    click.echo("Waiting until a payment can be taken.")
    context = ssl.create_default_context(cafile=str(folder / AUTHORITIES))
    # Each question on a connection of its own, or all would go to the same process.
    alone = httpx.Limits(max_keepalive_connections=0)
    async with httpx.AsyncClient(
        verify=context, timeout=READY_CALL_TIMEOUT_S, limits=alone
    ) as client:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(READY_TIMEOUT_S):
                in_a_row = 0
                while in_a_row < READY_IN_A_ROW:
                    if await _is_ready(client, access):
                        in_a_row += 1
                    else:
                        in_a_row = 0
                        await asyncio.sleep(READY_PAUSE_S)
                return
    click.echo(
        f"No region was ready within {READY_TIMEOUT_S:.0f} s; {shown(folder / EVENTS)} tells why."
    )


async def _is_ready(client: httpx.AsyncClient, access: Demo) -> bool:
    try:
        return (await client.get(f"{access.url}/ready")).is_success
    except httpx.HTTPError:
        return False


def _stays(twin: Twin) -> str:
    return "nothing of it is kept" if twin.ground.disk_mb else "the data stays"


def _console(twin: Twin) -> str:
    return f"  Console  {twin.control_url}"


async def _demonstration(twin: Twin, folder: Path) -> str | None:
    """Return the key of a demonstration merchant, None where the service is not ours."""
    is_ours = any(image.kind == OURS for image in twin.ground.plan.images())
    url = await twin.databases.owner_url() if is_ours else None
    if url is None:
        return None
    return await asyncio.to_thread(demo.find_or_make_key, State(folder), url)
