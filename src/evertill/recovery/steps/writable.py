"""Commit in the target, in the new epoch, as the service will: RDS's word alone is not enough.

It is a step of its own because a promoted cluster may still be starting, and because a database
whose epoch is behind the lease's would refuse every payment.
"""

from __future__ import annotations

from typing import Final

from evertill.recovery.errors import DatabaseSilent, StepFailed
from evertill.recovery.steps.running import Run

WRITABLE_TIMEOUT_S: Final = 600.0


def verify_writable(run: Run) -> str:
    """Commit something that changes nothing; return in which epoch."""
    database = run.around.database(run.plan.target)
    lease = run.lease()
    if lease.region != run.plan.target:
        message = f"{lease.region} holds the write lease, and not {run.plan.target}"
        raise StepFailed(f"{message}: somebody else changes the writer as well.")
    epoch = lease.epoch
    last = "not asked yet"

    def is_writable() -> bool:
        nonlocal last
        try:
            is_standby, of_epoch, _ = database.ask("writer", "standing")[0]
            if is_standby:
                last = "it takes no writes yet"
                return False
            if of_epoch > epoch:
                message = f"The database is in epoch {of_epoch} and the lease in {epoch}"
                raise StepFailed(f"{message}: somebody else changes the writer as well.")
            database.ask("writer", "raise_epoch", epoch=epoch, region=run.plan.target)
            return database.ask("writer", "write_in_epoch", epoch=epoch) == [(epoch,)]
        except DatabaseSilent as failure:
            last = str(failure)
            return False

    took_s = run.pace.until(
        is_writable, f"A commit in {run.plan.target}", WRITABLE_TIMEOUT_S, lambda: last
    )
    return f"committed in epoch {epoch} after {took_s:.1f} s"
