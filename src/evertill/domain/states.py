"""The states of a payment and the moves between them (invariant I8 is a path through this map).

`pending` belongs to an acquirer behind a port: today Evertill is a closed loop, so a payment is
decided in the transaction that stores it and nobody outside ever sees `pending`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from evertill.domain.errors import IllegalTransition


class State(StrEnum):
    """Where a payment stands."""

    PENDING = "pending"
    AUTHORIZED = "authorized"
    DECLINED = "declined"
    CAPTURED = "captured"
    CANCELED = "canceled"
    EXPIRED = "expired"
    PARTIALLY_REFUNDED = "partially_refunded"
    REFUNDED = "refunded"


MOVES: Final[dict[State, frozenset[State]]] = {
    State.PENDING: frozenset({State.AUTHORIZED, State.DECLINED}),
    State.AUTHORIZED: frozenset({State.CAPTURED, State.CANCELED, State.EXPIRED}),
    State.CAPTURED: frozenset({State.PARTIALLY_REFUNDED, State.REFUNDED}),
    State.PARTIALLY_REFUNDED: frozenset({State.PARTIALLY_REFUNDED, State.REFUNDED}),
    State.DECLINED: frozenset(),
    State.CANCELED: frozenset(),
    State.EXPIRED: frozenset(),
    State.REFUNDED: frozenset(),
}


def check_move(current: State, target: State) -> None:
    """Raise IllegalTransition, naming both states, unless `target` may follow `current`."""
    if target not in MOVES[current]:
        message = f"A payment that is {current} cannot become {target}."
        raise IllegalTransition(message, current_status=current, requested_status=target)
