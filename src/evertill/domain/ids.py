"""Identifiers: UUIDv7 (RFC 9562) behind a prefix that says what they name.

They carry their time and 74 random bits, so two regions never issue the same one, and indexes grow
at their right end only.
"""

from __future__ import annotations

import re
from typing import Final

import uuid_utils

from evertill.domain.errors import NotFound

PAYMENT: Final = "pay_"
REFUND: Final = "ref_"
EVENT: Final = "evt_"
REQUEST: Final = "req_"
WEBHOOK: Final = "whe_"
VALIDATION: Final = "val_"

_HEX: Final = re.compile(r"[0-9a-f]{32}")


def new_id() -> bytes:
    """Return a new UUIDv7 as its 16 bytes; ids of one process ascend."""
    return uuid_utils.uuid7().bytes


def write_id(prefix: str, raw: bytes) -> str:
    """Write 16 raw bytes as a public id such as `pay_01a2...`."""
    return prefix + raw.hex()


def read_id(prefix: str, text: str) -> bytes:
    """Read a public id back into its 16 bytes; raise NotFound when it cannot be one of ours."""
    if not text.startswith(prefix) or not _HEX.fullmatch(text, len(prefix)):
        raise NotFound
    return bytes.fromhex(text[len(prefix) :])
