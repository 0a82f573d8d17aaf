"""The direct invoke: whoever AWS lets call the function asks about one payment, in major units.

The answer is `{"statusCode", "body"}`, its body JSON. AWS has authenticated the caller, so no key
is asked for; naming a `merchant` brings its terms and, with a `source`, the source's history.
"""

from __future__ import annotations

import math
import re
from datetime import UTC
from decimal import Decimal
from http import HTTPStatus
from typing import Any, Final, NamedTuple

import msgspec

from evertill.domain.cards import holds_card_number
from evertill.domain.errors import EvertillError, InvalidRequest, Unavailable, UnknownCurrency
from evertill.domain.money import exponent, to_major, to_minor
from evertill.domain.rules import AMOUNT_NOT_POSITIVE, AMOUNT_OVER_LIMIT, Decline, Merchant
from evertill.validation.decisions import Decision, Engine, Question, read_merchant
from evertill.validation.telemetry import count, report

TEXT_LENGTH_MAX: Final = 64
MERCHANT_LENGTH_MAX: Final = 100
AMOUNT_LENGTH_MAX: Final = 32
# A binary float keeps any decimal of this many significant digits, and none beyond for sure.
FLOAT_DIGITS_MAX: Final = 15
# Beyond this no limit reaches, and a number need not be looked at closer.
MAJOR_UNITS_MAX: Final = 10**15
INVALID_AMOUNT: Final = "Invalid amount"
INTERNAL_ERROR: Final = "Internal error"
REASONS: Final = {
    AMOUNT_NOT_POSITIVE.code: INVALID_AMOUNT,
    AMOUNT_OVER_LIMIT.code: "Amount exceeds limit",
}

# Neither controls nor what some readers of lines take for an end of one (U+0085, U+2028, U+2029).
_TEXT: Final = re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
# What the service takes for a source; no other has a history.
_TOKEN: Final = re.compile(r"[!-~]+")
_NUMBER: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_encoder: Final = msgspec.json.Encoder()

Json = dict[str, Any]


class Refused(InvalidRequest):
    """The event does not hold what it must."""


class _Payment(NamedTuple):
    """What an event says, once it is known to be readable."""

    payment_id: str
    amount_minor: int
    currency: str
    merchant: str | None
    source: str | None
    reference: str | None


def answer(engine: Engine, event: object, correlation_id: str) -> Json:
    """Answer a direct invoke; nothing it could be given makes it raise."""
    payment_id = None
    try:
        given = event if isinstance(event, dict) else {}
        payment_id = _read_id(given)
        payment = _read(given, payment_id)
        decision = engine.decide(_question(engine, payment))
        if decision.decline is not None:
            return _declined(payment_id, decision.decline, decision)
        return _approved(engine, given["amount"], payment, decision)
    except _OverLimit:
        count(engine.metrics, "Declined")
        return _declined(payment_id, AMOUNT_OVER_LIMIT, None)
    except InvalidRequest as error:
        count(engine.metrics, "Refused")
        return _told(HTTPStatus.BAD_REQUEST, payment_id, {"reason": str(error), "code": error.code})
    except Exception as failure:  # noqa: BLE001 - the boundary: a caller never sees an exception
        return _failed(engine, payment_id, failure, correlation_id)


class _OverLimit(EvertillError):
    """The amount is over any limit there could be."""


def _read_id(event: Json) -> str:
    payment_id = _text(event, "payment_id", TEXT_LENGTH_MAX)
    if payment_id is None:
        raise Refused("Invalid payment_id: it is missing.", field="payment_id")
    return payment_id


def _read(event: Json, payment_id: str) -> _Payment:
    currency = _text(event, "currency", TEXT_LENGTH_MAX)
    try:
        exponent(currency or "")
    except UnknownCurrency as error:
        raise UnknownCurrency(f"Invalid currency: {error}", field="currency") from None
    return _Payment(
        payment_id,
        read_amount(event.get("amount"), str(currency)),
        str(currency),
        _text(event, "merchant", MERCHANT_LENGTH_MAX),
        _text(event, "source", TEXT_LENGTH_MAX, is_token=True),
        _text(event, "reference", TEXT_LENGTH_MAX),
    )


def read_amount(amount: object, currency: str) -> int:
    """Return minor units of an amount in major units, a JSON number or a string, exactly.

    Raise InvalidRequest for what is no amount, or is none for sure.
    """
    text = _decimal(amount)
    if not _NUMBER.fullmatch(text):
        raise _invalid("it is not a plain decimal number such as 10.99.")
    if text.startswith("-"):
        # Whatever its decimals: below zero is below zero.
        return -1 if text.strip("-0.") else 0
    if Decimal(text) >= MAJOR_UNITS_MAX:
        raise _OverLimit
    whole, _, fraction = text.partition(".")
    plain = f"{int(whole)}.{fraction.rstrip('0')}".rstrip(".")
    try:
        return to_minor(plain, currency)
    except InvalidRequest:
        decimals = exponent(currency)
        raise _invalid(f"{currency} has {decimals} decimals, and it has more.") from None


def _decimal(amount: object) -> str:
    """Return the amount as it was written, or as near as a float can tell."""
    if isinstance(amount, bool) or amount is None:
        raise _invalid("it is missing." if amount is None else "true and false are no amounts.")
    if isinstance(amount, str):
        if len(amount) > AMOUNT_LENGTH_MAX:
            raise _invalid(f"it is longer than {AMOUNT_LENGTH_MAX} characters.")
        return amount
    if isinstance(amount, int):
        # Turning a long integer into text takes long, and is refused by Python.
        if abs(amount) >= MAJOR_UNITS_MAX:
            if amount > 0:
                raise _OverLimit
            return "-1"
        return str(amount)
    if isinstance(amount, float):
        return _of_float(amount)
    raise _invalid("it must be a number or a string.")


def _of_float(amount: float) -> str:
    if not math.isfinite(amount):
        raise _invalid("it is not a finite number.")
    if amount >= MAJOR_UNITS_MAX:
        raise _OverLimit
    exact = Decimal(repr(amount))
    if len(exact.normalize().as_tuple().digits) > FLOAT_DIGITS_MAX:
        raise _invalid("a JSON number cannot hold it exactly; send it as a string.")
    return format(exact, "f")


def _text(event: Json, field: str, length_max: int, *, is_token: bool = False) -> str | None:
    value = event.get(field)
    if value is None:
        return None
    allowed, kind = (_TOKEN, "visible ASCII") if is_token else (_TEXT, "printable")
    if not isinstance(value, str) or len(value) > length_max or not allowed.fullmatch(value):
        message = f"Invalid {field}: it must be 1 to {length_max} {kind} characters."
        raise Refused(message, field=field)
    if holds_card_number(value):
        message = f"Invalid {field}: it holds what looks like a card number. Send a token instead."
        raise Refused(message, field=field)
    return value


def _invalid(why: str) -> Refused:
    return Refused(f"{INVALID_AMOUNT}: {why}", field="amount")


def _question(engine: Engine, payment: _Payment) -> Question:
    return Question(
        "direct",
        None if payment.merchant is None else _find_merchant(engine, payment.merchant),
        payment.amount_minor,
        payment.currency,
        payment.source,
        payment.reference,
        payment.payment_id,
    )


def _find_merchant(engine: Engine, name: str) -> Merchant:
    rows = engine.databases.ask("find_merchant", name=name)
    if not rows:
        raise Refused("Invalid merchant: there is none of this name.", field="merchant")
    return read_merchant(rows[0])


def _approved(engine: Engine, amount: object, payment: _Payment, decision: Decision) -> Json:
    exact = to_major(payment.amount_minor, payment.currency)
    # In the caller's own form: text for text, and a number for a number.
    shown = exact if isinstance(amount, str) else msgspec.Raw(exact.encode())
    body = {
        "amount": shown,
        "currency": payment.currency,
        "region": engine.region,
        "validated_at": decision.at.astimezone(UTC),
        **_circumstances(decision),
    }
    return _told(HTTPStatus.OK, payment.payment_id, body, valid=True)


def _declined(payment_id: str | None, decline: Decline, decision: Decision | None) -> Json:
    body: Json = {"reason": REASONS.get(decline.code, decline.message), "code": decline.code}
    if decision is not None:
        body |= _circumstances(decision)
    return _told(HTTPStatus.BAD_REQUEST, payment_id, body)


def _circumstances(decision: Decision) -> Json:
    return {"read_only": not decision.is_stored, "history_checked": decision.has_history}


def _failed(
    engine: Engine, payment_id: str | None, failure: Exception, correlation_id: str
) -> Json:
    report(engine.logger, "a direct invoke failed", failure)
    count(engine.metrics, "Failed")
    code = failure.code if isinstance(failure, Unavailable) else "internal_error"
    body = {"reason": INTERNAL_ERROR, "code": code, "correlation_id": correlation_id}
    return _told(HTTPStatus.INTERNAL_SERVER_ERROR, payment_id, body)


def _told(status: HTTPStatus, payment_id: str | None, body: Json, *, valid: bool = False) -> Json:
    whole = {"valid": valid, "payment_id": payment_id, **body}
    return {"statusCode": int(status), "body": _encoder.encode(whole).decode()}
