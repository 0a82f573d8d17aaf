"""A call is sent again while that may help, within bounds, and never silently."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from tests.support.aws import CREDENTIALS

from evertill.recovery.errors import CallRefused, RegionSilent
from evertill.recovery.regions import ATTEMPTS_MAX, Region, Reports


class Scripted(ThreadingHTTPServer):
    """An AWS that answers one status and body after the other, the last one for good."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.script: list[tuple[int, dict[str, object]]] = []
        self.asked = 0


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        server = self.server
        assert isinstance(server, Scripted)
        status, body = server.script[min(server.asked, len(server.script) - 1)]
        server.asked += 1
        document = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(document)))
        self.end_headers()
        self.wfile.write(document)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Scripted]:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    with Scripted() as found:
        thread = Thread(target=found.serve_forever)
        thread.start()
        yield found
        found.shutdown()
        thread.join()


@pytest.fixture
def reports() -> Reports:
    return Reports()


@pytest.fixture
def region(server: Scripted, reports: Reports) -> Region:
    return Region("us-east-2", f"http://127.0.0.1:{server.server_port}", reports)


DONE: tuple[int, dict[str, object]] = (200, {"clusterArns": ["it"]})


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "ThrottlingException"),
        (400, "RequestLimitExceeded"),
        (500, "InternalFailure"),
        (503, "ServiceUnavailable"),
        (502, "SomethingNew"),
    ],
)
def test_what_may_pass_is_sent_again_and_reported(
    server: Scripted, region: Region, reports: Reports, status: int, code: str
) -> None:
    server.script = [(status, {"__type": code}), (status, {"__type": code}), DONE]
    assert ["it"] == region.call("ecs", "list_clusters")["clusterArns"]
    assert 3 == server.asked
    assert ["list_clusters"] * 2 == [report.call for report in reports.made]
    assert all(code in report.text for report in reports.made)


def test_what_is_refused_for_good_is_not_sent_again(server: Scripted, region: Region) -> None:
    server.script = [(400, {"__type": "AccessDeniedException", "message": "no"})]
    with pytest.raises(CallRefused, match="us-east-2 refused list_clusters: AccessDenied") as info:
        region.call("ecs", "list_clusters")
    assert "AccessDeniedException" == info.value.fields["aws_code"]
    assert 1 == server.asked


def test_nothing_is_sent_again_for_ever(server: Scripted, region: Region) -> None:
    server.script = [(500, {"__type": "InternalFailure"})]
    with pytest.raises(CallRefused):
        region.call("ecs", "list_clusters")
    assert ATTEMPTS_MAX == server.asked


def test_a_question_that_needs_no_answer_is_asked_once(server: Scripted, region: Region) -> None:
    server.script = [(500, {"__type": "InternalFailure"}), DONE]
    with pytest.raises(CallRefused):
        region.impatient().call("ecs", "list_clusters")
    assert 1 == server.asked


def test_a_region_without_anybody_is_silent_and_named(reports: Reports) -> None:
    region = Region("us-east-1", "http://127.0.0.1:9", reports).impatient()
    with pytest.raises(RegionSilent, match="us-east-1 does not answer list_clusters"):
        region.call("ecs", "list_clusters")
