"""Wait until the target is ready and DNS has found it out.

Nobody calls Route 53 to change anything. Both failover records follow `/ready`, so traffic moves by
itself from the moment that this region answers 200. The first payment is tried at that moment,
before Route 53 has noticed: clients that know the regional name need not wait for it.
"""

from __future__ import annotations

from typing import Final

from evertill.domain.errors import EvertillError
from evertill.recovery.observing import read_dns
from evertill.recovery.pace import moment
from evertill.recovery.steps.payment import try_payment
from evertill.recovery.steps.running import Run
from evertill.recovery.steps.steady import measure

READY_TIMEOUT_S: Final = 300.0
# Three checks at intervals of ten seconds, by checkers that do not begin together, and some more.
DNS_TIMEOUT_S: Final = 120.0
# After so many failures in a row Route 53's API is down, and only DNS itself goes on.
DNS_FAILURES_MAX: Final = 5


def follow_traffic(run: Run) -> str:
    """Wait for the region's `/ready` and for Route 53; return what was seen."""
    last = "not asked yet"

    def is_ready() -> bool:
        nonlocal last
        seen = run.around.door(run.plan.target).ready()
        last = seen.text
        return seen.is_ready

    took_s = run.pace.until(is_ready, f"/ready of {run.plan.target}", READY_TIMEOUT_S, lambda: last)
    if "ready_at" not in run.facts:
        run.journal.note(ready_at=moment())
    run.say(f"   {run.plan.target} is ready, after {took_s:.1f} s.")
    trouble = try_payment(run)
    if trouble:
        run.say(f"   The first payment: {trouble}")
    run.say(f"   {measure(run)}.")
    return _wait_for_dns(run)


def _wait_for_dns(run: Run) -> str:
    # Asked once at a time: if Route 53's API is down, DNS goes on, and nothing waits for it.
    region, deployment = run.around.region(run.plan.target).impatient(), run.around.deployment
    wanted = deployment.regional(run.plan.target)
    failures, last = 0, ""

    def leads_here() -> bool:
        nonlocal failures, last
        try:
            seen = read_dns(region, deployment)
        except (EvertillError, KeyError, StopIteration) as failure:
            failures, last = failures + 1, str(failure)
            return failures >= DNS_FAILURES_MAX
        failures, last = 0, seen.checks.get(run.plan.target, "no check")
        return wanted in {answer.rstrip(".") for answer in seen.answer}

    took_s = run.pace.until(leads_here, f"DNS to {run.plan.target}", DNS_TIMEOUT_S, lambda: last)
    if failures:
        return f"ready; what DNS answers is not known, for Route 53's API does not answer: {last}"
    run.journal.note(dns_at=moment())
    return f"ready; DNS leads to it after {took_s:.1f} s more"
