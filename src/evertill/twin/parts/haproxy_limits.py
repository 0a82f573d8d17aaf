"""A firewall's limits on rates in HAProxy's language: a table for each, and who is over it.

It is separate from the rules of listeners because it comes before all of them, and from the plan
because how to count is HAProxy's matter. Each node counts by itself, and exactly; AWS counts for
the whole load balancer, about, and mostly within half a minute.
https://docs.aws.amazon.com/waf/latest/developerguide/waf-rule-statement-type-rate-based-caveats.html
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from evertill.twin.clock import Clock
from evertill.twin.parts.haproxy_rules import REASONS, SERVER_HEADER, page, quoted
from evertill.twin.plan.firewalls import Every, Match, Not, RateLimit, Some, Test

# Addresses and keys that are counted at a time; the oldest are forgotten first.
ENTRIES_MAX: Final = 100_000
# Those whose size is compared, rather than their text.
SIZES: Final = {"eq", "ne", "le", "lt", "ge", "gt"}
HASH_BYTES: Final = 20


def counters(limits: Sequence[RateLimit]) -> Iterator[str]:
    """Give the global line that lets a request be counted by all limits."""
    if limits:
        yield f"tune.stick-counters {len(limits)}"


def tables(limits: Sequence[RateLimit], clock: Clock) -> Iterator[tuple[str, Iterator[str]]]:
    """Give the sections that count."""
    for number, limit in enumerate(limits):
        kind = f"binary len {HASH_BYTES}" if limit.header else "ip"
        window_ms = max(1, round(clock.real_s(limit.window_s) * 1_000))
        line = (
            f"stick-table type {kind} size {ENTRIES_MAX} expire {2 * window_ms}ms"
            f" store http_req_rate({window_ms}ms)"
        )
        yield f"backend {_table(number)}", iter([line])


def limit_lines(limits: Sequence[RateLimit], folder: Path) -> Iterator[str]:
    """Give the lines of a frontend that count a request and refuse it when it is one too many."""
    for number, limit in enumerate(limits):
        # A header's value may be longer than what is kept, and may be a secret.
        key = f"req.fhdr({limit.header}),sha1" if limit.header else "src"
        condition = ""
        if limit.scope is not None:
            scope = _Scope(f"txn.limit{number}")
            name = scope.add(limit.scope)
            yield from scope.lines
            condition = f" if {{ var({name}) -m bool }}"
        yield f"http-request track-sc{number} {key} table {_table(number)}{condition}"
        yield (
            f"http-request return {_answer(limit, folder / f'limit-{number}')}"
            f" if {{ sc_http_req_rate({number}) gt {limit.count_max} }}"
        )


def _answer(limit: RateLimit, file: Path) -> str:
    body = limit.body or (page(limit.status) if limit.status in REASONS else "")
    file.write_text(body)
    kind = limit.content_type or "text/html"
    content = f" content-type {kind} file {file.name}" if body else ""
    headers = "".join(
        f" hdr {quoted(name)} {quoted(text.replace('%', '%%'))}" for name, text in limit.headers
    )
    return f"status {limit.status}{content} {SERVER_HEADER}{headers}"


class _Scope:
    """Turns a test into lines that set a variable for each part of it that holds."""

    def __init__(self, prefix: str) -> None:
        self._prefix: Final = prefix
        self.lines: list[str] = []

    def add(self, test: Test) -> str:
        """Add a test and return the name of its variable."""
        condition = self._condition(test)
        name = f"{self._prefix}_{len(self.lines)}"
        self.lines.append(f"http-request set-var({name}) bool(true) if {condition}")
        return name

    def _condition(self, test: Test) -> str:
        match test:
            case Not():
                return f"!{self._holds(test.test)}"
            case Every():
                return " ".join(map(self._holds, test.tests))
            case Some():
                return " || ".join(map(self._holds, test.tests))
            case Match():
                return _condition(test)

    def _holds(self, test: Test) -> str:
        return f"{{ var({self.add(test)}) -m bool }}"


def _condition(test: Match) -> str:
    field = f"req.fhdr({test.header})" if test.header else "path"
    lowered = ",lower" if test.is_lowered else ""
    if test.how not in SIZES:
        return f"{{ {field}{lowered} -m {test.how} {quoted(test.wanted)} }}"
    if test.how == "ne":
        # What is not there has no size.
        return f"{{ {field} -m found }} !{{ {field},length eq {test.wanted} }}"
    return f"{{ {field},length {test.how} {test.wanted} }}"


def _table(number: int) -> str:
    return f".limit-{number}"
