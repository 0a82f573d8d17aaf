"""What the database parts are told: clusters, their instances, and where their gates stand.

They are separate from the planner, so that a part and its tests need no templates.
"""

from __future__ import annotations

import msgspec


class MemberSpec(msgspec.Struct, frozen=True, kw_only=True):
    """An instance of a cluster, or a zone's copy of its log; `host` is where its gate listens."""

    identifier: str
    zone: str
    host: str
    port: int
    tier: int = 1
    instance_class: str = ""
    arn: str = ""
    resource_id: str = ""


class ClusterSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A cluster of one region.

    `password` is the master's as the template writes it: a text, or a reference to a secret that
    is resolved when the cluster is founded. A cluster without a master joins as a secondary;
    `owner` is the first user that its data has, its own or the one that it gets by replication.
    """

    region: str
    identifier: str
    arn: str
    resource_id: str
    engine: str
    engine_version: str
    port: int
    instances: tuple[MemberSpec, ...]
    logs: tuple[MemberSpec, ...]
    database: str = ""
    master: str = ""
    password: str = ""
    owner: str = ""
    iam: bool = False
    force_ssl: bool = False
    parameter_group: str = ""
    parameters: dict[str, str] = {}
    global_identifier: str = ""

    @property
    def name(self) -> str:
        """Return the name of its part."""
        return f"{self.region}/database/{self.identifier}"


class GlobalSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A global cluster: its members' part names, the first of which is the first primary."""

    identifier: str
    arn: str
    resource_id: str
    engine: str
    engine_version: str
    members: tuple[str, ...]
