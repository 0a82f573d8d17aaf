"""Each rule declines what it must, at its very limit, and nothing else."""

from __future__ import annotations

import msgspec
import pytest

from evertill.domain import rules
from evertill.domain.rules import Attempt, Merchant, MerchantTerms, SourceHistory, decide

TERMS = MerchantTerms(
    accepted_currencies=frozenset({"USD", "JPY"}),
    amount_limits_minor={"USD": 10_000},
    attempts_max=(3, 5, 8),
    approved_sum_limits_minor={"USD": (20_000, 30_000, 40_000)},
    blocked_sources=frozenset({"tok_blocked"}),
)
MERCHANT = Merchant(1, active=True, terms=TERMS)


def attempt(amount_minor: int = 100, source: str = "tok_1", reference: str = "a") -> Attempt:
    return Attempt(amount_minor, "USD", source, reference)


def only(window: int, count: int) -> tuple[int, int, int]:
    minute, hour, day = (count if window == number else 0 for number in range(3))
    return minute, hour, day


def test_an_ordinary_attempt_is_taken() -> None:
    assert decide(attempt(), MERCHANT, SourceHistory()) is None


@pytest.mark.parametrize(
    ("asked", "merchant", "decline"),
    [
        (attempt(0), MERCHANT, rules.AMOUNT_NOT_POSITIVE),
        (attempt(-5), MERCHANT, rules.AMOUNT_NOT_POSITIVE),
        (attempt(10_001), MERCHANT, rules.AMOUNT_OVER_LIMIT),
        (Attempt(100, "EUR", "tok_1"), MERCHANT, rules.CURRENCY_NOT_ACCEPTED),
        (attempt(source="tok_blocked"), MERCHANT, rules.SOURCE_BLOCKED),
        (attempt(), Merchant(1, active=False, terms=TERMS), rules.MERCHANT_INACTIVE),
    ],
)
def test_a_rule_about_the_attempt_declines(
    asked: Attempt, merchant: Merchant, decline: rules.Decline
) -> None:
    assert decline == decide(asked, merchant, SourceHistory())


def test_the_limit_itself_is_still_taken() -> None:
    assert decide(attempt(10_000), MERCHANT, SourceHistory()) is None


def test_a_currency_without_a_limit_of_its_own_is_limited_to_a_million_major_units() -> None:
    merchant = Merchant(1, active=True, terms=MerchantTerms())
    assert decide(Attempt(1_000_000, "JPY", "t"), merchant, SourceHistory()) is None
    over = decide(Attempt(1_000_001, "JPY", "t"), merchant, SourceHistory())
    assert over == rules.AMOUNT_OVER_LIMIT
    assert decide(Attempt(100_000_000, "USD", "t"), merchant, SourceHistory()) is None


@pytest.mark.parametrize("window", [0, 1, 2])
def test_attempts_are_limited_in_each_window(window: int) -> None:
    reached = TERMS.attempts_max[window]
    history = SourceHistory(attempts=only(window, reached))
    assert rules.TOO_MANY_ATTEMPTS == decide(attempt(), MERCHANT, history)


@pytest.mark.parametrize("window", [0, 1, 2])
def test_approved_sums_are_limited_in_each_window(window: int) -> None:
    nearly = TERMS.approved_sum_limits_minor["USD"][window] - 99
    history = SourceHistory(approved_minor=only(window, nearly))
    assert rules.APPROVED_SUM_OVER_LIMIT == decide(attempt(100), MERCHANT, history)
    assert decide(attempt(99), MERCHANT, history) is None


def test_the_same_amount_and_reference_within_a_minute_is_a_suspected_duplicate() -> None:
    history = SourceHistory(recent={(100, "a")})
    assert rules.SUSPECTED_DUPLICATE == decide(attempt(), MERCHANT, history)
    assert decide(attempt(reference="b"), MERCHANT, history) is None
    assert decide(attempt(101), MERCHANT, history) is None


def test_earlier_attempts_of_the_same_batch_count_like_committed_ones() -> None:
    history = SourceHistory()
    for number in range(3):
        asked = attempt(reference=str(number))
        assert decide(asked, MERCHANT, history) is None
        history.record(asked, approved=True)
    assert rules.TOO_MANY_ATTEMPTS == decide(attempt(), MERCHANT, history)


def test_a_declined_attempt_counts_as_an_attempt_but_not_towards_the_sums() -> None:
    history = SourceHistory()
    history.record(attempt(10_000), approved=False)
    assert not history.approved_would_exceed(20_000, (20_000, 30_000, 40_000))
    assert history.attempts_reach((1, 5, 8))


def test_sources_of_other_merchants_and_currencies_have_other_keys() -> None:
    keys = {
        rules.source_key(1, "USD", "tok_1"),
        rules.source_key(2, "USD", "tok_1"),
        rules.source_key(1, "EUR", "tok_1"),
        rules.source_key(1, "USD", "tok_2"),
    }
    assert 4 == len(keys)


@pytest.mark.parametrize(
    "terms",
    [
        b'{"attempts_max": [20, 200, 1001]}',
        b'{"fee_basis_points": 10001}',
        b'{"fee_basis_points": -1}',
        b'{"authorization_lifetime_s": 0}',
        b'{"authorization_lifetime_s": 99999999999}',
        b'{"payments_per_s_max": 0}',
        b'{"unknown": 1}',
    ],
)
def test_terms_beyond_what_the_service_can_keep_are_refused(terms: bytes) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(terms, type=MerchantTerms)
