"""What is set on links by several at once, and undone by each for himself."""

from __future__ import annotations

from evertill.twin.links import OPEN, Links, Way

CUT = Way(is_cut=True)
ZONES = {"us-east-1a": "us-east-1", "us-east-1b": "us-east-1", "us-east-2a": "us-east-2"}


def test_what_one_undoes_another_has_still_set() -> None:
    links = Links(ZONES)
    links.set("us-east-1", "us-east-2", CUT, "one")
    links.set("us-east-1", "us-east-2", CUT, "other")
    links.set("us-east-1", "us-east-2", OPEN, "one")
    assert links.way("us-east-1a", "us-east-2a").is_cut
    links.set("us-east-1", "us-east-2", OPEN, "other")
    assert OPEN == links.way("us-east-1a", "us-east-2a")
    assert {} == links.settings()


def test_the_worst_of_what_several_have_set_is_in_force() -> None:
    links = Links(ZONES)
    links.set("us-east-1", "us-east-2", Way(delay_ms=10, bytes_per_s=500), "one")
    links.set("us-east-1", "us-east-2", Way(delay_ms=5, bytes_per_s=100), "other")
    worst = Way(delay_ms=15, bytes_per_s=100)
    assert worst == links.way("us-east-1a", "us-east-2a")
    assert {("us-east-1", "us-east-2"): worst} == links.settings()
    assert OPEN == links.way("us-east-2a", "us-east-1a")


def test_a_place_within_a_zone_has_what_its_zone_has_and_its_own() -> None:
    links = Links(ZONES)
    links.take_in("127.9.2.1", "us-east-1a")
    links.set(Links.ANY, "127.9.2.1", Way(delay_ms=10))
    links.set("us-east-1b", "us-east-1a", Way(delay_ms=5))
    assert "127.9.2.1" == links.place_of("127.9.2.1", "us-east-1a")
    assert "us-east-1a" == links.place_of("127.9.2.2", "us-east-1a")
    assert 15 == links.way("us-east-1b", "127.9.2.1").delay_ms
    assert 5 == links.way("us-east-1b", "us-east-1a").delay_ms
    links.let_go("127.9.2.1")
    assert "us-east-1a" == links.place_of("127.9.2.1", "us-east-1a")
