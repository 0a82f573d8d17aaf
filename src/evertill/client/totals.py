"""What an import counted, and how it is shown: as a small table and as JSON.

It is separate because the counts outlive a run: they are part of the progress file, so that the
figures at the end are those of the whole file however often it was interrupted.
"""

from __future__ import annotations

from typing import Final

import msgspec

from evertill.client.wire import BatchResult
from evertill.domain.money import to_major

DECLINED: Final = "declined"


class Totals(msgspec.Struct):
    """Every line is counted once: as taken, declined, replayed, or under a reject's code.

    `declined` is by decline code; `sums_minor` is what was taken, by currency.
    """

    lines: int = 0
    taken: int = 0
    replayed: int = 0
    declined: dict[str, int] = {}
    rejected: dict[str, int] = {}
    sums_minor: dict[str, int] = {}
    seconds: float = 0.0

    def add_result(self, result: BatchResult) -> None:
        """Count a payment that the service holds."""
        body = result.body
        self.lines += 1
        if result.replayed:
            self.replayed += 1
        elif body.status == DECLINED:
            code = body.decline.code if body.decline else DECLINED
            self.declined[code] = self.declined.get(code, 0) + 1
        else:
            self.taken += 1
            self.sums_minor[body.currency] = self.sums_minor.get(body.currency, 0) + body.amount

    def add_reject(self, code: str) -> None:
        """Count a line that was not taken."""
        self.lines += 1
        self.rejected[code] = self.rejected.get(code, 0) + 1


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """The end of an import; `resumed_after_line` is 0 for a run from the beginning."""

    file: str
    totals: Totals
    rejects_file: str | None
    resumed_after_line: int
    payments_per_s: float

    def as_json(self) -> str:
        """Return the summary as one JSON object; amounts are given in both units."""
        totals = self.totals
        figures = {
            "file": self.file,
            "lines": totals.lines,
            "taken": totals.taken,
            "declined": sum(totals.declined.values()),
            "replayed": totals.replayed,
            "rejected": sum(totals.rejected.values()),
            "declines": dict(sorted(totals.declined.items())),
            "rejects": dict(sorted(totals.rejected.items())),
            "sums": {
                currency: {"amount_minor": minor, "amount": to_major(minor, currency)}
                for currency, minor in sorted(totals.sums_minor.items())
            },
            "rejects_file": self.rejects_file,
            "resumed_after_line": self.resumed_after_line,
            "seconds": round(totals.seconds, 3),
            "payments_per_s": round(self.payments_per_s, 1),
        }
        return msgspec.json.encode(figures).decode()

    def as_text(self) -> str:
        """Return the summary as lines of at most 80 columns, save for long file names."""
        totals = self.totals
        rows = [f"{self.file}: {totals.lines:,} lines"]
        rows.append(_count("taken", totals.taken))
        rows.append(_count("declined", sum(totals.declined.values())))
        rows += [_count(f"  {code}", n) for code, n in sorted(totals.declined.items())]
        rows.append(_count("replayed", totals.replayed))
        rows.append(_count("rejected", sum(totals.rejected.values())))
        rows += [_count(f"  {code}", n) for code, n in sorted(totals.rejected.items())]
        if totals.sums_minor:
            rows.append("Sums of what was taken:")
        for currency, minor in sorted(totals.sums_minor.items()):
            rows.append(f"  {currency} {_grouped(to_major(minor, currency)):>30}")
        rows.append(f"{totals.seconds:,.1f} s, {self.payments_per_s:,.0f} payments/s in this run")
        if self.resumed_after_line:
            rows.append(f"This run went on after line {self.resumed_after_line:,}.")
        if self.rejects_file:
            rows.append(f"Each rejected line and its reason: {self.rejects_file}")
        return "\n".join(rows)


def _count(name: str, count: int) -> str:
    return f"  {name:<32} {count:>12,}"


def _grouped(major: str) -> str:
    whole, dot, part = major.partition(".")
    return f"{int(whole):,}{dot}{part}"
