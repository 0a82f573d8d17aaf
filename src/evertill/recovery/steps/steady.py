"""Ask the target until it answers as it should: back to 99 %.

It is separate because it is a measurement and no condition: a region that is busy with clients who
come back all at once is slow for a while, and nothing is to be done about it here.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from evertill.recovery.doors import Seen
from evertill.recovery.pace import moment
from evertill.recovery.steps.running import Run

QUESTIONS: Final = 100
ANSWERED_MIN: Final = 99
QUESTION_INTERVAL_S: Final = 0.05
STEADY_TIMEOUT_S: Final = 60.0


def measure(run: Run) -> str:
    """Note since when 99 of 100 questions to `/ready` were answered with 200; return a sentence."""
    door, pace = run.around.door(run.plan.target), run.pace
    last: deque[tuple[str, Seen]] = deque(maxlen=QUESTIONS)
    begun_s = pace.now_s()
    while pace.now_s() - begun_s < STEADY_TIMEOUT_S:
        last.append((moment(), door.ready()))
        passed = sum(seen.is_ready for _, seen in last)
        if len(last) == QUESTIONS and passed >= ANSWERED_MIN:
            if "steady_at" not in run.facts:
                run.journal.note(steady_at=last[0][0])
            return f"{run.plan.target} answers {passed} of {QUESTIONS} questions"
        pace.sleep(QUESTION_INTERVAL_S)
    return f"{run.plan.target} does not answer {ANSWERED_MIN} of {QUESTIONS} questions yet"
