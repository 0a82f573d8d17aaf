"""What AWS adds to a recovery that the twin does not model, by the names that drill files use.

It is separate because every figure of a drill is only as good as what is said beside it. The
sentences follow Amazon's own pages: "High availability for Amazon Aurora" (failover), "Using
switchover or failover in Aurora Global Database" (recovery in minutes), the CloudWatch and Route 53
developer guides (periods, health checkers), and "Amazon ECS task launch" (network interfaces).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from evertill.drill.errors import DrillUnreadable

ADDS: Final = {
    "tasks": (
        "Fargate attaches a network interface and pulls the image before a task starts, which takes"
        " tens of seconds; the twin starts a process."
    ),
    "failover": (
        "Aurora promotes a reader in under 60 s as a rule, often under 30 s, and moves the"
        " endpoint's DNS; the twin promotes a PostgreSQL in a second or two after it has noticed."
    ),
    "global-switchover": (
        "A managed switchover of an Aurora global database takes minutes in which the database"
        " takes no writes; the twin's takes seconds."
    ),
    "global-failover": (
        "A managed failover of an Aurora global database takes minutes, in the order of its"
        " documented recovery time; the twin's promotion takes seconds. Add those minutes to the"
        " recovery time."
    ),
    "approval": (
        "A person reads the plan and types the expected loss; the drill's approval is automatic."
    ),
    "zone": (
        "A zone that fails may be slow before it is gone, and Elastic Load Balancing takes its"
        " address out of DNS within a minute or so; the twin's zone is gone at once."
    ),
    "names": (
        "Resolvers of operators and clients that keep answers longer than their time to live are"
        " not modelled; this client's cache keeps them as long as it may, and no longer."
    ),
    "alarms": (
        "CloudWatch gets metrics late: some by a minute or more, replication metrics of another"
        " region among them. The twin's alarms see each period as it ends."
    ),
    "storage": (
        "Aurora's six copies of the volume lose nothing with a zone. The twin's readers stream the"
        " log and are promoted as they are; commits wait for them."
    ),
    "disk": "Aurora's volume grows by itself up to 128 TiB; the twin's disk is of a fixed size.",
}


def adds(names: Iterable[str]) -> list[str]:
    """Return the sentences of these names; raise DrillUnreadable for one there is not."""
    found = []
    for name in names:
        if name not in ADDS:
            known = ", ".join(ADDS)
            raise DrillUnreadable(f"AWS adds nothing called {name!r}; there is {known}.")
        found.append(ADDS[name])
    return found
