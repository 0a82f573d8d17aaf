"""A twin as the ground of a drill, over its control API and its AWS APIs, from outside.

It is separate from the drill, which needs no more than the protocol of `ground`.
"""

from __future__ import annotations

import asyncio
import os
import random
import ssl
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import psycopg

from evertill.drill.aws import SILENT, Region
from evertill.drill.doors import CachedName, Door, EitherRegion, look_up, trusting
from evertill.drill.errors import DrillUnreadable, FaultRefused, GroundUnready
from evertill.drill.ground import Alarm, Copy, Glance, Lease
from evertill.drill.steps import Value
from evertill.journal.stores import BucketStore

TIMEOUT_S: Final = 10.0
# A fault that restarts servers is answered when that is done.
FAULT_TIMEOUT_S: Final = 120.0
PROBE_TIMEOUT_S: Final = 2.0
OK: Final = 200
# A twin takes any login; a shell without one must not go and look for it elsewhere.
LOGIN: Final = {"AWS_ACCESS_KEY_ID": "operator", "AWS_SECRET_ACCESS_KEY": "operator"}
ALARM: Final = "ALARM"
LOG_WORD: Final = "logs"


class TwinGround:
    """The twin whose control API is at `url`."""

    def __init__(self, url: str, status: Mapping[str, Any]) -> None:
        """Take the twin as `status` describes it; raise GroundUnready when payments need more."""
        self._url: Final = url.rstrip("/")
        door = status["door"]
        if door is None or not door["key"]:
            raise GroundUnready("The twin has no demonstration merchant to take payments for.")
        self.speed: Final[float] = status["speed"]
        self.key: Final[str] = door["key"]
        self._authorities: Final[str] = door["ca"]
        self._port: Final = urlsplit(door["url"]).port or 443
        host, _, port = status["dns"]["server"].rpartition(":")
        self._server: Final = (host, int(port))
        self._names: Final = {
            name: region["name"] for name, region in status["regions"].items() if region["name"]
        }
        records = status["dns"]["records"]
        fronts = [record["name"] for record in records if record["role"] == "PRIMARY"]
        if not fronts or not self._names:
            raise GroundUnready("The twin's templates have no name that fails over.")
        self._front: Final[str] = fronts[0]
        self._regions: Final = {
            name: Region(name, region["endpoint"]) for name, region in status["regions"].items()
        }
        self._buckets: Final = _buckets(status)
        self._places: Final = _places(status)
        self._words: Final = _words(status)

    @classmethod
    def connect(cls, url: str) -> TwinGround:
        """Return the twin at `url`; raise GroundUnready when none answers there."""
        try:
            answer = httpx.get(f"{url.rstrip('/')}/status", timeout=TIMEOUT_S, trust_env=False)
            answer.raise_for_status()
            for variable, value in LOGIN.items():
                os.environ.setdefault(variable, value)
            return cls(url, answer.json())
        except httpx.HTTPError as failure:
            message = f"No twin's control API answers at {url}: {failure}."
            raise GroundUnready(message) from None

    @property
    def words(self) -> Mapping[str, str]:
        """What drill files may name."""
        return self._words

    @property
    def context(self) -> ssl.SSLContext:
        """What checks the servers' certificates: the twin's own authority."""
        return trusting(self._authorities)

    def doors(self, observers: Sequence[str], chance: random.Random) -> list[Door]:
        """Return the ways in: `active` and `standby` by their own names, `either`, `public`."""
        named = {role: self._names[self._words[role]] for role in ("active", "standby")}
        made: list[Door] = []
        for observer in observers:
            if observer == "either":
                both = [self._cached(name, chance) for name in named.values()]
                made.append(EitherRegion(observer, both))
            elif observer == "public":
                made.append(_Renamed(observer, self._cached(self._front, chance)))
            elif observer in named:
                made.append(_Renamed(observer, self._cached(named[observer], chance)))
            else:
                message = f"There is no observer {observer!r}; there is active, standby, either, "
                raise DrillUnreadable(f"{message}public.")
        return made

    def _cached(self, name: str, chance: random.Random) -> CachedName:
        return CachedName(
            name,
            self._server,
            speed=self.speed,
            chance=chance,
            region_of=lambda address: self._places.get(address, ""),
            port=self._port,
        )

    async def glance(self) -> Glance:
        """Look at everything once."""
        status = await self._ask("GET", "/status")
        lease = status["lease"]
        active, standby = _roles(status)
        return Glance(
            up_s=status["up_s"],
            active=active,
            standby=standby,
            is_steady=_is_steady(status),
            lease=Lease(lease["region"], lease["epoch"]) if lease else None,
            alarms=[
                Alarm(name, alarm["name"], change["at_s"])
                for name, region in status["regions"].items()
                for alarm in region["alarms"]
                for change in alarm["history"]
                if change["to"] == ALARM
            ],
        )

    async def inflict(self, fault: str, parameters: Mapping[str, Value]) -> str:
        """Do a fault and return its id; raise FaultRefused."""
        answer = await self._ask("POST", "/faults", {"fault": fault, **parameters})
        return str(answer["id"])

    async def undo(self, fault_id: str) -> None:
        """Undo a fault, or all of them for an empty id."""
        await self._ask("DELETE", f"/faults/{fault_id}" if fault_id else "/faults")

    async def deploy(self, kind: str, within_s: float) -> str:
        """Roll out a deployment of the active region's service; return how it ended."""
        region = self._regions[self._words["active"]]
        return await asyncio.to_thread(region.deploy, kind, within_s)

    async def is_ready(self, region: str) -> bool:
        """Ask a region's own name once whether it takes payments, as an outside probe does."""
        name = self._names[region]
        addresses, _ = await look_up(name, self._server)
        async with httpx.AsyncClient(
            verify=self.context, timeout=PROBE_TIMEOUT_S, trust_env=False
        ) as client:
            for address in addresses[:1]:
                try:
                    answer = await client.get(
                        f"https://{address}:{self._port}/ready",
                        headers={"host": name},
                        extensions={"sni_hostname": name},
                    )
                except httpx.HTTPError:
                    return False
                return answer.status_code == OK
        return False

    def databases(self) -> list[tuple[str, str]]:
        """Return the databases that can be asked now: the writer's first, with their DSNs."""
        found: list[tuple[bool, str, str]] = []
        for name, region in self._regions.items():
            try:
                found += [
                    (not is_writer, name, url)
                    for is_writer, url in region.databases(self._authorities)
                    if _answers(url)
                ]
            except SILENT:
                continue
        return [(name, url) for _, name, url in sorted(found)]

    def logs(self) -> list[Copy]:
        """Return the copies of the log that can be read now."""
        copies = []
        for name, buckets in self._buckets.items():
            for bucket in buckets:
                store = BucketStore(bucket, self._regions[name].endpoint, name)
                copies.append(Copy(f"{name}/{bucket}", store))
        return copies

    def recovery_arguments(self) -> list[str]:
        """Return the options by which `evertill recovery` finds this platform."""
        given = [f"--endpoint={name}={region.endpoint}" for name, region in self._regions.items()]
        return [*given, f"--authorities={self._authorities}"]

    async def _ask(
        self, method: str, path: str, body: Mapping[str, Value] | None = None
    ) -> dict[str, Any]:
        timeout_s = TIMEOUT_S if method == "GET" else FAULT_TIMEOUT_S
        try:
            async with httpx.AsyncClient(timeout=timeout_s, trust_env=False) as client:
                answer = await client.request(method, self._url + path, json=body)
        except httpx.HTTPError as failure:
            message = f"The twin's control API does not answer {path}: {type(failure).__name__}."
            raise FaultRefused(message) from None
        told: dict[str, Any] = answer.json() if answer.content else {}
        if not answer.is_success:
            raise FaultRefused(str(told.get("message", answer.status_code)))
        return told


class _Renamed:
    """A door under an observer's name."""

    def __init__(self, name: str, door: CachedName) -> None:
        self.name = name
        self._door = door
        self.place = door.place
        self.refused = door.refused


def _answers(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=int(PROBE_TIMEOUT_S)).close()
    except psycopg.Error:
        return False
    return True


def _roles(status: Mapping[str, Any]) -> tuple[str, str]:
    roles = {name: region["role"] for name, region in status["regions"].items()}
    active = next((name for name, role in roles.items() if role == "active"), "")
    return active, next((name for name in roles if name != active), "")


def _is_steady(status: Mapping[str, Any]) -> bool:
    regions = status["regions"].values()
    services = [service for region in regions for service in region["services"]]
    ready = [check["healthy"] for check in status["dns"]["checks"]]
    return all(service["is_steady"] for service in services) and sum(ready) == 1


def _places(status: Mapping[str, Any]) -> dict[str, str]:
    return {
        node["address"]: name
        for name, region in status["regions"].items()
        for balancer in region["load_balancer"]
        for node in balancer["nodes"]
    }


def _buckets(status: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the buckets of the log by region: what is copied from there to elsewhere."""
    return {
        name: [
            copy["from"] for copy in region["objects"]["replication"] if LOG_WORD in copy["from"]
        ]
        for name, region in status["regions"].items()
    }


def _words(status: Mapping[str, Any]) -> dict[str, str]:
    active, standby = _roles(status)
    words = {"active": active, "standby": standby}
    for role, prefix in ((active, ""), (standby, "standby_")):
        zones = sorted(status["regions"][role]["zones"])
        words |= {f"{prefix}zone_{letter}": zone for letter, zone in zip("abcdef", zones)}  # noqa: B905 - as many as there are
    for cluster in status["regions"][active]["database"]["clusters"]:
        for instance in cluster["instances"]:
            if instance["role"] == "writer":
                words["writer_zone"] = instance["zone"]
    return words
