"""From a request's bytes to a typed request, or to the error that says what is wrong with it.

It is in the domain because two doors lead to one engine: the service and the validation function
read the same bodies and must refuse the same ones. msgspec checks types and limits. Two things it
does not: a JSON object that names a member twice (RFC 8259 leaves its meaning open, so it has none
here), and text that holds a card number.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import Meta

from evertill.domain.cards import holds_card_number, holds_long_number
from evertill.domain.errors import (
    CardNumberRefused,
    InvalidRequest,
    MalformedRequest,
    UnknownCurrency,
    UnsupportedMediaType,
)
from evertill.domain.money import AMOUNT_MINOR_MAX, EXPONENTS
from evertill.domain.payments import DeclineReason

BODY_SIZE_MAX: Final = 1 << 20
_BACKSLASH: Final = ord("\\")
TWICE: Final = "The body names a member of an object twice."

_MEDIA_TYPES: Final = frozenset({b"application/json", b"application/x-www-form-urlencoded"})

_encoder: Final = msgspec.json.Encoder()

T = TypeVar("T")

Amount = Annotated[
    int,
    Meta(ge=1, le=AMOUNT_MINOR_MAX, description="Minor units of the currency.", examples=[1099]),
]
# PostgreSQL's text cannot hold NUL, and control characters have no place in a reference. `$` alone
# matches before a line feed at the end too, in Python's dialect though not in JSON Schema's.
CURRENCY_PATTERN: Final = r"^[A-Z]{3}$(?!\n)"
SOURCE_PATTERN: Final = r"^[!-~]+$(?!\n)"
TEXT_PATTERN: Final = r"^[^\x00-\x1f\x7f]+$(?!\n)"

# The patterns are only told here: `check_texts` holds them, all with one look, because three
# regular expressions take longer than all the rest of the decoding.
Currency = Annotated[
    str,
    Meta(
        description="ISO 4217 code.",
        examples=["USD"],
        extra_json_schema={"pattern": CURRENCY_PATTERN},
    ),
]
Source = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=64,
        description="Opaque token of whatever is paid with; never a card number.",
        examples=["tok_4f9a1c"],
        extra_json_schema={"pattern": SOURCE_PATTERN},
    ),
]
Reference = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=64,
        description="The merchant's own reference.",
        examples=["order-1001"],
        extra_json_schema={"pattern": TEXT_PATTERN},
    ),
]


class NewValidation(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """A payment to decide about without taking it."""

    amount: Amount
    currency: Currency
    source: Source
    reference: Reference | None = None


class Validation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whether a payment would be taken now."""

    valid: bool
    decline: DeclineReason | None
    # Told by the validation function alone: this region decides, and cannot store it.
    read_only: bool = False


def read_body(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """Return the typed body.

    Raise MalformedRequest for what is no JSON and InvalidRequest for JSON that is no such request.
    """
    value = decode(decoder, body)
    # Every member of the value written anew is in the body as well. Only where the body has more
    # colons, or escapes that could hide one, can a member stand there twice.
    if body.count(b":") != _encoder.encode(value).count(b":") or _BACKSLASH in body:
        json.loads(body, object_pairs_hook=_unique)
    return value


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


def check_texts(
    currency: str, source: str, reference: str | None, description: str | None = None
) -> None:
    """Raise what is wrong with a payment's text, which its type leaves to be checked here.

    InvalidRequest for characters that may not be in it, UnknownCurrency, or CardNumberRefused for a
    card number in any free text.
    """
    # One look at all of the text finds nothing in nearly every request.
    text = f"{source}|{reference}|{description}"
    if not (text.isprintable() and source.isascii() and " " not in source):
        _check_characters("source", source, SOURCE_PATTERN)
        _check_characters("reference", reference, TEXT_PATTERN)
        _check_characters("description", description, TEXT_PATTERN)
    if currency not in EXPONENTS:
        _check_characters("currency", currency, CURRENCY_PATTERN)
        raise UnknownCurrency(field="currency")
    if holds_long_number(text):
        check_text("source", source)
        check_text("reference", reference)
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


def decode(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """Return the typed body, without the look for members that stand there twice."""
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
        raise MalformedRequest(TWICE)
    return found
