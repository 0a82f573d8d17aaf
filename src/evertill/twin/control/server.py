"""The control API's addresses: status, events, faults, mail, and the console's page.

It is separate from the wire, which knows only HTTP, and from the faults, which know none.
"""

from __future__ import annotations

import mimetypes
import os
from collections.abc import Awaitable, Callable
from importlib import resources
from pathlib import Path
from typing import Any, Final

import msgspec

from evertill.domain.errors import EvertillError
from evertill.twin.control.status import Status
from evertill.twin.control.stream import events
from evertill.twin.control.wire import Call, Reply, Stream, Wire, refusal, reply
from evertill.twin.faults.desk import Desk
from evertill.twin.faults.fault import Values
from evertill.twin.faults.registry import described
from evertill.twin.parts.mail import Mail
from evertill.twin.running.twin import Twin

PORT: Final = 8420
FILE: Final = "control.json"
CONSOLE: Final = "evertill.twin.console"
INDEX: Final = "index.html"
# The page runs nothing but its own files and talks to nobody but its own server.
POLICY: Final = (("content-security-policy", "default-src 'self'"),)
STATUS_OF_CODE: Final = {
    "unknown_id": 404,
    "not_run": 409,
    "already_set": 409,
    "too_many_faults": 409,
    "part_failed": 500,
}
NOT_FOUND: Final = refusal(404, "not_found", "There is nothing at this address.")


class Control:
    """The control API of one twin. It is a Part."""

    def __init__(self, twin: Twin, port: int = PORT) -> None:
        """Prepare to serve at `port` or the next free one; 0 takes any."""
        self._twin: Final = twin
        self.desk: Final = Desk(twin)
        self._wire: Final = Wire(port, self.answer)
        self.status_document: Final = Status(twin, self.desk, lambda: self.url)
        self._file: Final = twin.ground.folder / FILE

    @property
    def name(self) -> str:
        """Return the part's name."""
        return "global/control"

    @property
    def url(self) -> str:
        """Return where it answers."""
        return self._wire.url

    async def start(self) -> None:
        """Listen, and write down where; raise PartFailed."""
        self._wire.start()
        self.status_document.census.latest()
        draft = self._file.with_suffix(".new")
        draft.write_bytes(msgspec.json.encode({"url": self.url, "pid": os.getpid()}))
        draft.rename(self._file)

    async def stop(self) -> None:
        """Listen no more."""
        self._file.unlink(missing_ok=True)
        await self._wire.stop()

    def status(self) -> dict[str, Any]:
        """Return where it answers."""
        return {"url": self.url, "faults": len(self.desk.active())}

    async def answer(self, call: Call) -> Reply | Stream:
        """Answer one request."""
        head, _, rest = call.path.lstrip("/").partition("/")
        handlers: dict[tuple[str, str, bool], Callable[[], Awaitable[Reply | Stream]]] = {
            ("GET", "status", False): self._status,
            ("GET", "events", False): lambda: self._events(call.headers.get("last-event-id", "")),
            ("GET", "faults", False): self._faults,
            ("POST", "faults", False): lambda: self._set(call.body),
            ("DELETE", "faults", False): self._undo_all,
            ("DELETE", "faults", True): lambda: self._undo(rest),
            ("GET", "mail", False): self._mails,
            ("GET", "mail", True): lambda: self._mail(rest),
        }
        handler = handlers.get((call.method, head, bool(rest)))
        try:
            if handler is not None:
                return await handler()
        except EvertillError as error:
            return refusal(STATUS_OF_CODE.get(error.code, 400), error.code, str(error))
        return page(call)

    async def _status(self) -> Reply:
        # Made anew: who has just set a fault sees it.
        return reply(200, self.status_document.document())

    async def _events(self, last_id: str) -> Stream:
        return Stream(events(self.status_document, self._twin.ground.timeline, last_id))

    async def _faults(self) -> Reply:
        active = [msgspec.to_builtins(item) for item in self.desk.active()]
        return reply(200, {"kinds": described(self._twin), "active": active})

    async def _set(self, body: bytes) -> Reply:
        try:
            asked = msgspec.json.decode(body, type=Values)
        except msgspec.DecodeError:
            message = 'Send an object such as {"fault": "kill-task", "task": "..."}.'
            return refusal(400, "malformed", message)
        kind = str(asked.pop("fault", ""))
        return reply(201, await self.desk.set(kind, asked))

    async def _undo(self, fault_id: str) -> Reply:
        await self.desk.undo(fault_id)
        return reply(200, {"undone": [fault_id]})

    async def _undo_all(self) -> Reply:
        undone = [item.id for item in self.desk.active()]
        await self.desk.undo_all()
        return reply(200, {"undone": undone[::-1]})

    async def _mails(self) -> Reply:
        mails = self._twin.ground.mailbox.mails()
        return reply(200, {"mails": [_mail_words(mail) for mail in mails]})

    async def _mail(self, number: str) -> Reply:
        try:
            mail = self._twin.ground.mailbox.read(int(number))
        except (ValueError, FileNotFoundError):
            return NOT_FOUND
        return reply(200, {**_mail_words(mail), "body": mail.text})


def page(call: Call) -> Reply:
    """Return a file of the console."""
    name = call.path.lstrip("/") or INDEX
    # Only what lies beside the page itself: no folder, nothing hidden, nothing above.
    if call.method != "GET" or "/" in name or name.startswith(".") or Path(name).name != name:
        return NOT_FOUND
    try:
        content = (resources.files(CONSOLE) / name).read_bytes()
    except (OSError, ModuleNotFoundError):
        return NOT_FOUND
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return Reply(200, content, kind, POLICY)


def _mail_words(mail: Mail) -> dict[str, Any]:
    arn = mail.topic.split(":")
    return {
        "id": mail.number,
        "at": mail.date,
        "to": mail.to,
        "subject": mail.subject,
        "region": arn[3] if len(arn) > 3 else "",  # noqa: PLR2004 - an ARN's field
    }
