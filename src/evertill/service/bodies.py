"""From a body's bytes to a typed request, or to the error that says what is wrong with it.

msgspec checks types and limits. Two things it does not: a JSON object that names a member twice
(RFC 8259 leaves its meaning open, so it has none here), and text that holds a card number.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, TypeVar

import msgspec

from evertill.domain.cards import holds_card_number, holds_long_number
from evertill.domain.errors import (
    CardNumberRefused,
    InvalidRequest,
    MalformedRequest,
    UnsupportedMediaType,
)
from evertill.domain.money import exponent
from evertill.service.models import NewPayment, NewValidation

_TWICE: Final = "The body names a member of an object twice."
_MEDIA_TYPES: Final = frozenset({b"application/json", b"application/x-www-form-urlencoded"})


class _Batch(msgspec.Struct, forbid_unknown_fields=True):
    """A batch whose payments are still text."""

    payments: list[msgspec.Raw]


_encoder: Final = msgspec.json.Encoder()
_batch_decoder: Final = msgspec.json.Decoder(_Batch)

T = TypeVar("T")


def read_body(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """Return the typed body.

    Raise MalformedRequest for what is no JSON and InvalidRequest for JSON that is no such request.
    """
    value = _decode(decoder, body)
    # Every member of the value written anew is in the body as well. Only where the body has more
    # colons, or escapes that could hide one, can a member stand there twice.
    if body.count(b":") != _encoder.encode(value).count(b":") or b"\\" in body:
        json.loads(body, object_pairs_hook=_unique)
    return value


def read_batch(body: bytes) -> list[msgspec.Raw]:
    """Return the payments of a batch, each still text, so that a bad one is only its own problem.

    Raise what `read_body` raises for what is around them.
    """
    payments = _decode(_batch_decoder, body).payments
    # Items are kept as they came, so only the one colon after `payments` stands outside of them.
    if body.count(b":") != 1 + sum([bytes(raw).count(b":") for raw in payments]):
        raise MalformedRequest(_TWICE)
    return payments


def check_media_type(headers: Mapping[bytes, bytes]) -> None:
    """Raise UnsupportedMediaType for a body that says to be something else than JSON.

    What HTML forms send is let through: curl names it when it is not told better, and a body that
    is not JSON is refused for that.
    """
    named = headers.get(b"content-type")
    if named is not None and named not in _MEDIA_TYPES:
        media_type = named.partition(b";")[0].strip().lower()
        if media_type not in _MEDIA_TYPES:
            raise UnsupportedMediaType
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise UnsupportedMediaType


def check_payment(request: NewPayment | NewValidation) -> None:
    """Raise UnknownCurrency, or CardNumberRefused for a card number in any free text."""
    exponent(request.currency)
    description = request.description if isinstance(request, NewPayment) else None
    # One look at all of the text finds nothing in nearly every request.
    if not holds_long_number(f"{request.source} {request.reference} {description}"):
        return
    check_text("source", request.source)
    check_text("reference", request.reference)
    check_text("description", description)


def check_text(field: str, text: str | None) -> None:
    """Raise CardNumberRefused, which never echoes it, when `text` holds a card number."""
    if text is not None and holds_card_number(text):
        message = f"{field} holds what looks like a card number. Send a token of the card instead."
        raise CardNumberRefused(message, field=field)


def _decode(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as failure:
        raise _invalid(failure) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as failure:
        message = f"The body is not valid JSON: {failure}."
        raise MalformedRequest(message) from None


def _invalid(failure: msgspec.ValidationError) -> InvalidRequest:
    """Return the error that names the field which msgspec refused."""
    message, _, path = str(failure).partition(" - at `$")
    field = path.rstrip("`").lstrip(".") or None
    return InvalidRequest(f"{message}.", field=field)


def _unique(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    if len(found) != len(members):
        raise MalformedRequest(_TWICE)
    return found
