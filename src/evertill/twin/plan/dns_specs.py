"""What is known of DNS before it runs: hosted zones, their records, health checks.

It is separate from the planner that reads templates and from the server, as both and the API that
describes the records speak these words.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

# https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/health-checks-creating-values.html
CHECK_INTERVAL_S: Final = 30.0
FAILURE_THRESHOLD: Final = 3

CheckKind = Literal[
    "HTTP", "HTTPS", "HTTP_STR_MATCH", "HTTPS_STR_MATCH", "TCP", "CALCULATED", "CLOUDWATCH_METRIC"
]
# What a check that follows an alarm counts as while the alarm has no data.
Insufficient = Literal["Healthy", "Unhealthy", "LastKnownStatus"]


class AliasTarget(msgspec.Struct, frozen=True):
    """What an alias stands for: a load balancer's name, or another record of the same zone."""

    dns_name: str
    zone_id: str
    evaluates_health: bool = False


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A record set; names are absolute and in lower case, with a dot at their end.

    It is simple unless it has a `weight`, a `failover` role or is one of several values.
    """

    name: str
    type: str
    ttl_s: int = 0
    values: tuple[str, ...] = ()
    alias: AliasTarget | None = None
    set_identifier: str = ""
    health_check: str = ""
    weight: int | None = None
    failover: Literal["PRIMARY", "SECONDARY", ""] = ""
    is_multi_value: bool = False


class ZoneSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A hosted zone and the records that templates put into it."""

    id: str
    name: str
    records: tuple[Record, ...] = ()
    is_private: bool = False
    comment: str = ""


class CheckSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A health check. `children` are the ids that one of type CALCULATED counts.

    `alarm` is the region and the name that one of type CLOUDWATCH_METRIC follows.
    """

    id: str
    kind: CheckKind
    name: str = ""
    domain_name: str = ""
    address: str = ""
    port: int = 80
    path: str = "/"
    search: str = ""
    sends_server_name: bool = True
    interval_s: float = CHECK_INTERVAL_S
    threshold: int = FAILURE_THRESHOLD
    regions: tuple[str, ...] = ()
    is_inverted: bool = False
    is_disabled: bool = False
    children: tuple[str, ...] = ()
    healthy_children_min: int = 0
    alarm: tuple[str, str] = ("", "")
    insufficient_data: Insufficient = "LastKnownStatus"


class Doors(msgspec.Struct, frozen=True):
    """What the front door opens: the public name, and a listener's port behind each port here."""

    name: str
    ports: tuple[tuple[int, int], ...]


def absolute(name: str) -> str:
    """Return a name in lower case with a dot at its end, with AWS's escape for a star undone."""
    return name.lower().replace("\\052", "*").rstrip(".") + "."
