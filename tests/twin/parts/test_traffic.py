"""What goes through a load balancer at the moment, by the whole seconds of a window."""

from __future__ import annotations

import pytest

from evertill.twin.parts.traffic import WINDOW_S, Flow, Traffic, flow_of


def test_requests_errors_and_latencies_are_those_of_the_last_whole_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now_s = [100.0]
    monkeypatch.setattr("evertill.twin.parts.traffic.time.monotonic", lambda: now_s[0])
    one, other = Traffic(), Traffic()
    for took_ms in range(1, 101):
        one.note(took_ms, is_error=took_ms > 90)
    other.note(-1, is_error=True)
    assert Flow(0, 0, 0, 0) == flow_of([one, other])
    now_s[0] += 1
    assert Flow(101 / WINDOW_S, 11 / WINDOW_S, 50, 99) == flow_of([one, other])
    now_s[0] += WINDOW_S
    assert Flow(0, 0, 0, 0) == flow_of([one, other])
