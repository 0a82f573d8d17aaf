"""The command line of the benchmarks."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path
from typing import Any, Final

from benchmarks import bounds, guards, large, report, suite
from benchmarks.baselines import BaselineFailed
from benchmarks.checker import Violated
from benchmarks.databases import NotDurable
from benchmarks.large import DiskTooSmall
from benchmarks.load import NotAnswered
from benchmarks.scenarios import Refused
from benchmarks.service import ServiceFailed

EVERYTHING: Final = "ABCDE"
FAILURES: Final = (
    BaselineFailed,
    DiskTooSmall,
    NotAnswered,
    NotDurable,
    Refused,
    ServiceFailed,
    Violated,
)


def main() -> int:
    """Measure and print; return 1 when an invariant or the service broke."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few seconds; figures mean little")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--large", action="store_true", help="C at 1 and 10 million payments")
    parser.add_argument("--guards", action="store_true", help="what each guard costs")
    parser.add_argument("--table", type=Path, help="also write the figures as Markdown here")
    parser.add_argument("--state", type=Path, default=report.STATE, help="where to keep figures")
    parser.add_argument("--seed", type=int, default=1, help="of the workload (default 1)")
    parser.add_argument("--only", default=EVERYTHING, help="measure only these, such as AC")
    arguments = parser.parse_args()
    # Ended from outside, it still stops what it started and deletes what it wrote.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        results = _measure(arguments)
    except FAILURES as failure:
        print(f"no figures: {str(failure) or type(failure).__doc__}", file=sys.stderr)
        return 1
    results["quick"] = arguments.quick
    kept = results if arguments.only != EVERYTHING else report.write(results, arguments.state)
    if arguments.table:
        arguments.table.write_text(report.as_table(kept))
    print(report.as_json(results) if arguments.json else report.as_text(results))
    return 0


def _measure(arguments: argparse.Namespace) -> dict[str, Any]:
    scale = bounds.QUICK if arguments.quick else bounds.FULL
    if arguments.large:
        return large.run(scale, arguments.seed)
    if arguments.guards:
        return guards.run(scale, arguments.seed)
    return suite.run(scale, arguments.seed, arguments.only)


if __name__ == "__main__":
    sys.exit(main())
