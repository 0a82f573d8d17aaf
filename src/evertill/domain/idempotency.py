"""Idempotency keys: how they are read, what they are scoped to, and what counts as the same body.

The header is the one of draft-ietf-httpapi-idempotency-key-header: a structured-field string
(RFC 8941, section 3.3.3) in double quotes. Most clients send it bare, so both forms are read, and
mean the same key.
"""

from __future__ import annotations

import re
from datetime import timedelta
from hashlib import blake2b
from typing import Final

from evertill.domain.errors import IdempotencyKeyInvalid, IdempotencyKeyMissing

KEY_LENGTH_MAX: Final = 255
ANSWER_KEPT: Final = timedelta(days=7)
KEY_KEPT: Final = timedelta(days=400)

# 128 bits: a chance collision needs about 2**64 keys.
DIGEST_SIZE_BYTES: Final = 16

_QUOTED: Final = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"')


def read_key(header: str | None) -> str:
    """Return the key that a header's value names.

    Raise IdempotencyKeyMissing without a header and IdempotencyKeyInvalid for one that is no key.
    """
    if header is None:
        raise IdempotencyKeyMissing
    quoted = _QUOTED.fullmatch(header) if header.startswith('"') else None
    return check_key(re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else header)


def check_key(key: str) -> str:
    """Return `key` when it is 1 to 255 printable ASCII characters; else IdempotencyKeyInvalid."""
    printable = key.isascii() and key.isprintable() and key.strip(" ") == key
    if not (printable and 0 < len(key) <= KEY_LENGTH_MAX):
        raise IdempotencyKeyInvalid
    return key


def scope_digest(merchant_id: int, operation: str, target: str, key: str) -> bytes:
    """Digest merchant, operation, target resource and key: one key in one scope, one payment."""
    scope = f"{merchant_id}\0{operation}\0{target}\0{key}"
    return blake2b(scope.encode(), digest_size=DIGEST_SIZE_BYTES).digest()


def body_digest(canonical_body: bytes) -> bytes:
    """Digest a request's canonical form, so that white space and the order of keys don't count."""
    return blake2b(canonical_body, digest_size=DIGEST_SIZE_BYTES).digest()
