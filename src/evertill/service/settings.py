"""What the service is told by its environment, typed, and read once at the start.

The names are the contract with the task definition; a test holds the two together.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from evertill.domain.errors import UsageError

WORKERS_MAX: Final = 32
PORT_MAX: Final = 65_535
TIME_SCALE_MAX: Final = 60


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of one service: where it listens and which database it uses.

    With `database_login` "iam" the URL holds no password: the service logs in as its task's role,
    in `region` (see `login`). What only reads may go to `database_reader_url` while the writer does
    not answer.
    """

    database_url: str
    database_reader_url: str = ""
    database_login: Literal["password", "iam"] = "password"
    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 2
    region: str = "local"
    # The transaction log goes to the bucket, else to the folder; with neither, events wait.
    log_bucket: str = ""
    log_folder: str = ""
    # Events are published to this SNS topic, where one is named.
    events_topic_arn: str = ""
    # The table of the write lease and the regions of its replicas, this one first, with commas
    # between; without a table there is no other region, and this one writes.
    authority_table: str = ""
    authority_regions: str = ""
    # Divides the durations of leases and of the service's own intervals, where time is simulated.
    time_scale: float = 1.0
    # What answers instead of AWS, here and in tests.
    aws_endpoint_url: str = ""
    # Whether webhooks may go to private addresses and over plain HTTP: for a machine of one's own.
    webhooks_private: bool = False

    def environment(self) -> dict[str, str]:
        """Return the environment that reads back as these settings, for worker processes."""
        return {_NAMES[field]: str(getattr(self, field)) for field in self.__struct_fields__}


_NAMES: Final = {field: f"EVERTILL_{field.upper()}" for field in Settings.__struct_fields__}


def read_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings; raise UsageError, naming the variable, for what cannot be used."""
    given = {field: environment[name] for field, name in _NAMES.items() if environment.get(name)}
    try:
        settings = msgspec.convert(given, Settings, strict=False)
    except msgspec.ValidationError as failure:
        field = str(failure).rpartition("`$.")[2].rstrip("`") or "database_url"
        message = f"{_NAMES.get(field, 'EVERTILL_DATABASE_URL')} is missing or wrong: {failure}"
        raise UsageError(message) from None
    if not 1 <= settings.workers <= WORKERS_MAX:
        message = f"EVERTILL_WORKERS must be 1 to {WORKERS_MAX}, not {settings.workers}."
        raise UsageError(message)
    if not 0 <= settings.port <= PORT_MAX:
        message = f"EVERTILL_PORT must be 0 to {PORT_MAX}, not {settings.port}."
        raise UsageError(message)
    if not 1 <= settings.time_scale <= TIME_SCALE_MAX:
        message = f"EVERTILL_TIME_SCALE must be 1 to {TIME_SCALE_MAX}, not {settings.time_scale}."
        raise UsageError(message)
    simulated = settings.aws_endpoint_url or environment.get("AWS_ENDPOINT_URL")
    if settings.time_scale != 1 and not simulated:
        message = "EVERTILL_TIME_SCALE is for simulations: where AWS itself answers it must be 1."
        raise UsageError(message)
    return settings
