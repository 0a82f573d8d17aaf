"""Take a payment in the target and cancel it: the proof that clients are served.

It authorizes the least amount and gives it back, so no money moves. Its idempotency key is the
run's, so that a run that goes on after a kill asks for the same payment.
"""

from __future__ import annotations

from typing import Final

import httpx

from evertill.recovery.pace import moment
from evertill.recovery.steps.running import Run

PAYMENT_TIMEOUT_S: Final = 120.0


def take_payment(run: Run) -> str:
    """Take a payment, again while it fails; return its id."""
    if not run.key:
        return "not taken: EVERTILL_RECOVERY_API_KEY names no key"
    last = ""

    def is_taken() -> bool:
        nonlocal last
        last = try_payment(run)
        return not last

    run.pace.until(is_taken, f"A payment in {run.plan.target}", PAYMENT_TIMEOUT_S, lambda: last)
    return f"{run.facts['payment_id']} was authorized and canceled"


def try_payment(run: Run) -> str:
    """Try once, and note the first success; return what went wrong, empty when nothing did."""
    if not run.key:
        return "not tried: there is no API key"
    try:
        payment_id = run.around.door(run.plan.target).pay(run.key, f"recovery-{run.journal.run_id}")
    except (httpx.HTTPError, ValueError, KeyError) as failure:
        return str(failure) or type(failure).__name__
    if "first_success_at" not in run.facts:
        run.journal.note(first_success_at=moment(), payment_id=payment_id)
    return ""
