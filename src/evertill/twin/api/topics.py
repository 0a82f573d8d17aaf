"""SNS: the emulator's topics, with e-mail subscribers whose mail arrives.

The emulator delivers to queues and over HTTP; it only logs mail. What is published through here
goes to it unchanged, and to the mailbox once for each e-mail subscriber. Alarms publish here too.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from urllib.parse import urlencode
from xml.etree import ElementTree as ET

from evertill.twin.api.errors import ApiError
from evertill.twin.api.messages import Answer, Endpoint, Request
from evertill.twin.parts.mail import Mailbox
from evertill.twin.plan.storage import TopicSpec

EMAIL: Final = {"email", "email-json"}
SUBSCRIBERS_MAX: Final = 100


class Topics:
    """The topics of one region."""

    def __init__(
        self, region: str, relay: Endpoint, mailbox: Mailbox, specs: Iterable[TopicSpec]
    ) -> None:
        """Pass requests to `relay`; `specs` tell the subscribers that templates name."""
        self._region: Final = region
        self._relay: Final = relay
        self._mailbox: Final = mailbox
        self._subscribers: Final = {
            spec.arn: [to for protocol, to in spec.subscriptions if protocol in EMAIL]
            for spec in specs
        }

    async def __call__(self, request: Request) -> Answer:
        """Answer as the emulator does, and deliver mail for what was published."""
        answer = await self._relay(request)
        if not answer.is_success:
            return answer
        form = request.form()
        match request.operation():
            case "Publish":
                topic = form.get("TopicArn", form.get("TargetArn", ""))
                self._deliver(topic, form.get("Subject", ""), form.get("Message", ""))
            case "PublishBatch":
                self._deliver_batch(form)
            case "Subscribe" if form.get("Protocol") in EMAIL:
                self._subscribe(form.get("TopicArn", ""), form.get("Endpoint", ""))
        return answer

    async def publish(self, topic: str, subject: str, message: str) -> None:
        """Publish as the twin itself; raise ApiError when the topic does not take it."""
        fields = {
            "Action": "Publish",
            "Version": "2010-03-31",
            "TopicArn": topic,
            "Subject": subject,
            "Message": message,
        }
        answer = await self(own_request(self._region, "sns", urlencode(fields).encode()))
        if not answer.is_success:
            raise ApiError("PublishFailed", f"{topic} takes no messages: {_reason(answer)}")

    def subscribers(self, topic: str) -> list[str]:
        """Return the addresses that a topic's mail goes to."""
        return list(self._subscribers.get(topic, ()))

    def _subscribe(self, topic: str, address: str) -> None:
        known = self._subscribers.setdefault(topic, [])
        if address not in known and len(known) < SUBSCRIBERS_MAX:
            known.append(address)

    def _deliver(self, topic: str, subject: str, message: str) -> None:
        for address in self._subscribers.get(topic, ()):
            self._mailbox.deliver(address, topic, subject, message)

    def _deliver_batch(self, form: dict[str, str]) -> None:
        at = "PublishBatchRequestEntries.member."
        for key, message in form.items():
            if key.startswith(at) and key.endswith(".Message"):
                subject = form.get(key.removesuffix("Message") + "Subject", "")
                self._deliver(form.get("TopicArn", ""), subject, message)


def own_request(region: str, service: str, body: bytes) -> Request:
    """Return a request of the twin's own, for what is reached through a relay only."""
    scope = f"Credential=twin/20260101/{region}/{service}/aws4_request"
    return Request(
        method="POST",
        target="/",
        headers=(
            ("authorization", f"AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0"),
            ("content-type", "application/x-www-form-urlencoded; charset=utf-8"),
            ("host", f"{service}.{region}.amazonaws.com"),
        ),
        body=body,
    )


def _reason(answer: Answer) -> str:
    try:
        found = ET.fromstring(answer.body).iter()  # noqa: S314 - our own emulator's answer
        texts = [node.text for node in found if node.tag.rpartition("}")[2] == "Message"]
    except ET.ParseError:
        texts = []
    return str(texts[0]) if texts else f"HTTP {answer.status}"
