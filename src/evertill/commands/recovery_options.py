"""What every command of `recovery` is told: the environment, where its regions are, and the folder.

It is separate from the commands because those of reconciliation take the same.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from evertill.domain.errors import UsageError
from evertill.recovery import simulated
from evertill.recovery.deployment import Deployment, read_deployment
from evertill.recovery.regions import Report, Reports
from evertill.recovery.surroundings import Surroundings

ENDPOINTS_VARIABLE: Final = "EVERTILL_RECOVERY_ENDPOINTS"
AUTHORITIES_VARIABLE: Final = "EVERTILL_RECOVERY_AUTHORITIES"
KEY_VARIABLE: Final = "EVERTILL_RECOVERY_API_KEY"
SPEED_VARIABLE: Final = "EVERTILL_TIME_SCALE"
SPEED_MAX: Final = 60.0
FOLDER: Final = Path(".evertill") / "recovery"
TWIN: Final = Path(".evertill") / "twin"


class Given(msgspec.Struct, frozen=True):
    """What the user gave, made ready."""

    around: Surroundings
    doors: simulated.Doors
    folder: Path
    key: str

    @property
    def deployment(self) -> Deployment:
        """Return the environment."""
        return self.around.deployment

    def forgo(self, region: str) -> None:
        """Call nothing of a region any more: it is failed over from."""
        self.around.forgo(region)
        self.doors.forgo(region)


def surroundings_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `given`, made of the options that all commands of recovery share."""
    options = (
        click.option(
            "--environment",
            default="dev",
            show_default=True,
            help="The environment, by its name or by its TOML file.",
        ),
        click.option(
            "--endpoint",
            "endpoints",
            multiple=True,
            metavar="REGION=URL",
            help="Where a region's AWS API is, if not at AWS. Repeat it for each region.",
        ),
        click.option(
            "--authorities",
            type=click.Path(path_type=Path, exists=True, dir_okay=False),
            help=f"Certificate authorities of the databases. Else {AUTHORITIES_VARIABLE}.",
        ),
        click.option(
            "--folder",
            type=click.Path(path_type=Path),
            default=FOLDER,
            show_default=True,
            help="Where runs keep their journals and reports.",
        ),
        click.option(
            "--twin",
            type=click.Path(path_type=Path),
            default=TWIN,
            show_default=True,
            help="The folder of a twin, which tells its endpoints while it runs.",
        ),
    )

    @functools.wraps(command)
    def wrapped(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - as click calls it
        taken = {
            name: named.pop(name)
            for name in ("environment", "endpoints", "authorities", "folder", "twin")
        }
        return command(*arguments, given=_given(os.environ, **taken), **named)

    for option in reversed(options):
        wrapped = option(wrapped)
    return wrapped


def _given(
    variables: Mapping[str, str],
    *,
    environment: str,
    endpoints: tuple[str, ...],
    authorities: Path | None,
    folder: Path,
    twin: Path,
) -> Given:
    deployment = read_deployment(environment)
    told = endpoints or tuple(variables.get(ENDPOINTS_VARIABLE, "").split())
    status = {} if told else simulated.control(twin)
    reached = _endpoints(told, deployment) or simulated.endpoints(status)
    is_simulated = bool(reached) and all(map(simulated.is_simulated, reached.values()))
    if is_simulated:
        _lend_credentials()
        authorities = authorities or _existing(twin / "authorities.pem")
    given = variables.get(AUTHORITIES_VARIABLE)
    doors = simulated.Doors(reached, deployment)
    around = Surroundings(
        deployment,
        endpoints=reached,
        find_door=doors.find,
        authorities=authorities or (Path(given) if given else None),
        speed=_speed(variables, status, is_simulated=is_simulated),
        reports=Reports(_say),
    )
    key = variables.get(KEY_VARIABLE) or (simulated.demonstration_key(twin) if is_simulated else "")
    return Given(around, doors, folder, key)


def _endpoints(told: tuple[str, ...], deployment: Deployment) -> dict[str, str]:
    found = {}
    for text in told:
        region, separator, url = text.partition("=")
        if not separator or region not in deployment.regions:
            message = f"{text!r} is no REGION=URL of {' and '.join(deployment.regions)}."
            raise UsageError(message)
        found[region] = url
    if found and len(found) != len(deployment.regions):
        missing = ", ".join(sorted(set(deployment.regions) - set(found)))
        message = f"Name an endpoint for {missing} too, or for none."
        raise UsageError(message)
    return found


def _speed(variables: Mapping[str, str], status: Mapping[str, Any], *, is_simulated: bool) -> float:
    text = variables.get(SPEED_VARIABLE) or str(status.get("speed", 1.0))
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 1 <= speed <= SPEED_MAX:
        raise UsageError(f"{SPEED_VARIABLE} must be 1 to {SPEED_MAX:.0f}, not {text}.")
    if speed != 1 and not is_simulated:
        message = f"{SPEED_VARIABLE} is for simulations: where AWS itself answers it must be 1."
        raise UsageError(message)
    return speed


def _lend_credentials() -> None:
    """Let the SDK sign, where nobody checks by whom and the user has no keys of AWS."""
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        os.environ.setdefault(variable, "operator")


def _existing(path: Path) -> Path | None:
    return path if path.is_file() else None


def _say(report: Report) -> None:
    click.echo(f"   {report.region} {report.call}: {report.text}", err=True)
