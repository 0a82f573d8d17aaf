"""The values of a resolved template: literals, references, and what cannot be known beforehand.

They are separate because everything that touches a model speaks them. What is unknown keeps the
references that it was made from, so that "who refers to this?" is answered even where "what will
it be?" is not. Two unknowns with the same reason are equal: the account of two stacks that do not
name one is the same account.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeAlias

import msgspec

REF = "Ref"
# How the reason of an import that is not known begins.
IMPORT = "import of "


class Reference(msgspec.Struct, frozen=True):
    """A value that exists once `logical_id` of `stack` does: what `Ref` or an attribute returns."""

    stack: str
    logical_id: str
    attribute: str = REF

    def __str__(self) -> str:
        return f"${{{self.stack}.{self.logical_id}.{self.attribute}}}"


class Unknown(msgspec.Struct, frozen=True):
    """A value that the templates do not tell, and why; `sources` is what it was made from."""

    reason: str
    sources: tuple[Reference, ...] = ()

    def __str__(self) -> str:
        return f"${{{self.reason}}}"


class Text(msgspec.Struct, frozen=True):
    """A string that is known in parts; two strings never follow each other."""

    parts: tuple[str | Reference | Unknown, ...]

    def __str__(self) -> str:
        return "".join(map(str, self.parts))


Value: TypeAlias = (
    str
    | int
    | float
    | bool
    | list["Value"]
    | dict[str, "Value"]
    | Reference
    | Unknown
    | Text
    | None
)
Piece: TypeAlias = str | Reference | Unknown | Text


def joined(pieces: Iterable[Piece]) -> Piece:
    """Return `pieces` as one value: a string when all of it is known."""
    parts: list[str | Reference | Unknown] = []
    for piece in pieces:
        for part in piece.parts if isinstance(piece, Text) else (piece,):
            if isinstance(part, str) and parts and isinstance(parts[-1], str):
                parts[-1] += part
            elif part != "":
                parts.append(part)
    if not parts:
        return ""
    return parts[0] if len(parts) == 1 else Text(tuple(parts))


def split(value: Value, separator: str, splits_max: int = -1) -> list[Piece]:
    """Return `value` cut at the separators that are visible; unknown parts are never cut.

    That is sound for what cannot hold the separator, such as the first five fields of an ARN.
    """
    if not isinstance(value, str | Reference | Unknown | Text):
        return []
    fields: list[list[Piece]] = [[]]
    for part in value.parts if isinstance(value, Text) else (value,):
        if not isinstance(part, str):
            fields[-1].append(part)
            continue
        left = splits_max if splits_max < 0 else splits_max - len(fields) + 1
        first, *others = part.split(separator, left)
        fields[-1].append(first)
        fields.extend([other] for other in others)
    return [joined(field) for field in fields]


def references_in(value: Value) -> Iterator[Reference]:
    """Give every reference anywhere in `value`, in its order, repeated as often as it occurs."""
    match value:
        case Reference():
            yield value
        case Unknown(sources=sources):
            yield from sources
        case Text(parts=parts):
            for part in parts:
                yield from references_in(part)
        case list():
            for item in value:
                yield from references_in(item)
        case dict():
            for item in value.values():
                yield from references_in(item)
        case _:
            return


def texts_in(value: Value) -> Iterator[str | Text]:
    """Give every string anywhere in `value`, known whole or in parts."""
    match value:
        case str() | Text():
            yield value
        case list():
            for item in value:
                yield from texts_in(item)
        case dict():
            for item in value.values():
                yield from texts_in(item)
        case _:
            return


def imports_in(value: Value) -> set[str]:
    """Return the names that are imported anywhere in `value` and that no stack in reach exports."""
    match value:
        case Unknown(reason=reason) if reason.startswith(IMPORT):
            return {reason.removeprefix(IMPORT)}
        case Text(parts=parts):
            return {name for part in parts for name in imports_in(part)}
        case list():
            return {name for item in value for name in imports_in(item)}
        case dict():
            return {name for item in value.values() for name in imports_in(item)}
        case _:
            return set()


def unknown(reason: str, *made_from: Value) -> Unknown:
    """Return an Unknown that remembers the references in what it is made from."""
    sources = dict.fromkeys(source for value in made_from for source in references_in(value))
    return Unknown(reason, tuple(sources))
