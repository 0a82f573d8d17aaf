"""What can keep a drill from being run, each with the sentence that says what to do.

A drill that ran and failed is no error: that is a verdict, and has an exit status of its own.
"""

from __future__ import annotations

from evertill.domain.errors import EvertillError, UsageError


class DrillUnreadable(UsageError):
    """The drill file cannot be read."""

    code = "drill_unreadable"


class GroundUnready(EvertillError):
    """What the drill is run on did not become ready in time."""

    code = "ground_unready"


class FaultRefused(EvertillError):
    """The fault cannot be done here."""

    code = "fault_refused"


class HistoryUnwritable(EvertillError):
    """The client's history cannot be written, so no payment may be sent."""

    code = "history_unwritable"


class RecoveryFailed(EvertillError):
    """The recovery command did not end well."""

    code = "recovery_failed"
