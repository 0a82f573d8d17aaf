"""What every step is given: the world, the run's journal, and a voice.

It is separate because the steps know each other as little as possible: what one has to tell another
goes through the journal, where it outlives a kill.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from evertill.authority.lease import Lease, Look
from evertill.authority.taking import Taker
from evertill.recovery.errors import StepFailed
from evertill.recovery.journal import Journal
from evertill.recovery.pace import Pace
from evertill.recovery.plan import SWITCHOVER, Plan
from evertill.recovery.surroundings import Surroundings

Say = Callable[[str], None]


class Run:
    """A change of the writer that is being carried out."""

    def __init__(
        self, around: Surroundings, journal: Journal, taker: Taker, *, key: str, say: Say
    ) -> None:
        """Carry out the journal's plan; `key` is for the smoke payment, where one is given."""
        self.around: Final = around
        self.journal: Final = journal
        self.taker: Final = taker
        self.key: Final = key
        self.say: Final = say

    @property
    def plan(self) -> Plan:
        """Return the plan."""
        return self.journal.plan

    @property
    def is_switchover(self) -> bool:
        """Tell whether both regions are there."""
        return self.plan.kind == SWITCHOVER

    @property
    def pace(self) -> Pace:
        """Return the clock."""
        return self.around.pace

    @property
    def facts(self) -> Mapping[str, Any]:
        """Return what was learned so far."""
        return self.journal.facts

    def lease(self) -> Lease:
        """Return the write lease, by the target's replica alone; raise StepFailed for none."""
        answer = self.around.leases([self.plan.target]).call(Look())
        if not isinstance(answer, Lease):
            message = "There is no write lease: no service has ever run with this table."
            raise StepFailed(message)
        return answer
