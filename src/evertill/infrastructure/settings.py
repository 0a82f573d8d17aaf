"""What an environment may be told: typed, complete, and read from one TOML file.

It is separate from everything of the CDK, so that a mistake in a file is one sentence at once and
costs no start of Node. What a single field may hold stands here; what fields may hold together
stands in `refusals`.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from evertill.infrastructure import refusals
from evertill.infrastructure.errors import SettingsError
from evertill.infrastructure.wording import sentence

ENVIRONMENTS: Final = ("dev", "prod")
FOLDER: Final = Path(__file__).parents[3] / "deploy" / "environments"
REHEARSAL: Final = "rehearsal.toml"

Account = Annotated[str, Meta(pattern=r"^[0-9]{12}$")]
Digest = Annotated[str, Meta(pattern=r"^sha256:[0-9a-f]{64}$")]
Region = Annotated[str, Meta(pattern=r"^[a-z]{2}(-[a-z]+)+-[0-9]$")]
Positive = Annotated[int, Meta(ge=1)]


class Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table of the file: an unknown key is a mistake, never ignored."""


class RegionSettings(Strict, frozen=True, kw_only=True):
    """One region: its addresses and its three zones, named because lookups need an account."""

    name: Region
    cidr: str
    zones: tuple[str, str, str]


class NetworkSettings(Strict, frozen=True, kw_only=True):
    """What the network costs: see decision 0014."""

    nat_gateways: Annotated[int, Meta(ge=1, le=3)]
    interface_endpoint_zones: Annotated[int, Meta(ge=1, le=3)]
    # What CloudWatch Logs knows as retentions, a choice of them.
    flow_log_days: Literal[7, 30, 90, 365, 400]


class DatabaseSettings(Strict, frozen=True, kw_only=True):
    """The two Aurora clusters, which are of one size because either may be the writer's."""

    engine_version: Annotated[str, Meta(pattern=r"^(15|16|17)\.[0-9]+$")]
    instance_class: Annotated[str, Meta(pattern=r"^[rx][0-9][a-z]*\.[0-9]*x?large$")]
    standby_instances: Annotated[int, Meta(ge=1, le=3)]
    backup_days: Annotated[int, Meta(ge=7, le=35)]
    insights_days: Literal[7, 465]
    backup_copy_days: Annotated[int, Meta(ge=7)]


class ServiceSettings(Strict, frozen=True, kw_only=True):
    """The containers: which image, how large, how many."""

    image_repository: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9/_.-]*$")] = "evertill"
    image_digest: Digest | None = None
    base_image_digest: Digest | None = None
    cpu: Literal[256, 512, 1024, 2048, 4096] = 1024
    memory_mib: Annotated[int, Meta(ge=512, le=30_720)] = 2048
    tasks_min: Positive
    tasks_max: Positive
    standby_tasks_min: Positive
    validation_concurrency: Positive


class LogSettings(Strict, frozen=True, kw_only=True):
    """The transaction log's buckets: how long what is written stands."""

    lock_mode: Literal["governance", "compliance"]
    lock_days: Positive
    noncurrent_days: Positive
    access_log_days: Positive


class Settings(Strict, frozen=True, kw_only=True):
    """Everything that an environment may differ in."""

    environment: Literal["dev", "prod"]
    suffix: str
    account: Account | None = None
    domain: str
    hosted_zone: str = "create"
    alert_email: str | None = None
    active: RegionSettings
    standby: RegionSettings | None
    witness_region: Region | None = None
    network: NetworkSettings
    database: DatabaseSettings
    service: ServiceSettings
    log: LogSettings
    rehearsal: bool = False

    @property
    def regions(self) -> tuple[RegionSettings, ...]:
        """The active region and, when there is one, the standby."""
        return (self.active,) if self.standby is None else (self.active, self.standby)

    def is_active(self, region: str) -> bool:
        """Tell whether `region` is the one that writes after the first deployment."""
        return region == self.active.name

    def peer(self, region: str) -> str | None:
        """Return the other region's name, None when there is a single one."""
        return next((r.name for r in self.regions if r.name != region), None)


def read_environment(name: str, *, rehearsal: bool = False, folder: Path = FOLDER) -> Settings:
    """Read `dev` or `prod`; with `rehearsal`, stand-ins fill what only an owner can know."""
    if name not in ENVIRONMENTS:
        message = f"{name!r} is no environment; name one of {', '.join(ENVIRONMENTS)}."
        raise SettingsError(message)
    overlay = folder / REHEARSAL if rehearsal else None
    return read_settings(folder / f"{name}.toml", overlay)


def read_settings(path: Path, overlay: Path | None = None) -> Settings:
    """Read and check a file; raise SettingsError, one sentence, for the first mistake."""
    table = _load(path)
    if overlay is not None:
        table = {**_merged(_load(overlay), table), "rehearsal": True}
    elif "rehearsal" in table:
        message = f"{path.name}: rehearsal is no setting of a file; pass it on the command line."
        raise SettingsError(message)
    if table.get("standby") == "none":
        table["standby"] = None
    try:
        settings = msgspec.convert(table, Settings)
    except msgspec.ValidationError as failure:
        raise SettingsError(f"{path.name}: {sentence(failure, Settings)}") from None
    refusal = refusals.first(settings)
    if refusal is not None:
        raise SettingsError(f"{path.name}: {refusal}")
    return settings


def _load(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as failure:
        message = f"{path.name} cannot be read: {failure.strerror}."
        raise SettingsError(message) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as failure:
        message = f"{path.name} is not readable TOML: {failure}."
        raise SettingsError(message) from None


def _merged(below: dict[str, object], above: dict[str, object]) -> dict[str, object]:
    """Return both tables as one; what stands in `above` wins, table by table."""
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        if isinstance(value, dict) and isinstance(under, dict):
            merged[key] = _merged(under, value)
        else:
            merged[key] = value
    return merged
