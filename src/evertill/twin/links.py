"""The links between places: which are cut, slow or narrow, one direction at a time.

A place is a region (`us-east-1`) or a zone of one (`us-east-1a`). The links are separate from the
gates, which carry bytes, because faults are set here without knowing what flows, and because what
does not flow through a gate, such as a WAL receiver's promotion, asks here too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

# Longer than any time-out of a client here: more would be a cut by another name.
DELAY_MAX_MS: Final = 60_000


class Way(msgspec.Struct, frozen=True):
    """One direction of a link: cut, or open with a delay and a throughput; 0 is no limit."""

    is_cut: bool = False
    delay_ms: float = 0.0
    bytes_per_s: float = 0.0


OPEN: Final = Way()


def slowed(way: Way, delay_ms: float) -> Way:
    """Return a way with so much more delay, as one whose far end is slow to take things."""
    if not delay_ms:
        return way
    total_ms = min(DELAY_MAX_MS, way.delay_ms + delay_ms)
    return msgspec.structs.replace(way, delay_ms=total_ms)


class Links:
    """The state of every direction between two places; what was never set is open.

    A way between zones is also subject to what is set between their regions and on either place
    as a whole (`any`): the worst of each is in force.
    """

    ANY: Final = "any"

    def __init__(self, region_of: dict[str, str]) -> None:
        """Know the zones by `region_of`, zone to region; other names stand for themselves."""
        self._region_of: Final = dict(region_of)
        # By pair, and there by who set it: each may undo only his own.
        self._set: dict[tuple[str, str], dict[str, Way]] = {}
        self._inside: dict[str, str] = {}
        self._watchers: list[Callable[[], None]] = []

    def set(self, source: str, target: str, way: Way, by: str = "") -> None:
        """Set one direction, from `source` to `target`; `OPEN` undoes what was set `by` the same.

        What several have set holds together: the worst of it is in force.
        """
        here = self._set.setdefault((source, target), {})
        if way == OPEN:
            here.pop(by, None)
        else:
            here[by] = way
        if not here:
            del self._set[source, target]
        for watcher in self._watchers:
            watcher()

    def way(self, source: str, target: str) -> Way:
        """Return what is in force from `source` to `target`, each a zone or a region."""
        found = [
            way
            for a in self._names(source)
            for b in self._names(target)
            for way in self._set.get((a, b), {}).values()
        ]
        return _worst(found)

    def watch(self, watcher: Callable[[], None]) -> None:
        """Call `watcher` after each change; gates end the connections that a cut breaks."""
        self._watchers.append(watcher)

    def settings(self) -> dict[tuple[str, str], Way]:
        """Return what was set and not undone."""
        return {pair: _worst(list(ways.values())) for pair, ways in self._set.items()}

    def take_in(self, name: str, zone: str) -> None:
        """Let something in a zone be a place of its own: a task, by its address."""
        self._inside[name] = zone

    def let_go(self, name: str) -> None:
        """Undo `take_in`."""
        self._inside.pop(name, None)
        for watcher in self._watchers:
            watcher()

    def place_of(self, name: str, zone: str) -> str:
        """Return the narrowest place that something in a zone is: itself, or its zone."""
        return name if name in self._inside else zone

    def _names(self, place: str) -> tuple[str, ...]:
        zone = self._inside.get(place)
        if zone is not None:
            return (place, *self._names(zone))
        region = self._region_of.get(place)
        return (place, self.ANY) if region is None else (place, region, self.ANY)


def _worst(ways: Sequence[Way]) -> Way:
    throughputs = [way.bytes_per_s for way in ways if way.bytes_per_s]
    return Way(
        is_cut=any(way.is_cut for way in ways),
        delay_ms=min(DELAY_MAX_MS, sum(way.delay_ms for way in ways)),
        bytes_per_s=min(throughputs, default=0.0),
    )
