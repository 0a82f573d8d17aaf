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
# Tasks that never get as far as running are started more and more slowly, up to 27 minutes apart.
# Those that run and then fail their checks, or exit, are not slowed down in AWS, where placing a
# task takes longer than this pause; here it keeps a crashing one from taking the whole machine.
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-throttle-logic.html
RESTART_PAUSE_S: Final = 5.0
BACKOFF_AFTER: Final = 3
BACKOFF_FIRST_S: Final = 15.0
BACKOFF_MAX_S: Final = 27 * 60.0


class Deployment:
    """One release on its way."""

    def __init__(self, deployment_id: str, spec: TaskSpec, epoch_s: float, reason: str) -> None:
        """Begin with `spec` at a moment of twin time since 1970, as all moments here are told."""
        self.id: Final = deployment_id
        self.spec: Final = spec
        self.created_s: Final = epoch_s
        self.updated_s = epoch_s
        self.state: str = IN_PROGRESS
        self.reason = reason
        self.failures = 0
        self.failures_in_a_row = self._unstarted = 0
        self.watches_alarms = False
        self.done_since_s: float | None = None
        self._unstarted = 0
        self._last_failure_s = -math.inf

    def failed_task(self, epoch_s: float, *, has_run: bool) -> None:
        """Count a task that ended or was given up before its checks passed."""
        self.failures += 1
        self.failures_in_a_row += 1
        self._unstarted = 0 if has_run else self._unstarted + 1
        self._last_failure_s = epoch_s

    def good_task(self) -> None:
        """Forget the failures: a task has passed its checks."""
        self.failures_in_a_row = self._unstarted = 0

    def is_broken(self, count: int) -> bool:
        """Tell whether so many tasks in a row failed that the circuit breaker trips."""
        half = math.ceil(count / 2)
        return self.failures_in_a_row >= min(FAILURES_MAX, max(FAILURES_MIN, half))

    def may_start(self, epoch_s: float) -> bool:
        """Tell whether the pause after the last failures is over."""
        beyond = self._unstarted - BACKOFF_AFTER
        if beyond < 0:
            return not self.failures_in_a_row or epoch_s - self._last_failure_s >= RESTART_PAUSE_S
        pause_s = min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2.0 ** min(beyond, 20))
        return epoch_s - self._last_failure_s >= pause_s

    def finish(self, state: str, reason: str, epoch_s: float) -> None:
        """Become COMPLETED or FAILED."""
        self.state, self.reason, self.updated_s = state, reason, epoch_s

    def resume(self, reason: str, epoch_s: float) -> None:
        """Be in progress again: what came after it has failed."""
        self.state, self.reason, self.updated_s = IN_PROGRESS, reason, epoch_s
        self.watches_alarms = False
        self.done_since_s = None
        self.failures_in_a_row = self._unstarted = 0
