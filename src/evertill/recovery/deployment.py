"""Under which names an environment's parts are found: spelled from its settings, and never guessed.

It is separate because the names are a contract with the templates, which recovery does not import:
`deploy/environments/*.toml` and these words are all that both know. A test holds them together.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Final

import msgspec

from evertill.domain.errors import UsageError

FOLDER: Final = Path(__file__).parents[3] / "deploy" / "environments"


class Deployment(msgspec.Struct, frozen=True):
    """An environment: its regions, the first of which was the first to write, and its floors."""

    suffix: str
    domain: str
    regions: tuple[str, str]
    tasks_min: int
    tasks_max: int
    standby_tasks_min: int

    def named(self, what: str) -> str:
        """Return `payment-{what}-{suffix}`, the form of every name."""
        return f"payment-{what}-{self.suffix}"

    @property
    def global_database(self) -> str:
        """The global cluster that both regions' clusters joined."""
        return self.named("global")

    @property
    def database(self) -> str:
        """The cluster of either region."""
        return self.named("db")

    @property
    def admin_secret(self) -> str:
        """The secret with the administrator's login; the standby has a replica of it."""
        return f"{self.database}-admin"

    @property
    def lease_table(self) -> str:
        """The table of the write lease."""
        return self.named("lease")

    @property
    def scaled(self) -> str:
        """The service as Application Auto Scaling names it."""
        return f"service/{self.named('cluster')}/{self.named('service')}"

    @property
    def front(self) -> str:
        """The name that clients call."""
        return f"payments.{self.domain}"

    def regional(self, region: str) -> str:
        """Return the name under which one region answers, whoever writes."""
        return f"{region}.{self.front}"

    def other(self, region: str) -> str:
        """Return the other region; raise UsageError for one that this environment does not have."""
        if region not in self.regions:
            message = (
                f"{region} is no region of this environment: {' and '.join(self.regions)} are."
            )
            raise UsageError(message)
        return next(name for name in self.regions if name != region)


def read_deployment(name: str) -> Deployment:
    """Read an environment by its name or its file; raise UsageError for what cannot be read."""
    path = Path(name) if name.endswith(".toml") else FOLDER / f"{name}.toml"
    try:
        table: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        return _deployment(table)
    except OSError as failure:
        message = f"The environment {name} cannot be read: {failure.strerror}."
        raise UsageError(message) from None
    except tomllib.TOMLDecodeError as failure:
        raise UsageError(f"{path.name} is not readable TOML: {failure}.") from None
    except (KeyError, TypeError) as failure:
        message = f"{path.name} describes no environment with two regions: {failure} is missing."
        raise UsageError(message) from None


def _deployment(table: dict[str, Any]) -> Deployment:
    service = table["service"]
    return Deployment(
        suffix=table["suffix"],
        domain=table["domain"],
        regions=(table["active"]["name"], table["standby"]["name"]),
        tasks_min=service["tasks_min"],
        tasks_max=service["tasks_max"],
        standby_tasks_min=service["standby_tasks_min"],
    )
