"""The embedded PostgreSQL behind `evertill up`, the tests and the benchmarks.

It is a room of its own because nothing in the service may depend on it: pointed at another
PostgreSQL by `EVERTILL_DATABASE_URL`, the platform runs without a line of this package.
"""

from __future__ import annotations

from evertill.quickstart.cluster import Cluster

__all__ = ["Cluster"]
