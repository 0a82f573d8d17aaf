"""`twin up`: the twin with a demonstration in it, told to the user, until Ctrl-C.

It is separate from the other commands of the twin because it alone needs the packages that run one.
"""

from __future__ import annotations

import asyncio
import shlex
from pathlib import Path

import click

from evertill.quickstart import demo
from evertill.quickstart.backing import shown
from evertill.quickstart.demo import Demo
from evertill.quickstart.state import State
from evertill.twin.plan.images import OURS
from evertill.twin.running.ground import AUTHORITIES, NOTHING, Wanted
from evertill.twin.running.session import running, until_told_to_stop
from evertill.twin.running.twin import Twin


def run(
    path: Path,
    folder: Path,
    *,
    speed: float,
    count_max: int | None,
    allows_unsupported: bool,
    wanted: Wanted = NOTHING,
) -> None:
    """Run the assembly at `path` until told to stop; raise a TwinError if it cannot be."""
    absolute = folder.absolute()

    async def session() -> None:
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
            await until_told_to_stop()
            click.echo(f"Stopping: databases and services end in good order; {_what_stays(twin)}.")

    asyncio.run(session())


async def _welcome(twin: Twin, folder: Path) -> str:
    lines = [f"The twin runs {' and '.join(twin.regions)}.", ""]
    lines += [f"  AWS API  {url}  ({region})" for region, url in twin.endpoints.items()]
    lines += [f"  DNS      {twin.server.host}:{twin.server.port}"]
    lines += [f"  Console  {twin.control_url}"]
    lines += [f"  Events   {shown(folder / 'events.jsonl')}"]
    key = twin.key = await _demonstration(twin, folder)
    if twin.door is not None and key is not None:
        port = next(port for port, behind in twin.door.doors.ports if behind == 443)  # noqa: PLR2004 - HTTPS
        access = Demo(f"https://localhost:{port}", key)
        demo.write(State(folder), access)
        # The certificate is the twin's own authority's, which curl has to be told.
        authorities = shlex.quote(str(shown(folder / AUTHORITIES)))
        payment = demo.first_payment(access).replace("curl ", f"curl --cacert {authorities} ", 1)
        lines += [f"  API key  {key}", "", "Take a first payment:", "", payment]
    return "\n".join(["", *lines, "", f"Ctrl-C stops everything; {_what_stays(twin)}.", ""])


def _what_stays(twin: Twin) -> str:
    return "nothing of it is kept" if twin.ground.disk_mb else "the data stays"


async def _demonstration(twin: Twin, folder: Path) -> str | None:
    """Return the key of a demonstration merchant, None where the service is not ours."""
    is_ours = any(image.kind == OURS for image in twin.ground.plan.images())
    url = await twin.databases.owner_url() if is_ours else None
    if url is None:
        return None
    return await asyncio.to_thread(demo.find_or_make_key, State(folder), url)
