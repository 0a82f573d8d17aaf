"""The demonstration: its merchant, its key that stays the same, and a first payment to paste.

It is separate from starting things, because this is what a newcomer sees, and what other commands
read later from `.evertill/demo.json`.
"""

from __future__ import annotations

import secrets
from typing import Final

import msgspec

from evertill.domain.rules import MerchantTerms
from evertill.quickstart.state import State
from evertill.storage import directory, provisioning

DEMO_FILE: Final = "demo.json"
MERCHANT: Final = "demo"
# All of them: here nobody else is there who could set up a webhook.
SCOPES: Final = directory.SCOPES
# Nobody should meet a rate limit on their own machine, a benchmark included.
TERMS: Final = MerchantTerms(
    payments_per_s_max=100_000,
    fees_fixed_minor={"USD": 30, "EUR": 25, "GBP": 20, "JPY": 30, "KWD": 100},
)
FRESH_PART_BYTES: Final = 4


class Demo(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where the demonstration is, the key to it, and who vouches for it if nobody public does."""

    url: str
    key: str
    authorities: str = ""


def find_or_make_key(state: State, admin_url: str) -> str:
    """Return the key of earlier starts where the database knows it, else a new one.

    The merchant is made along with its first key; its terms, once there, are the user's.
    """
    known = _read(state)
    if known is not None and provisioning.knows_key(admin_url, known.key):
        return known.key
    if provisioning.find_terms(admin_url, MERCHANT) is None:
        directory.save_merchant(admin_url, MERCHANT, TERMS)
    return directory.create_key(admin_url, MERCHANT, SCOPES)


def write(state: State, demo: Demo) -> None:
    """Leave word for the commands that are typed in this directory."""
    state.write(DEMO_FILE, msgspec.json.encode(demo).decode() + "\n")


def first_payment(demo: Demo) -> str:
    """Return a shell command that takes a payment; pasted twice, it takes one.

    Each start has another key and source, so that no rule takes it for a duplicate.
    """
    fresh = secrets.token_hex(FRESH_PART_BYTES)
    body = f'{{"amount":1099,"currency":"USD","source":"tok_{fresh}"}}'
    return (
        f"curl -sS {demo.url}/v1/payments \\\n"
        f"  -H 'Authorization: Bearer {demo.key}' \\\n"
        f"  -H 'Idempotency-Key: first-{fresh}' \\\n"
        f"  -H 'Content-Type: application/json' \\\n"
        f"  -d '{body}'"
    )


def _read(state: State) -> Demo | None:
    text = state.read(DEMO_FILE)
    try:
        return None if text is None else msgspec.json.decode(text, type=Demo)
    except msgspec.MsgspecError:
        # Whatever is in there opens nothing; a new key replaces it.
        return None
