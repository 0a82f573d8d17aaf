"""The mailbox: what SNS would send to e-mail subscribers, one file for each mail.

It is separate from the topics because the console and `evertill twin mail` read it, also after the
twin has stopped. Nobody has to confirm a subscription here, as there is nobody to be protected.
"""

from __future__ import annotations

from email import message_from_bytes, policy
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path
from typing import Final

import msgspec

from evertill.twin.clock import Clock
from evertill.twin.events import Timeline

MAILS_MAX: Final = 1_000
SUFFIX: Final = ".eml"
SENDER: Final = "AWS Notifications <no-reply@sns.amazonaws.com>"
# SNS gives mails without a subject this one.
SUBJECT: Final = "AWS Notification Message"
TOPIC_HEADER: Final = "X-Topic-Arn"
# A file of this machine, with its ends of lines.
FORM: Final = policy.default.clone(utf8=True)


class Mail(msgspec.Struct, frozen=True):
    """One mail as it is read."""

    number: int
    date: str
    to: str
    topic: str
    subject: str
    text: str


class Mailbox:
    """The mails of all subscribers of all regions, the oldest deleted beyond a bound."""

    def __init__(self, folder: Path, clock: Clock, timeline: Timeline | None = None) -> None:
        """Keep mails in `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder: Final = folder
        self._clock: Final = clock
        self._timeline: Final = timeline

    def deliver(self, to: str, topic: str, subject: str, text: str) -> Mail:
        """Put a mail into the box."""
        message = EmailMessage(policy=FORM)
        message["From"], message["To"] = SENDER, to
        message["Subject"] = " ".join((subject or SUBJECT).split())
        message["Date"] = format_datetime(self._clock.moment())
        message[TOPIC_HEADER] = topic
        message.set_content(text)
        numbers = self._numbers()
        number = (numbers[-1] if numbers else 0) + 1
        self._path(number).write_bytes(bytes(message))
        for old in numbers[: max(0, len(numbers) + 1 - MAILS_MAX)]:
            self._path(old).unlink()
        if self._timeline is not None:
            region = topic.split(":")[3] if topic.count(":") >= 3 else ""  # noqa: PLR2004 - an ARN's field
            self._timeline.tell(region, "mailbox", "mail.delivered", f"To {to}: {subject}", to=to)
        return self.read(number)

    def mails(self, after: int = 0) -> list[Mail]:
        """Return the mails with a higher number than `after`, the oldest first."""
        return [self.read(number) for number in self._numbers() if number > after]

    def read(self, number: int) -> Mail:
        """Return one mail; raise FileNotFoundError when there is none such."""
        message = message_from_bytes(self._path(number).read_bytes(), policy=FORM)
        content = message.get_content()
        return Mail(
            number=number,
            date=str(message["Date"]),
            to=str(message["To"]),
            topic=str(message[TOPIC_HEADER]),
            subject=str(message["Subject"]),
            text=str(content).rstrip("\n"),
        )

    def _numbers(self) -> list[int]:
        return sorted(int(path.stem) for path in self._folder.glob(f"*{SUFFIX}"))

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:06}{SUFFIX}"
