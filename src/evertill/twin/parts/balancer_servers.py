"""Keeps the servers of one HAProxy as the target groups want them, and reads how they are.

It is separate from the node's process because it is a comparison: what should be there, what is
there, and the commands between. So a node that was replaced is filled by the same code that adds
one target.

Each target is two servers. The one in the group's checked backend gets requests while its checks
pass. The other has no checks and gets them when nobody in the first does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from evertill.twin.addresses import local_port
from evertill.twin.clock import Clock
from evertill.twin.parts.haproxy_admin import Admin, ServerState
from evertill.twin.parts.haproxy_text import checked, timer_ms, unchecked
from evertill.twin.parts.target_group import CHECKING, HEALTHY, Health, Key, Target, TargetGroup


class Hop(msgspec.Struct, frozen=True):
    """Where a node connects to; one that `is_closed` answers nobody."""

    host: str
    port: int
    is_closed: bool = False

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


# The hop to a target's port, given as it is here and as templates name it.
Route = Callable[[Target, int, int], Hop]
TIMED_OUT: Final = {"L4TOUT", "L6TOUT", "L7TOUT"}
PASSED: Final = {"L7OK", "L7OKC"}
WRONG_STATUS: Final = "L7STS"


class Placed(msgspec.Struct):
    """A target that is in HAProxy: where its connections go, and what was ordered about it."""

    number: int
    since_s: float
    traffic: Hop
    check: Hop
    is_draining: bool = False
    has_passed: bool = False
    # The status of the last answer that a check did not like; HAProxy does not always tell it.
    code: str = ""


class Servers:
    """The servers of one group in one HAProxy."""

    def __init__(
        self, group: TargetGroup, zone: str, admin: Admin, clock: Clock, route: Route
    ) -> None:
        """Begin with an HAProxy, in `zone`, that has none."""
        self._group = group
        self._spec = group.spec
        self._zone = zone
        self._admin = admin
        self._clock = clock
        self._route = route
        self._placed: dict[Key, Placed] = {}

    async def apply(self) -> None:
        """Add, move, drain and delete what differs from the group; raise NodeSilent."""
        wanted = {
            target.key: target
            for target in self._group.targets()
            if self._spec.crosses_zones or target.zone == self._zone
        }
        for key, placed in tuple(self._placed.items()):
            if key not in wanted or wanted[key].number != placed.number:
                await self._delete(key)
        for key, target in wanted.items():
            if key not in self._placed:
                await self._add(target)
            # One that could not be deleted yet keeps its old number, and nothing is done to it.
            elif target.number == self._placed[key].number:
                await self._follow(target)

    async def judge(self, states: Mapping[tuple[str, str], ServerState]) -> dict[Key, Health]:
        """Return how each target is by what the checks found, and let in who passed its first.

        "After your target is registered, it must pass one health check to be considered healthy":
        HAProxy would let it in before that, so it is held back until then.
        """
        found: dict[Key, Health] = {}
        for target in self._group.targets():
            placed = self._placed.get(target.key)
            state = states.get((checked(self._spec.name), server_name(target.key)))
            if placed is None or placed.number != target.number:
                continue
            if state is None or target.is_draining:
                continue
            if not placed.has_passed and state.check in PASSED:
                await self._let_in(target.key)
                found[target.key] = HEALTHY
            else:
                found[target.key] = self._health(placed, state)
        return found

    async def _follow(self, target: Target) -> None:
        await self._move(target)
        if target.is_draining and not self._placed[target.key].is_draining:
            await self._drain(target)

    def _health(self, placed: Placed, state: ServerState) -> Health:
        if placed.has_passed:
            return HEALTHY if state.is_up else _unhealthy(placed, state)
        # HAProxy takes a server down with its first failure and does not count the next ones.
        check = self._spec.check
        first_verdict_s = placed.since_s + check.unhealthy_count * check.interval_s
        return CHECKING if self._clock.now_s() < first_verdict_s else _unhealthy(placed, state)

    async def _add(self, target: Target) -> None:
        placed = Placed(
            number=target.number,
            since_s=self._clock.now_s(),
            traffic=self._traffic(target),
            check=self._check(target),
        )
        name = server_name(target.key)
        tls = " ssl verify none" if self._spec.protocol == "HTTPS" else ""
        address = placed.traffic
        guarded = f"{checked(self._spec.name)}/{name}"
        await self._admin.do(
            f"add server {guarded} {address}{tls}{self._checks(placed)}",
            f"add server {unchecked(self._spec.name)}/{name} {address}{tls}",
            # Held back until its first check has passed.
            f"set server {guarded} state drain",
            f"enable health {guarded}",
            f"set server {unchecked(self._spec.name)}/{name} state ready",
        )
        self._placed[target.key] = placed

    def _checks(self, placed: Placed) -> str:
        check = self._spec.check
        words = (
            f" check inter {timer_ms(self._clock, check.interval_s)}ms"
            f" rise {check.healthy_count} fall {check.unhealthy_count}"
            f" addr {placed.check.host} port {placed.check.port}"
        )
        # A check with an address of its own does not speak TLS because the traffic does.
        words += " check-ssl verify none" if check.protocol == "HTTPS" else ""
        if self._spec.slow_start_s:
            words += f" slowstart {timer_ms(self._clock, self._spec.slow_start_s)}ms"
        return words

    async def _move(self, target: Target) -> None:
        """Follow a route that changed; what is open ends when there is no way any more."""
        placed = self._placed[target.key]
        traffic, check = self._traffic(target), self._check(target)
        if (traffic, check) == (placed.traffic, placed.check):
            return
        name = server_name(target.key)
        guarded = f"{checked(self._spec.name)}/{name}"
        for server in (guarded, f"{unchecked(self._spec.name)}/{name}"):
            await self._admin.ask(f"set server {server} addr {traffic.host} port {traffic.port}")
            if traffic.is_closed:
                await self._admin.ask(f"shutdown sessions server {server}")
        await self._admin.ask(f"set server {guarded} check-addr {check.host} port {check.port}")
        placed.traffic, placed.check = traffic, check

    async def _drain(self, target: Target) -> None:
        for backend in (checked(self._spec.name), unchecked(self._spec.name)):
            await self._admin.do(f"set server {backend}/{server_name(target.key)} state drain")
        self._placed[target.key].is_draining = True

    async def _let_in(self, key: Key) -> None:
        server = f"{checked(self._spec.name)}/{server_name(key)}"
        await self._admin.do(f"set server {server} health up", f"set server {server} state ready")
        self._placed[key].has_passed = True

    async def _delete(self, key: Key) -> None:
        for backend in (checked(self._spec.name), unchecked(self._spec.name)):
            server = f"{backend}/{server_name(key)}"
            await self._admin.ask(f"set server {server} state maint")
            await self._admin.ask(f"shutdown sessions server {server}")
        answers = [
            await self._admin.ask(f"del server {backend}/{server_name(key)}")
            for backend in (checked(self._spec.name), unchecked(self._spec.name))
        ]
        # While the last connection of one is still being closed, the next comparison tries again.
        if all("Server deleted" in text or "No such server" in text for text in answers):
            del self._placed[key]

    def _traffic(self, target: Target) -> Hop:
        # A port below 1024 is registered where it was moved to; security groups name the other.
        named = self._spec.port if local_port(self._spec.port) == target.port else target.port
        return self._route(target, target.port, named)

    def _check(self, target: Target) -> Hop:
        port = self._spec.check.port
        return (
            self._traffic(target) if port is None else self._route(target, local_port(port), port)
        )


def server_name(key: Key) -> str:
    """Return the name of a target's servers, which the checks send as the `Host`, as AWS's do."""
    return f"{key[0]}:{key[1]}"


def _unhealthy(placed: Placed, state: ServerState) -> Health:
    if state.check == WRONG_STATUS:
        placed.code = state.code or placed.code
        text = f"Health checks failed with these codes: [{placed.code}]"
        return Health("unhealthy", "Target.ResponseCodeMismatch", text)
    if state.check in TIMED_OUT:
        return Health("unhealthy", "Target.Timeout", "Request timed out")
    return Health("unhealthy", "Target.FailedHealthChecks", "Health checks failed")
