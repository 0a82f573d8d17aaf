"""A deployment: one release of a service, until it is complete, has failed or is superseded.

It is separate from the service because the circuit breaker is an account of its own: how many tasks
in a row did not make it, and how many may.
"""

from __future__ import annotations

import math
from typing import Final

from evertill.twin.plan.tasks import TaskSpec

IN_PROGRESS: Final = "IN_PROGRESS"
COMPLETED: Final = "COMPLETED"
FAILED: Final = "FAILED"
# Half of the tasks, within these bounds.
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-circuit-breaker.html
FAILURES_MIN: Final = 3
FAILURES_MAX: Final = 200
# ECS starts tasks that fail again and again more and more slowly, up to 27 minutes apart.
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-throttle-logic.html
BACKOFF_AFTER: Final = 3
BACKOFF_FIRST_S: Final = 15.0
BACKOFF_MAX_S: Final = 27 * 60.0


class Deployment:
    """One release on its way."""

    def __init__(self, deployment_id: str, spec: TaskSpec, at_s: float, reason: str) -> None:
        """Begin with `spec` at a moment of twin time."""
        self.id: Final = deployment_id
        self.spec: Final = spec
        self.created_s: Final = at_s
        self.updated_s = at_s
        self.state: str = IN_PROGRESS
        self.reason = reason
        self.failures = 0
        self.failures_in_a_row = 0
        self.watches_alarms = False
        self.done_since_s: float | None = None
        self._last_failure_s = -math.inf

    def failed_task(self, at_s: float) -> None:
        """Count a task that ended or was given up before its checks passed."""
        self.failures += 1
        self.failures_in_a_row += 1
        self._last_failure_s = at_s

    def good_task(self) -> None:
        """Forget the failures: a task has passed its checks."""
        self.failures_in_a_row = 0

    def is_broken(self, count: int) -> bool:
        """Tell whether so many tasks in a row failed that the circuit breaker trips."""
        half = math.ceil(count / 2)
        return self.failures_in_a_row >= min(FAILURES_MAX, max(FAILURES_MIN, half))

    def may_start(self, at_s: float) -> bool:
        """Tell whether the pause after the last failures is over."""
        beyond = self.failures_in_a_row - BACKOFF_AFTER
        if beyond < 0:
            return True
        pause_s = min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2.0 ** min(beyond, 20))
        return at_s - self._last_failure_s >= pause_s

    def finish(self, state: str, reason: str, at_s: float) -> None:
        """Become COMPLETED or FAILED."""
        self.state, self.reason, self.updated_s = state, reason, at_s
