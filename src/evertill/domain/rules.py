"""The rules that a payment must pass: one engine for the API, the Lambda and the tests.

A rule sees the attempt, the merchant's terms and the source's history, and answers with a stable
code and a sentence, or with nothing. Windows slide: the history that is passed in was counted back
from the moment of the attempt, and `SourceHistory.record` adds the attempts of the same batch that
came before, so that a batch decides as its payments one by one would.
"""

from __future__ import annotations

import struct
from datetime import timedelta
from hashlib import blake2b
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from evertill.domain.ledger import BASIS_POINTS
from evertill.domain.money import exponent

WINDOWS: Final = (timedelta(minutes=1), timedelta(hours=1), timedelta(hours=24))
# No source's history is read further back than this many attempts.
ATTEMPTS_LIMIT_MAX: Final = 1_000
ATTEMPTS_MAX: Final = (20, 200, ATTEMPTS_LIMIT_MAX)
LIFETIME_MAX_S: Final = 31 * 24 * 3600
AMOUNT_LIMIT_MAJOR: Final = 1_000_000
# The approved sums of a source, as multiples of the limit of one payment.
APPROVED_SUM_LIMITS: Final = (2, 5, 10)
BLOCKED_SOURCES_MAX: Final = 10_000

_SIGNED_64: Final = struct.Struct(">q")

AttemptsLimit = Annotated[int, Meta(ge=0, le=ATTEMPTS_LIMIT_MAX)]


class MerchantTerms(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was agreed with a merchant; amounts are minor units, windows as in `WINDOWS`."""

    accepted_currencies: frozenset[str] | None = None
    amount_limits_minor: dict[str, int] = {}
    fee_basis_points: Annotated[int, Meta(ge=0, le=BASIS_POINTS)] = 290
    fees_fixed_minor: dict[str, int] = {}
    attempts_max: tuple[AttemptsLimit, AttemptsLimit, AttemptsLimit] = ATTEMPTS_MAX
    approved_sum_limits_minor: dict[str, tuple[int, int, int]] = {}
    blocked_sources: Annotated[frozenset[str], Meta(max_length=BLOCKED_SOURCES_MAX)] = frozenset()
    authorization_lifetime_s: Annotated[int, Meta(ge=1, le=LIFETIME_MAX_S)] = 7 * 24 * 3600
    payments_per_s_max: Annotated[int, Meta(ge=1)] = 2_000


class Limits(msgspec.Struct, frozen=True):
    """What one payment and one source may reach in one currency, in minor units."""

    accepted: bool
    amount_minor: int
    approved_sums_minor: tuple[int, int, int]
    fee_fixed_minor: int


class Merchant:
    """A merchant as the rules see it."""

    __slots__ = ("_limits", "active", "merchant_id", "terms")

    def __init__(self, merchant_id: int, *, active: bool, terms: MerchantTerms) -> None:
        """Remember the terms; limits are worked out once for each currency."""
        self.merchant_id = merchant_id
        self.active = active
        self.terms = terms
        self._limits: dict[str, Limits] = {}

    def limits(self, currency: str) -> Limits:
        """Return the merchant's limits in `currency`; raise UnknownCurrency for none."""
        limits = self._limits.get(currency)
        if limits is None:
            limits = self._limits[currency] = _limits_in(currency, self.terms)
        return limits


def _limits_in(currency: str, terms: MerchantTerms) -> Limits:
    default = AMOUNT_LIMIT_MAJOR * 10 ** exponent(currency)
    amount_minor = terms.amount_limits_minor.get(currency, default)
    minute, hour, day = APPROVED_SUM_LIMITS
    sums = (amount_minor * minute, amount_minor * hour, amount_minor * day)
    accepted = terms.accepted_currencies
    return Limits(
        accepted is None or currency in accepted,
        amount_minor,
        terms.approved_sum_limits_minor.get(currency, sums),
        terms.fees_fixed_minor.get(currency, 0),
    )


class Attempt(msgspec.Struct, frozen=True):
    """What is asked: an amount in minor units of a known currency, from an opaque source."""

    amount_minor: int
    currency: str
    source: str
    reference: str | None = None


class Decline(msgspec.Struct, frozen=True):
    """Why a payment is declined: a code to branch on and a sentence to read."""

    code: str
    message: str


AMOUNT_NOT_POSITIVE: Final = Decline("amount_not_positive", "The amount must be above zero.")
AMOUNT_OVER_LIMIT: Final = Decline(
    "amount_over_limit", "The amount is over the merchant's limit for this currency."
)
CURRENCY_NOT_ACCEPTED: Final = Decline(
    "currency_not_accepted", "The merchant does not accept this currency."
)
MERCHANT_INACTIVE: Final = Decline("merchant_inactive", "The merchant is not active.")
SOURCE_BLOCKED: Final = Decline("source_blocked", "The merchant has blocked this source.")
TOO_MANY_ATTEMPTS: Final = Decline(
    "too_many_attempts", "The source was used too often in a short time."
)
APPROVED_SUM_OVER_LIMIT: Final = Decline(
    "approved_sum_over_limit", "The source's approved payments of late are over the limit."
)
SUSPECTED_DUPLICATE: Final = Decline(
    "suspected_duplicate",
    "The same source paid the same amount with the same reference within the last minute.",
)
DECLINES: Final = (
    AMOUNT_NOT_POSITIVE,
    AMOUNT_OVER_LIMIT,
    CURRENCY_NOT_ACCEPTED,
    MERCHANT_INACTIVE,
    SOURCE_BLOCKED,
    TOO_MANY_ATTEMPTS,
    APPROVED_SUM_OVER_LIMIT,
    SUSPECTED_DUPLICATE,
)
DECLINES_BY_CODE: Final = {decline.code: decline for decline in DECLINES}


class SourceHistory:
    """What one source did within its merchant and currency, back from now, per window."""

    __slots__ = ("_added_attempts", "_added_minor", "approved_minor", "attempts", "recent")

    def __init__(
        self,
        attempts: tuple[int, int, int] = (0, 0, 0),
        approved_minor: tuple[int, int, int] = (0, 0, 0),
        recent: set[tuple[int, str | None]] | None = None,
    ) -> None:
        """Start from counts per window and the approved (amount, reference) of the last minute."""
        self.attempts = attempts
        self.approved_minor = approved_minor
        self.recent = recent or set()
        self._added_attempts = 0
        self._added_minor = 0

    def record(self, attempt: Attempt, *, approved: bool) -> None:
        """Count one more attempt, so that the next one of the same batch sees it."""
        self._added_attempts += 1
        if approved:
            self._added_minor += attempt.amount_minor
            self.recent.add((attempt.amount_minor, attempt.reference))

    def attempts_reach(self, attempts_max: tuple[int, int, int]) -> bool:
        """Tell whether some window already holds as many attempts as it may."""
        # Three comparisons in a row: this is asked for every payment, and a loop takes thrice as
        # long.
        minute, hour, day = self.attempts
        most_minute, most_hour, most_day = attempts_max
        added = self._added_attempts
        return minute + added >= most_minute or hour + added >= most_hour or day + added >= most_day

    def approved_would_exceed(self, amount_minor: int, limits_minor: tuple[int, int, int]) -> bool:
        """Tell whether approving `amount_minor` more would pass some window's limit."""
        minute, hour, day = self.approved_minor
        most_minute, most_hour, most_day = limits_minor
        more = self._added_minor + amount_minor
        return minute + more > most_minute or hour + more > most_hour or day + more > most_day


def source_key(merchant_id: int, currency: str, source: str) -> int:
    """Return the signed 64-bit key under which a source's history is locked and looked up."""
    scope = f"{merchant_id}\0{currency}\0{source}".encode()
    key: int = _SIGNED_64.unpack(blake2b(scope, digest_size=8).digest())[0]
    return key


def decide(  # noqa: PLR0911 - one return for each rule reads best
    attempt: Attempt, merchant: Merchant, history: SourceHistory
) -> Decline | None:
    """Return why the attempt is declined, or None when it may be taken; the first rule wins."""
    if not merchant.active:
        return MERCHANT_INACTIVE
    if attempt.amount_minor <= 0:
        return AMOUNT_NOT_POSITIVE
    limits = merchant.limits(attempt.currency)
    if not limits.accepted:
        return CURRENCY_NOT_ACCEPTED
    if attempt.amount_minor > limits.amount_minor:
        return AMOUNT_OVER_LIMIT
    if attempt.source in merchant.terms.blocked_sources:
        return SOURCE_BLOCKED
    if history.attempts_reach(merchant.terms.attempts_max):
        return TOO_MANY_ATTEMPTS
    if (attempt.amount_minor, attempt.reference) in history.recent:
        return SUSPECTED_DUPLICATE
    if history.approved_would_exceed(attempt.amount_minor, limits.approved_sums_minor):
        return APPROVED_SUM_OVER_LIMIT
    return None
