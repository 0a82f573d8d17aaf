"""A function behind a load balancer gets AWS's event, and its answer becomes the response."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import httpx
import msgspec
import pytest
from tests.support.network import network, url

from evertill.twin.api.errors import ApiError
from evertill.twin.parts.function_bridge import FunctionBridge
from evertill.twin.parts.target_group import TargetGroup


class Returned(msgspec.Struct):
    payload: bytes = b""
    error: str = ""


class Called:
    """Stands at the port where a function is invoked: what it returns is the test's to say."""

    def __init__(self, answer: Any = None) -> None:
        self.answer = answer
        self.error = ""
        self.refusal: ApiError | None = None
        self.events: list[dict[str, Any]] = []
        self.asked: list[tuple[str, str]] = []

    async def __call__(self, principal: str, source: str, payload: bytes) -> Returned:
        self.asked.append((principal, source))
        self.events.append(msgspec.json.decode(payload))
        if self.refusal is not None:
            raise self.refusal
        return Returned(msgspec.json.encode(self.answer), self.error)


async def through(called: Called, *requests: dict[str, Any], **group: Any) -> list[httpx.Response]:
    async with network() as net:
        target_group: TargetGroup = net.group(kind="lambda", **group)
        bridge = FunctionBridge(target_group.spec, ("127.0.0.1", 0), called)
        await bridge.start()
        try:
            spec = net.spec()
            async with (
                net.balancer(spec, **{target_group.spec.arn: bridge.address}) as balancer,
                httpx.AsyncClient(base_url=url(balancer)) as client,
            ):
                assert balancer.is_healthy()
                return [await client.request(**request) for request in requests]
        finally:
            await bridge.stop()


def test_the_event_is_as_aws_documents_it() -> None:
    called = Called({"statusCode": 201, "headers": {"X-Made": "yes", "n": 3}, "body": "done"})
    request = {
        "method": "POST",
        "url": "/v1/validations?a=1&a=2&b=%20x",
        "content": b'{"k": 1}',
        "headers": {"Content-Type": "application/json", "X-One": "1"},
    }
    (answer,) = asyncio.run(through(called, request))
    assert (201, "done", "yes") == (answer.status_code, answer.text, answer.headers["x-made"])
    (event,) = called.events
    assert {"elb": {"targetGroupArn": "arn:group"}} == event["requestContext"]
    assert ("POST", "/v1/validations") == (event["httpMethod"], event["path"])
    assert {"a": "2", "b": "%20x"} == event["queryStringParameters"]
    assert ('{"k": 1}', False) == (event["body"], event["isBase64Encoded"])
    assert "1" == event["headers"]["x-one"]
    assert event["headers"]["x-amzn-trace-id"].startswith("Root=")
    assert [("elasticloadbalancing.amazonaws.com", "arn:group")] == called.asked


def test_many_values_are_gathered_where_the_group_says_so() -> None:
    called = Called({"statusCode": 200, "multiValueHeaders": {"Set-Cookie": ["a=1", "b=2"]}})
    request = {"method": "GET", "url": "/?a=1&a=2"}
    (answer,) = asyncio.run(through(called, request, has_multi_value_headers=True))
    assert {"a": ["1", "2"]} == called.events[0]["multiValueQueryStringParameters"]
    assert ["a=1", "b=2"] == answer.headers.get_list("set-cookie")


def test_bytes_go_both_ways_in_base64() -> None:
    body = base64.b64encode(b"\xff\x00").decode()
    called = Called({"statusCode": 200, "body": body, "isBase64Encoded": True})
    headers = {"Content-Type": "application/octet-stream"}
    request = {"method": "POST", "url": "/", "content": b"\xfe", "headers": headers}
    (answer,) = asyncio.run(through(called, request))
    assert b"\xff\x00" == answer.content
    assert base64.b64encode(b"\xfe").decode() == called.events[0]["body"]


@pytest.mark.parametrize(
    "spoil",
    [
        {"answer": "no object"},
        {"answer": {"statusCode": "many"}},
        {"answer": {"body": "no status"}},
        {"answer": {"statusCode": 200}, "error": "Unhandled"},
        {"refusal": ApiError("AccessDeniedException", "may not", 403)},
    ],
)
def test_a_function_that_fails_is_a_502_of_the_load_balancer(spoil: dict[str, Any]) -> None:
    called = Called()
    for name, value in spoil.items():
        setattr(called, name, value)
    (answer,) = asyncio.run(through(called, {"method": "GET", "url": "/"}))
    assert (502, "awselb/2.0") == (answer.status_code, answer.headers["server"])
    assert "x-evertill-bridge" not in answer.headers


def test_a_request_that_is_too_large_for_a_function_is_a_413() -> None:
    called = Called({"statusCode": 200})
    request = {"method": "POST", "url": "/", "content": b"x" * (1024 * 1024 + 1)}
    (answer,) = asyncio.run(through(called, request))
    assert 413 == answer.status_code
    assert [] == called.events
