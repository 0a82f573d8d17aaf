"""The statements of queries.sql, by name, so that no SQL stands between lines of Python."""

from __future__ import annotations

import re
from importlib import resources
from typing import Final

_NAMED: Final = re.compile(r"^-- name: (\w+)\n(.*?)(?=^-- name: |\Z)", re.MULTILINE | re.DOTALL)
_COMMENT: Final = re.compile(r"^--.*\n", re.MULTILINE)


def _load() -> dict[str, bytes]:
    text = (resources.files("evertill.storage") / "queries.sql").read_text()
    return {
        found[1]: _COMMENT.sub("", found[2]).strip().encode() for found in _NAMED.finditer(text)
    }


STATEMENTS: Final = _load()
