"""The command line of the benchmarks."""

from __future__ import annotations

import argparse
import signal
import sys

from benchmarks import bounds, report, suite
from benchmarks.baselines import BaselineFailed
from benchmarks.checker import Violated
from benchmarks.databases import NotDurable
from benchmarks.scenarios import Refused
from benchmarks.service import ServiceFailed


def main() -> int:
    """Measure and print; return 1 when an invariant or the service broke."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few seconds; figures mean little")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--seed", type=int, default=1, help="of the workload (default 1)")
    parser.add_argument("--only", default="ABCDE", help="measure only these, such as AC")
    arguments = parser.parse_args()
    # Ended from outside, it still stops what it started and deletes what it wrote.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    scale = bounds.QUICK if arguments.quick else bounds.FULL
    try:
        results = suite.run(scale, arguments.seed, arguments.only)
    except (BaselineFailed, NotDurable, Refused, ServiceFailed, Violated) as failure:
        print(f"no figures: {failure or type(failure).__doc__}", file=sys.stderr)
        return 1
    report.write(results)
    print(report.as_json(results) if arguments.json else report.as_text(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
