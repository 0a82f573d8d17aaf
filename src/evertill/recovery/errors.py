"""What recovery refuses or cannot do, apart because every module of the room raises some of it."""

from __future__ import annotations

from evertill.domain.errors import EvertillError


class RecoveryError(EvertillError):
    """Recovery cannot go on."""

    code = "recovery"


class RegionSilent(RecoveryError):
    """A region does not answer."""

    code = "region_silent"


class CallRefused(RecoveryError):
    """A region refused a call."""

    code = "call_refused"


class DatabaseSilent(RecoveryError):
    """A database does not answer, or does not let us in."""

    code = "database_silent"


class Forbidden(RecoveryError):
    """What was asked for would do harm as things are."""

    code = "recovery_forbidden"


class NotConfirmed(RecoveryError):
    """The confirmation was not typed as it was asked for. Nothing was changed."""

    code = "not_confirmed"


class StepFailed(RecoveryError):
    """A step did not come to its end. Run the same command again: it goes on from there."""

    code = "step_failed"


class RecoveryRuns(RecoveryError):
    """Another recovery runs on this folder. Wait for it, or end it first."""

    code = "recovery_runs"
