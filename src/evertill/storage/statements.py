"""The statements of queries.sql, by name, so that no SQL stands between lines of Python."""

from __future__ import annotations

import re
from importlib import resources
from typing import Final, NamedTuple

_NAMED: Final = re.compile(r"^-- name: (\w+)\n(.*?)(?=^-- name: |\Z)", re.MULTILINE | re.DOTALL)
_PLACEHOLDER: Final = re.compile(rb"%\((\w+)\)s")
_COMMENT: Final = re.compile(r"^--.*\n", re.MULTILINE)


def _load() -> dict[str, bytes]:
    text = (resources.files("evertill.storage") / "queries.sql").read_text()
    return {
        found[1]: _COMMENT.sub("", found[2]).strip().encode() for found in _NAMED.finditer(text)
    }


STATEMENTS: Final = _load()


class Prepared(NamedTuple):
    """A statement with numbered parameters, and the parameters' names in that order."""

    text: bytes
    parameters: tuple[str, ...]


def prepared(name: str) -> Prepared:
    """Return a statement of queries.sql in the form that PREPARE takes."""
    names: list[str] = []

    def number(found: re.Match[bytes]) -> bytes:
        parameter = found[1].decode()
        if parameter not in names:
            names.append(parameter)
        return b"$%d" % (names.index(parameter) + 1)

    return Prepared(_PLACEHOLDER.sub(number, STATEMENTS[name]), tuple(names))
