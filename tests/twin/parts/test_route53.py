"""Route 53's documented rules, case by case.

https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/health-checks-how-route-53-chooses-records.html
https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/dns-failover-complex-configs.html
https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/dns-failover-types.html
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from evertill.twin.parts.route53 import Answer, Resolver
from evertill.twin.plan.dns_specs import AliasTarget, Record

BALANCER = "alb-1.us-east-1.elb.amazonaws.com"
NAME = "www.example.net."


class Balancers:
    def __init__(self, *, healthy: bool = True) -> None:
        self.healthy = healthy

    def addresses(self, dns_name: str) -> Sequence[str] | None:
        return ("127.0.0.9",) if dns_name.rstrip(".") == BALANCER else None

    def is_healthy(self, dns_name: str) -> bool:
        assert BALANCER == dns_name.rstrip(".")
        return self.healthy


def record(value: str = "", **fields: Any) -> Record:
    fields = {"name": NAME, "type": "A", "ttl_s": 30, "set_identifier": value, **fields}
    return Record(values=(value,) if value else (), **fields)


def alias(target: str = BALANCER, *, evaluates: bool = True, **fields: Any) -> Record:
    return record(alias=AliasTarget(target, "Z1", evaluates), ttl_s=0, **fields)


def resolver(
    records: Sequence[Record], failing: str = "", dice: float = 0.0, *, balancer: bool = True
) -> Resolver:
    return Resolver(
        records,
        is_passing=lambda check: check not in failing.split(),
        balancers=Balancers(healthy=balancer),
        dice=lambda: dice,
    )


def primary(**fields: Any) -> Record:
    return record(**{"value": "1.1.1.1", "failover": "PRIMARY", "health_check": "p", **fields})


def secondary(**fields: Any) -> Record:
    return record(**{"value": "2.2.2.2", "failover": "SECONDARY", "health_check": "s", **fields})


@pytest.mark.parametrize(
    ("failing", "answered"),
    [
        pytest.param("", "1.1.1.1", id="both healthy: the primary"),
        pytest.param("p", "2.2.2.2", id="only the secondary healthy: the secondary"),
        pytest.param("s", "1.1.1.1", id="only the primary healthy: the primary"),
        pytest.param("p s", "1.1.1.1", id="none healthy: the primary, as the last resort"),
    ],
)
def test_a_failover_pair(failing: str, answered: str) -> None:
    found = resolver([primary(), secondary()], failing).answer(NAME, "A")
    assert Answer("A", (answered,), 30) == found


def test_a_secondary_without_a_check_is_always_healthy() -> None:
    pair = [primary(), secondary(health_check="")]
    assert ("2.2.2.2",) == resolver(pair, "p").answer(NAME, "A").values


def test_a_primary_without_a_check_is_never_left() -> None:
    pair = [primary(health_check=""), secondary()]
    assert ("1.1.1.1",) == resolver(pair, "p").answer(NAME, "A").values


@pytest.mark.parametrize(
    ("weights", "failing", "drawn"),
    [
        pytest.param((1, 3), "", {"a": 25, "b": 75}, id="by weight"),
        pytest.param((1, 0), "", {"a": 100}, id="weight zero gets nothing"),
        pytest.param((1, 0), "a", {"b": 100}, id="weight zero when no other is healthy"),
        pytest.param((1, 0), "a b", {"a": 100}, id="none healthy: as if all were"),
        pytest.param((0, 0), "", {"a": 50, "b": 50}, id="all zero: equally"),
        pytest.param((0, 0), "a", {"b": 100}, id="all zero, one healthy"),
        pytest.param((1, 3), "b", {"a": 100}, id="an unhealthy one gets nothing"),
        pytest.param((1, 3), "a b", {"a": 25, "b": 75}, id="none healthy: by weight"),
    ],
)
def test_weighted_records(weights: tuple[int, int], failing: str, drawn: dict[str, int]) -> None:
    records = [
        record(name_, weight=weight, health_check=name_)
        for name_, weight in zip("ab", weights, strict=True)
    ]
    got = Counter(
        resolver(records, failing, dice / 100).answer(NAME, "A").values[0] for dice in range(100)
    )
    assert drawn == dict(got)


def test_several_values_are_the_healthy_ones_up_to_eight() -> None:
    records = [record(f"1.1.1.{n}", is_multi_value=True, health_check=f"c{n}") for n in range(12)]
    assert 8 == len(resolver(records).answer(NAME, "A").values)
    few = resolver(records, " ".join(f"c{n}" for n in range(2, 12))).answer(NAME, "A")
    assert {"1.1.1.0", "1.1.1.1"} == set(few.values)


def test_a_simple_record_answers_all_its_values() -> None:
    simple = Record(name=NAME, type="A", ttl_s=60, values=("1.1.1.1", "2.2.2.2"))
    assert ("1.1.1.1", "2.2.2.2") == resolver([simple]).answer(NAME, "A").values


def test_an_alias_of_a_load_balancer_is_its_addresses_for_a_minute() -> None:
    assert Answer("A", ("127.0.0.9",), 60) == resolver([alias()]).answer(NAME, "A")


@pytest.mark.parametrize(
    ("evaluates", "balancer", "answered"),
    [
        pytest.param(True, True, "127.0.0.9", id="healthy: the load balancer"),
        pytest.param(True, False, "2.2.2.2", id="unhealthy: the secondary"),
        pytest.param(False, False, "127.0.0.9", id="not evaluated: always healthy"),
    ],
)
def test_an_alias_evaluates_its_target(*, evaluates: bool, balancer: bool, answered: str) -> None:
    pair = [
        alias(evaluates=evaluates, failover="PRIMARY", set_identifier="p"),
        secondary(health_check=""),
    ]
    found = resolver(pair, balancer=balancer).answer(NAME, "A")
    assert (answered,) == found.values


def test_an_alias_with_a_check_of_its_own_needs_both() -> None:
    pair = [
        alias(failover="PRIMARY", set_identifier="p", health_check="p"),
        secondary(health_check=""),
    ]
    assert ("2.2.2.2",) == resolver(pair, "p").answer(NAME, "A").values
    assert ("2.2.2.2",) == resolver(pair, balancer=False).answer(NAME, "A").values
    assert ("127.0.0.9",) == resolver(pair).answer(NAME, "A").values


def test_an_alias_of_a_group_is_healthy_while_one_of_the_group_is() -> None:
    tree = [
        alias("east.example.net", failover="PRIMARY", set_identifier="p"),
        secondary(health_check=""),
        record("3.3.3.3", name="east.example.net.", weight=1, health_check="a"),
        record("4.4.4.4", name="east.example.net.", weight=1, health_check="b"),
    ]
    assert ("4.4.4.4",) == resolver(tree, "a").answer(NAME, "A").values
    assert ("2.2.2.2",) == resolver(tree, "a b").answer(NAME, "A").values


def test_an_alias_has_its_targets_time_to_live() -> None:
    tree = [
        alias("east.example.net"),
        record("3.3.3.3", name="east.example.net.", ttl_s=7),
    ]
    assert Answer("A", ("3.3.3.3",), 7) == resolver(tree).answer(NAME, "A")


def test_a_circle_of_aliases_ends_without_an_answer() -> None:
    circle = [alias("b.example.net"), alias(NAME, name="b.example.net.")]
    assert () == resolver(circle).answer(NAME, "A").values


def test_a_canonical_name_answers_every_type_and_is_not_followed() -> None:
    canonical = record("east.example.net", type="CNAME")
    for kind in ("A", "AAAA", "TXT"):
        assert Answer("CNAME", ("east.example.net",), 30) == resolver([canonical]).answer(
            NAME, kind
        )


@pytest.mark.parametrize(
    ("asked", "exists", "values"),
    [
        pytest.param("www.example.net", True, ("1.1.1.1",), id="a name"),
        pytest.param("WWW.Example.NET.", True, ("1.1.1.1",), id="in any case"),
        pytest.param("x.apps.example.net", True, ("5.5.5.5",), id="a wildcard"),
        pytest.param("x.y.apps.example.net", True, ("5.5.5.5",), id="a wildcard, deeper"),
        pytest.param("apps.example.net", True, (), id="a name that only has names below it"),
        pytest.param("other.example.net", False, (), id="nothing"),
    ],
)
def test_names(asked: str, values: tuple[str, ...], *, exists: bool) -> None:
    records = [
        record("1.1.1.1", set_identifier=""),
        record("5.5.5.5", name="*.apps.example.net.", set_identifier=""),
    ]
    found = resolver(records).answer(asked, "A")
    assert (exists, values) == (found.exists, found.values)


def test_a_type_that_a_name_does_not_have_is_an_empty_answer() -> None:
    assert Answer("TXT") == resolver([record("1.1.1.1")]).answer(NAME, "TXT")
