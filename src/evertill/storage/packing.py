"""Parameters in PostgreSQL's binary format, arrays packed a column at a time.

A batch travels as one array per column. The driver's own adapters inspect every element; packing
whole columns here takes a fraction of that time, and the hot path pays for it per payment. The
format is that of PostgreSQL's array_recv (src/backend/utils/adt/arrayfuncs.c): dimensions, a flag
for NULLs, the element type, length and lower bound, then each element behind its size.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Final, Self

from psycopg.abc import AdaptContext
from psycopg.adapt import Dumper
from psycopg.pq import Format

_HEADER: Final = struct.Struct(">iiIii")
_int2: Final = struct.Struct(">ih")
_int4: Final = struct.Struct(">ii")
_int8: Final = struct.Struct(">q")
_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_NULL: Final = b"\xff\xff\xff\xff"
# The sizes of nearly all texts, as they are sent before each.
_SIZES: Final = [size.to_bytes(4, "big") for size in range(1024)]
# Exponents, kinds and accounts, as they are sent, and what stands for none.
_SMALL: Final = {None: _NULL} | {value: _int2.pack(2, value) for value in range(16)}
_SIZE_16: Final = b"\x00\x00\x00\x10"


class PackedArray(bytes):
    """An array in binary format; each subclass names its own and its elements' type OID."""

    __slots__ = ()
    oid: ClassVar[int]
    element_oid: ClassVar[int]

    @classmethod
    def of(cls, length: int, elements: bytes) -> Self:
        """Put the header before `length` elements."""
        if not length:
            return cls(_HEADER.pack(0, 0, cls.element_oid, 0, 0)[:12])
        return cls(_HEADER.pack(1, _MAY_HOLD_NULLS, cls.element_oid, length, 1) + elements)


# PostgreSQL reads the flag and then finds the NULLs by their sizes, so it may always be set.
_MAY_HOLD_NULLS: Final = 1


class Int2Array(PackedArray):
    """A smallint[]."""

    oid, element_oid = 1005, 21


class Int4Array(PackedArray):
    """An integer[]."""

    oid, element_oid = 1007, 23


class Int8Array(PackedArray):
    """A bigint[]."""

    oid, element_oid = 1016, 20


class TextArray(PackedArray):
    """A text[]."""

    oid, element_oid = 1009, 25


class UuidArray(PackedArray):
    """A uuid[]."""

    oid, element_oid = 2951, 2950


class _PackedDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: PackedArray) -> bytes:
        return obj


def register(context: AdaptContext) -> None:
    """Let statements of `context` take packed arrays."""
    for packed in (Int2Array, Int4Array, Int8Array, TextArray, UuidArray):
        dumper = type(f"{packed.__name__}Dumper", (_PackedDumper,), {"oid": packed.oid})
        context.adapters.register_dumper(packed, dumper)


def pack_int2(values: Sequence[int | None]) -> Int2Array:
    """Pack small integers, or NULLs, as smallint[]."""
    try:
        elements = [_SMALL[value] for value in values]
    except KeyError:
        elements = [_NULL if value is None else _int2.pack(2, value) for value in values]
    return Int2Array.of(len(values), b"".join(elements))


def pack_int4(values: Sequence[int]) -> Int4Array:
    """Pack integers as integer[]."""
    return Int4Array.of(len(values), b"".join([_int4.pack(4, value) for value in values]))


def pack_int8(values: Sequence[int]) -> Int8Array:
    """Pack integers as bigint[]."""
    pairs = [8] * (2 * len(values))
    pairs[1::2] = values
    return Int8Array.of(len(values), struct.pack(">" + "iq" * len(values), *pairs))


def pack_text(values: Sequence[bytes | None]) -> TextArray:
    """Pack UTF-8 strings, or NULLs, as text[]."""
    try:
        elements = [_NULL if value is None else _SIZES[len(value)] + value for value in values]
    except IndexError:
        elements = [_sized(value) for value in values]
    return TextArray.of(len(values), b"".join(elements))


def pack_uuid(values: Sequence[bytes]) -> UuidArray:
    """Pack 16-byte strings as uuid[]."""
    return UuidArray.of(len(values), _SIZE_16 + _SIZE_16.join(values))


def pack_optional_uuid(values: Sequence[bytes | None]) -> UuidArray:
    """Pack 16-byte strings, or NULLs, as uuid[]."""
    return UuidArray.of(len(values), b"".join([_sized(value) for value in values]))


def _sized(value: bytes | None) -> bytes:
    return _NULL if value is None else len(value).to_bytes(4, "big") + value


def pack_number(value: int) -> bytes:
    """Pack a number as bigint."""
    return _int8.pack(value)


def pack_time(moment: datetime) -> bytes:
    """Pack an aware datetime as timestamptz: microseconds since 2000."""
    return _int8.pack((moment - _EPOCH) // _MICROSECOND)
