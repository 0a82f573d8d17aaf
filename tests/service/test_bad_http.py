"""Bad HTTP: what is malformed, too large, too slow or sent too early is cut off, and nothing else.

These tests write bytes to sockets, because a proper client refuses to send most of them.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import pytest
from tests.support.service import Api, new_key, new_payment
from tests.support.wire import Wire, request

from evertill.domain.requests import BODY_SIZE_MAX
from evertill.service import http
from evertill.service.exchange import Exchange, Response
from evertill.service.http import (
    HEADERS_MAX,
    HEADERS_SIZE_MAX,
    PIPELINED_MAX,
    URL_LENGTH_MAX,
    Server,
)

HEALTH = b"GET /health HTTP/1.1\r\nhost: test\r\n\r\n"
SHORT_TIMEOUT_S = 0.2


@pytest.fixture
def api(unmoved: Api) -> Api:
    """Give a client whose merchant is compared before and after each test."""
    return unmoved


@pytest.fixture
def wire(api: Api) -> Iterator[Wire]:
    """Give a connection to the shared service."""
    with Wire(api.service.host, api.service.port) as connection:
        yield connection


def header(name: str, value: str) -> bytes:
    return f"GET /health HTTP/1.1\r\nhost: test\r\n{name}: {value}\r\n\r\n".encode()


# --- malformed


@pytest.mark.parametrize(
    "data",
    [
        b"hello\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\x00" * 64,
        b"GET\r\n\r\n",
        b"BREW /health HTTP/1.1\r\nhost: test\r\n\r\n",
        b"GET /health HTTP/9.9\r\nhost: test\r\n\r\n",
        b"GET /health HTTP/1.1\r\nno colon here\r\n\r\n",
        b"GET /health HTTP/1.1\r\nhost: test\r\ncontent-length: ten\r\n\r\n",
        b"GET /health HTTP/1.1\r\nhost: test\r\ncontent-length: -1\r\n\r\n",
        b"GET /health HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx",
        b"GET /health HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v1/payments HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nnot hex\r\n",
        b"GET /he\x80lth HTTP/1.1\r\nhost: test\r\n\r\n",
        b"GET /health HTTP/1.1\r\nhost: a\x00b\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
    ids=lambda data: repr(data[:40]),
)
def test_what_is_no_http_is_a_400_and_the_end(wire: Wire, data: bytes) -> None:
    wire.send(data)
    assert (400, "malformed_request") == wire.answer().problem
    assert wire.is_closed()


@pytest.mark.parametrize("offer", ["websocket", "h2c"])
def test_an_offer_to_upgrade_is_not_taken_up(wire: Wire, offer: str) -> None:
    upgrade = f"GET /health HTTP/1.1\r\nconnection: upgrade\r\nupgrade: {offer}\r\n\r\n"
    wire.send(upgrade.encode() + HEALTH)
    wire.send(HEALTH)
    assert [200, 200, 200] == [wire.answer().status for _ in range(3)]


@pytest.mark.parametrize(
    "length", [("content-length", str(len(HEALTH))), ("transfer-encoding", "chunked")]
)
def test_a_body_beside_an_offer_to_upgrade_is_not_taken_for_a_request(
    api: Api, wire: Wire, length: tuple[str, str]
) -> None:
    offer = [("connection", "upgrade"), ("upgrade", "h2c"), length]
    wire.send(request("POST", "/v1/payments", api.merchant.key, None, *offer) + HEALTH)
    assert (400, "malformed_request") == wire.answer().problem
    assert wire.is_closed()


def test_a_tunnel_is_not_opened(wire: Wire) -> None:
    wire.send(b"CONNECT example.com:443 HTTP/1.1\r\nhost: example.com\r\n\r\n")
    assert (404, "not_found") == wire.answer().problem


# --- too large


def test_a_long_url_is_a_400(wire: Wire) -> None:
    wire.send(b"GET /" + b"x" * URL_LENGTH_MAX + b" HTTP/1.1\r\nhost: test\r\n\r\n")
    assert (400, "malformed_request") == wire.answer().problem
    assert wire.is_closed()


def test_too_many_headers_are_a_400(wire: Wire) -> None:
    headers = "".join(f"x-{number}: 1\r\n" for number in range(HEADERS_MAX + 1))
    wire.send(f"GET /health HTTP/1.1\r\n{headers}\r\n".encode())
    assert (400, "malformed_request") == wire.answer().problem


def test_headers_that_are_too_large_are_a_400(wire: Wire) -> None:
    wire.send(header("x-large", "x" * HEADERS_SIZE_MAX))
    assert (400, "malformed_request") == wire.answer().problem


def test_a_header_that_never_ends_is_cut_off(wire: Wire) -> None:
    wire.send(b"GET /health HTTP/1.1\r\nx-endless: " + b"x" * (4 * HEADERS_SIZE_MAX))
    assert (400, "malformed_request") == wire.answer().problem
    assert wire.is_closed()


def test_a_body_of_stated_length_over_1_mib_is_a_413_before_it_is_sent(
    api: Api, wire: Wire
) -> None:
    length = ("content-length", str(BODY_SIZE_MAX + 1))
    wire.send(request("POST", "/v1/payments", api.merchant.key, None, length))
    assert (413, "body_too_large") == wire.answer().problem
    assert wire.is_closed()


def test_a_client_that_sends_its_large_body_without_listening_still_gets_the_413(
    api: Api, wire: Wire
) -> None:
    wire.send(request("POST", "/v1/payments", api.merchant.key, b" " * (8 * BODY_SIZE_MAX)))
    assert (413, "body_too_large") == wire.answer().problem


def test_a_chunked_body_over_1_mib_is_a_413(api: Api, wire: Wire) -> None:
    chunked = ("transfer-encoding", "chunked")
    wire.send(request("POST", "/v1/payments", api.merchant.key, None, chunked))
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    for _ in range(BODY_SIZE_MAX // 0x10000 + 1):
        wire.send(chunk)
    assert (413, "body_too_large") == wire.answer().problem


def test_a_body_of_exactly_1_mib_is_read(api: Api, wire: Wire) -> None:
    body = json.dumps(new_payment(amount=0)).encode().ljust(BODY_SIZE_MAX)
    wire.send(request("POST", "/v1/payments", api.merchant.key, body, ("idempotency-key", "k")))
    assert (422, "invalid_request") == wire.answer().problem


# --- methods and addresses


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/v1/payments", {"GET", "HEAD", "POST"}),
        ("PUT", "/v1/payments", {"GET", "HEAD", "POST"}),
        ("OPTIONS", "/v1/balances", {"GET", "HEAD"}),
        ("GET", "/v1/payments/batch", {"POST"}),
        ("HEAD", "/v1/validations", {"POST"}),
        ("GET", "/v1/payments/pay_1/capture", {"POST"}),
        ("POST", "/health", {"GET", "HEAD"}),
        ("PATCH", "/docs", {"GET", "HEAD"}),
    ],
)
def test_a_method_that_an_address_does_not_take_is_a_405_that_names_those_it_does(
    api: Api, wire: Wire, method: str, path: str, allowed: set[str]
) -> None:
    wire.send(request(method, path, api.merchant.key))
    answer = wire.answer(method)
    assert 405 == answer.status
    assert allowed == set(answer.headers["allow"].split(", "))


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v1",
        "/v1/",
        "/v1/payments/",
        "//v1/payments",
        "/V1/payments",
        "/v1/payments/a/b/c",
        "/health/",
        "/v1/payments;a=1",
        "/%761/payments",
        "/v1/../health",
        "*",
    ],
)
def test_an_address_that_does_not_exist_is_a_404(api: Api, wire: Wire, path: str) -> None:
    wire.send(request("OPTIONS" if path == "*" else "GET", path, api.merchant.key))
    assert (404, "not_found") == wire.answer().problem


def test_head_is_answered_as_get_without_a_body(api: Api, wire: Wire) -> None:
    wire.send(request("GET", "/v1/balances", api.merchant.key))
    got = wire.answer()
    wire.send(request("HEAD", "/v1/balances", api.merchant.key))
    head = wire.answer("HEAD")
    assert (200, got.headers["content-length"]) == (head.status, head.headers["content-length"])
    wire.send(HEALTH)
    assert 200 == wire.answer().status


# --- order


def test_pipelined_requests_are_answered_in_order(api: Api, wire: Wire) -> None:
    paths = ["/v1/balances", "/health", "/v1/payments", "/nothing", "/ready", "/v1/events"]
    wire.send(b"".join(request("GET", path, api.merchant.key) for path in paths))
    assert [200, 200, 200, 404, 200, 200] == [wire.answer().status for _ in paths]


def test_requests_sent_too_far_ahead_are_cut_off(api: Api, wire: Wire) -> None:
    ahead = PIPELINED_MAX + 4
    wire.send(request("GET", "/v1/balances", api.merchant.key) * ahead)
    answered = 0
    while wire.line():
        answered += 1
    assert answered > 0


def test_garbage_behind_a_request_does_not_keep_it_from_its_answer(api: Api, wire: Wire) -> None:
    wire.send(request("GET", "/v1/balances", api.merchant.key) + b"garbage\r\n\r\n")
    assert 200 == wire.answer().status
    assert wire.is_closed()


def test_a_client_that_expects_100_continue_is_told_to_go_on(api: Api, wire: Wire) -> None:
    body = json.dumps(new_payment(amount=0)).encode()
    expecting = ("expect", "100-continue")
    head = request(
        "POST", "/v1/payments", api.merchant.key, body, expecting, ("idempotency-key", "k")
    )
    wire.send(head[: -len(body)])
    assert b"HTTP/1.1 100 Continue\r\n" == wire.line()
    assert b"\r\n" == wire.line()
    wire.send(body)
    assert (422, "invalid_request") == wire.answer().problem


def test_a_client_that_expects_100_continue_for_too_large_a_body_is_told_so(
    api: Api, wire: Wire
) -> None:
    headers = [("expect", "100-continue"), ("content-length", str(BODY_SIZE_MAX + 1))]
    wire.send(request("POST", "/v1/payments", api.merchant.key, None, *headers))
    assert (413, "body_too_large") == wire.answer().problem


@pytest.mark.parametrize(
    ("version", "connection"),
    [("1.1", "close"), ("1.0", "close"), ("1.0", "x")],
)
def test_a_connection_is_closed_when_its_client_asks(
    wire: Wire, version: str, connection: str
) -> None:
    wire.send(f"GET /health HTTP/{version}\r\nconnection: {connection}\r\n\r\n".encode())
    assert 200 == wire.answer().status
    assert wire.is_closed()


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_connection_is_kept_when_its_client_asks(wire: Wire, version: str) -> None:
    for _ in range(2):
        wire.send(f"GET /health HTTP/{version}\r\nconnection: keep-alive\r\n\r\n".encode())
        assert 200 == wire.answer().status


def test_a_body_in_pieces_is_one_body(api: Api, wire: Wire) -> None:
    body = json.dumps(new_payment(amount=0)).encode()
    whole = request("POST", "/v1/payments", api.merchant.key, body, ("idempotency-key", new_key()))
    for place in range(0, len(whole), 7):
        wire.send(whole[place : place + 7])
    assert (422, "invalid_request") == wire.answer().problem


def test_a_client_that_leaves_halfway_is_no_trouble(api: Api) -> None:
    for data in (b"", b"POST /v1/pay", request("POST", "/v1/payments", api.merchant.key, b"{")):
        with Wire(api.service.host, api.service.port) as connection:
            connection.send(data)
    assert 200 == api.get("/health").status_code


# --- too slow: a server in this process, told to be less patient


def slow_client(*pieces: bytes) -> tuple[bytes, float]:
    """Send `pieces` to an impatient server, then nothing; return all it sends and the time."""

    async def run() -> tuple[bytes, float]:
        def answer(exchange: Exchange) -> None:
            exchange.reply(Response(200, b"{}"))

        loop = asyncio.get_running_loop()
        server = Server(answer, lambda *_: None, receive_timeout_s=SHORT_TIMEOUT_S)
        listening = await loop.create_server(server.connection, "127.0.0.1", 0)
        sweep = loop.create_task(server.sweep())
        reader, writer = await asyncio.open_connection(*listening.sockets[0].getsockname())
        began_s = loop.time()
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        received = await reader.read()
        took_s = loop.time() - began_s
        writer.close()
        await writer.wait_closed()
        sweep.cancel()
        listening.close()
        await listening.wait_closed()
        return received, took_s

    return asyncio.run(run())


@pytest.mark.parametrize(
    "pieces",
    [
        (b"G",),
        (b"GET /health HTTP/1.1\r\nhost: ",),
        (b"POST /v1/payments HTTP/1.1\r\ncontent-length: 10\r\n\r\n", b"{"),
        (b"POST /v1/payments HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n", b"5\r\nab"),
    ],
    ids=["first byte", "headers", "body", "chunk"],
)
def test_a_request_that_stops_halfway_is_a_408_and_the_end(pieces: tuple[bytes, ...]) -> None:
    received, took_s = slow_client(*pieces)
    assert received.startswith(b"HTTP/1.1 408 ")
    assert b'"code":"request_timeout"' in received
    assert 1 == received.count(b"HTTP/1.1")
    assert took_s > SHORT_TIMEOUT_S


def test_a_request_that_stops_halfway_behind_another_one_is_a_408_too() -> None:
    received, _ = slow_client(HEALTH + b"GET /hea")
    assert received.startswith(b"HTTP/1.1 200 ")
    assert b"HTTP/1.1 408 " in received


# --- too many: a server in this process, told to take fewer


def test_a_connection_too_many_is_told_so_and_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> tuple[bytes, bytes]:
        server = Server(lambda exchange: exchange.reply(Response(200, b"{}")), lambda *_: None)
        loop = asyncio.get_running_loop()
        listening = await loop.create_server(server.connection, "127.0.0.1", 0)
        address = listening.sockets[0].getsockname()
        first, second, third = [await asyncio.open_connection(*address) for _ in range(3)]
        refused = await third[0].read()
        first[1].write(HEALTH)
        answered = await first[0].readuntil(b"{}")
        for _, writer in (first, second, third):
            writer.close()
            await writer.wait_closed()
        listening.close()
        await listening.wait_closed()
        return refused, answered

    monkeypatch.setattr(http, "CONNECTIONS_MAX", 2)
    refused, answered = asyncio.run(run())
    assert refused.startswith(b"HTTP/1.1 503 ")
    assert b'"code":"overloaded"' in refused
    assert b"retry-after: 1" in refused
    assert answered.startswith(b"HTTP/1.1 200 ")
