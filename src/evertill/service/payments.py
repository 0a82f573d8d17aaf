"""The hot path: taking payments, one by one and in batches.

Handlers here do not wait. They check the request, hand it to the committer, and answer when it
calls back after the commit.
"""

from __future__ import annotations

from typing import Final

import msgspec

from evertill.domain import ids, problems
from evertill.domain.errors import (
    EvertillError,
    InvalidRequest,
    KeyReused,
)
from evertill.domain.idempotency import body_digest, check_key, read_key, scope_digest
from evertill.domain.requests import read_body
from evertill.domain.rules import Attempt, source_key
from evertill.service.auth import Caller
from evertill.service.bodies import check_payment, read_batch
from evertill.service.exchange import REPLAYED, Exchange, Response
from evertill.service.models import BatchItem, NewPayment
from evertill.storage.committer import Committer
from evertill.storage.submissions import Answer, Submission, Waiter

CREATE: Final = "create"
REQUEST_TIMEOUT_S: Final = 5.0


class _Item(msgspec.Struct, frozen=True):
    """What became of one item of a batch when it was read."""

    outcome: Submission | EvertillError
    repeated: bool = False


class _Caller:
    """Who waits for one payment, and is answered when it has its outcome."""

    __slots__ = ("_exchange", "_submission")

    def __init__(self, exchange: Exchange, submission: Submission) -> None:
        """Wait for `submission`."""
        self._exchange = exchange
        self._submission = submission

    def count_down(self) -> None:
        """Answer."""
        _answer(self._exchange, self._submission)


_payment_decoder: Final = msgspec.json.Decoder(NewPayment)


class Payments:
    """The handlers that take payments."""

    def __init__(self, committer: Committer) -> None:
        """Take payments through `committer`."""
        self._committer = committer

    def create(self, exchange: Exchange, caller: Caller) -> None:
        """Take one payment."""
        key = read_key(exchange.header(b"idempotency-key"))
        request = read_body(_payment_decoder, exchange.body)
        check_payment(request)
        caller.bucket.spend(1, exchange.started_s)
        self._committer.check_room(1)
        submission = _submission(caller, request, key, exchange.started_s)
        submission.waiter = _Caller(exchange, submission)
        exchange.payment_id = submission.payment_id
        exchange.let_go()
        self._committer.submit(submission)

    def create_batch(self, exchange: Exchange, caller: Caller) -> None:
        """Take up to 1000 payments; each has a result of its own, in order."""
        payments = read_batch(exchange.body)
        caller.bucket.spend(len(payments), exchange.started_s)
        self._committer.check_room(len(payments))
        by_key: dict[bytes, Submission] = {}
        items = [_take_item(by_key, caller, item, exchange.started_s) for item in payments]
        exchange.let_go()
        if not by_key:
            _answer_batch(exchange, items)
        waiter = Waiter(len(by_key), lambda: _answer_batch(exchange, items))
        for submission in by_key.values():
            submission.waiter = waiter
            self._committer.submit(submission)


def _take_item(
    by_key: dict[bytes, Submission],
    caller: Caller,
    request: BatchItem | EvertillError,
    now_s: float,
) -> _Item:
    if isinstance(request, EvertillError):
        return _Item(request)
    try:
        key = check_key(request.idempotency_key)
        check_payment(request)
    except EvertillError as error:
        return _Item(error)
    submission = _submission(caller, request, key, now_s)
    first = by_key.setdefault(submission.key_digest, submission)
    if first is submission:
        return _Item(submission)
    if first.body_digest != submission.body_digest:
        return _Item(KeyReused())
    return _Item(first, repeated=True)


def _submission(caller: Caller, request: NewPayment, key: str, now_s: float) -> Submission:
    merchant_id = caller.merchant.merchant_id
    return Submission(
        merchant=caller.merchant,
        attempt=Attempt(request.amount, request.currency, request.source, request.reference),
        description=request.description,
        capture=request.capture,
        source_key=source_key(merchant_id, request.currency, request.source),
        key_digest=scope_digest(merchant_id, CREATE, "", key),
        body_digest=body_digest(_canonical(request)),
        payment_id=ids.new_id(),
        event_id=ids.new_id(),
        deadline_s=now_s + REQUEST_TIMEOUT_S,
    )


def _canonical(request: NewPayment) -> bytes:
    """Return what makes two requests the same payment, on its own and inside a batch alike.

    No field can hold a NUL, and no text is empty, so different requests have different forms.
    """
    capture = "" if request.capture else "hold"
    return (
        f"{request.amount}\0{request.currency}\0{request.source}\0{capture}"
        f"\0{request.reference or ''}\0{request.description or ''}"
    ).encode()


def _answer(exchange: Exchange, submission: Submission) -> None:
    outcome = submission.outcome
    if isinstance(outcome, Answer):
        headers = REPLAYED if outcome.replayed else ()
        exchange.reply(Response(201, outcome.body, headers=headers))
    elif outcome is not None:
        exchange.fail(outcome)


def _answer_batch(exchange: Exchange, items: list[_Item]) -> None:
    results = b",".join([_result(item, exchange.request_id) for item in items])
    exchange.reply(Response(200, b'{"results":[' + results + b"]}"))


def _result(item: _Item, request_id: str) -> bytes:
    outcome = item.outcome.outcome if isinstance(item.outcome, Submission) else item.outcome
    if isinstance(outcome, Answer):
        replayed = b"true" if outcome.replayed or item.repeated else b"false"
        return b'{"status":201,"replayed":' + replayed + b',"body":' + outcome.body + b"}"
    error = outcome or InvalidRequest()
    head = f'{{"status":{int(problems.status_of(error))},"replayed":false,"body":'
    return head.encode() + problems.encode(error, request_id) + b"}"
