"""From a body's bytes to a typed request, or to the error that says what is wrong with it.

msgspec checks types and limits. Two things it does not: a JSON object that names a member twice
(RFC 8259 leaves its meaning open, so it has none here), and text that holds a card number.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final, TypeVar

import msgspec

from evertill.domain.cards import holds_card_number, holds_long_number
from evertill.domain.errors import (
    CardNumberRefused,
    InvalidRequest,
    MalformedRequest,
    UnknownCurrency,
    UnsupportedMediaType,
)
from evertill.domain.money import EXPONENTS
from evertill.service.models import (
    CURRENCY_PATTERN,
    SOURCE_PATTERN,
    TEXT_PATTERN,
    NewPayment,
    NewValidation,
)

_BACKSLASH: Final = ord("\\")
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
    if body.count(b":") != _encoder.encode(value).count(b":") or _BACKSLASH in body:
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
    """Raise what is wrong with a payment's text, which its type leaves to be checked here.

    InvalidRequest for characters that may not be in it, UnknownCurrency, or CardNumberRefused for a
    card number in any free text.
    """
    source = request.source
    description = request.description if isinstance(request, NewPayment) else None
    # One look at all of the text finds nothing in nearly every request.
    text = f"{source}|{request.reference}|{description}"
    if not (text.isprintable() and source.isascii() and " " not in source):
        _check_characters("source", source, SOURCE_PATTERN)
        _check_characters("reference", request.reference, TEXT_PATTERN)
        _check_characters("description", description, TEXT_PATTERN)
    if request.currency not in EXPONENTS:
        _check_characters("currency", request.currency, CURRENCY_PATTERN)
        raise UnknownCurrency(field="currency")
    if not holds_long_number(text):
        return
    check_text("source", source)
    check_text("reference", request.reference)
    check_text("description", description)


def _check_characters(field: str, text: str | None, pattern: str) -> None:
    if text is not None and not re.search(pattern, text):
        message = f"Expected `str` matching regex {pattern!r}."
        raise InvalidRequest(message, field=field)


def check_text(field: str, text: str | None) -> None:
    """Raise InvalidRequest for control characters in `text`, CardNumberRefused for a card number.

    Neither echoes it.
    """
    _check_characters(field, text, TEXT_PATTERN)
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
