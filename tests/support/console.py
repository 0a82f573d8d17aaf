"""A control server without a twin behind it: the console's page, one made-up twin, its faults.

It speaks what the twin's own control server speaks, and its document changes as a twin's would
when a fault is set, so that the page can be tried in a second and the same each time.
"""

from __future__ import annotations

import copy
import json
import math
import queue
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from evertill.twin import console

PAGE: Final = Path(console.__file__).parent
STEADY: Final = Path(__file__).parents[1] / "twin" / "console" / "steady.json"
KINDS_OF_FILES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
POLICY: Final = "default-src 'self'"
QUEUE_MAX: Final = 1_000
Document = dict[str, Any]


def steady() -> Document:
    """Return the status document of a twin that is well."""
    document: Document = json.loads(STEADY.read_text())
    return document


class MadeUpTwin:
    """Keeps a status document, changes it by faults, and tells its listeners."""

    def __init__(self, status_every_s: float = 1.0) -> None:
        """Begin steady."""
        self.base = steady()
        self.began_s = time.monotonic() - 412.5
        self.every_s = status_every_s
        self.active: list[Document] = []
        self.events: list[Document] = []
        self.mails: list[Document] = []
        self.listeners: list[queue.Queue[Document]] = []
        self.lock = threading.Lock()
        self.last_ids: list[str | None] = []
        self.tell("us-east-1", "database.writer", "payment-db-dev-1 in us-east-1a is the writer.")
        self.tell("us-east-1", "service.steady", "payment-service-dev has reached a steady state")
        self.tell("", "front_door.moved", "payments.evertill.internal leads to us-east-1a")

    @property
    def up_s(self) -> float:
        """Return for how long it says that it runs."""
        return round(time.monotonic() - self.began_s, 3)

    def tell(self, region: str, kind: str, text: str, **fields: object) -> None:
        """Add an event to the timeline."""
        with self.lock:
            number = len(self.events) + 1
            event = {
                "number": number,
                "at_s": self.up_s,
                "epoch_s": time.time(),
                "region": region,
                "part": "faults",
                "kind": kind,
                "text": text,
                "fields": fields,
            }
            self.events.append(event)
            for listener in self.listeners:
                listener.put(event)

    def kinds(self) -> list[Document]:
        """Return the faults that it can have."""
        regions = [{"region": name} for name in self.base["regions"]]
        zones = [{"zone": zone} for item in self.base["regions"].values() for zone in item["zones"]]
        tasks = [{"task": task["id"]} for r in self.base["regions"].values() for task in r["tasks"]]
        names = list(self.base["regions"])
        links = [{"from": a, "to": b} for a in names for b in names if a != b]
        return [
            _kind("kill-task", "Kill a task; its service starts another.", tasks, passes=True),
            _kind("freeze-task", "Stop a task as it is (SIGSTOP).", tasks),
            _kind("lose-zone", "Lose a zone and all that is in it.", zones),
            _kind("kill-writer", "Kill the writer's whole process tree.", regions, passes=True),
            _kind("kill-balancer-node", "Kill a load balancer's node.", zones),
            _kind("lose-region", "Lose a region and all that is in it.", regions),
            _kind("cut-link", "Cut a link.", links, one_way=False),
            _kind("delay-link", "Slow a link down.", links, more=["delay_ms"], one_way=False),
            _kind("jump-clock", "Set a region's clocks wrong.", regions, more=["offset_s"]),
            _kind("fill-disk", "Fill the database's disk.", regions),
        ]

    def set(self, asked: Document) -> tuple[int, Document]:
        """Set a fault, as POST /faults does."""
        fault = asked.pop("fault", None)
        kind = next((item for item in self.kinds() if item["fault"] == fault), None)
        if kind is None:
            return 400, {"code": "unknown_fault", "message": f"There is no fault {fault!r}."}
        if fault == "fill-disk":
            message = "A tmpfs cannot be mounted here, so the disk cannot be filled."
            return 409, {"code": "not_run", "message": message}
        shown = {name: value for name, value in asked.items() if value not in {"", False}}
        active = {
            "id": str(len(self.events)),
            "fault": fault,
            "parameters": shown,
            "since_s": self.up_s,
            "passes": kind["passes"],
        }
        self.active.append(active)
        words = " ".join(f"{name}={value}" for name, value in shown.items())
        named = {f"parameter_{name}": value for name, value in shown.items()}
        region = str(shown.get("region", ""))
        self.tell(region, "fault.set", f"{fault} {words}.", fault=fault, **named)
        if fault == "lose-zone":
            self._ring("ecs-low-task-count-dev")
        return 201, active

    def undo(self, fault_id: str | None) -> None:
        """Undo one fault, or all."""
        for active in [item for item in self.active if fault_id in {None, item["id"]}]:
            self.active.remove(active)
            self.tell("", "fault.undone", f"{active['fault']} was undone.")

    def document(self) -> Document:
        """Return the document as the active faults make it."""
        document = copy.deepcopy(self.base)
        document["up_s"] = self.up_s
        document["faults"] = copy.deepcopy(self.active)
        wave = math.sin(self.up_s / 7)
        for region in document["regions"].values():
            if region["role"] == "active":
                region["traffic"]["requests_per_s"] = round(42 + 4 * wave, 1)
                region["traffic"]["latency_p99_ms"] = round(31 + 3 * wave, 1)
            for cluster in region["database"]["clusters"]:
                if cluster["role"] == "standby":
                    cluster["lag_ms"] = round(200 + 60 * wave)
        for active in self.active:
            change = CHANGES.get(active["fault"])
            if change is not None:
                change(document, active["parameters"], self.up_s - active["since_s"])
        return document

    def _ring(self, name: str) -> None:
        alarm = next(
            item for item in self.base["regions"]["us-east-1"]["alarms"] if item["name"] == name
        )
        change = {"at_s": self.up_s, "from": "OK", "to": "ALARM", "reason": "2 < 3 tasks run."}
        alarm.update(state="ALARM", since_s=self.up_s)
        alarm["history"].insert(0, change)
        self.tell("us-east-1", "alarm.changed", f"{name} is ALARM.", old="OK", new="ALARM")
        self.mails.append(
            {
                "id": str(len(self.mails) + 1),
                "at": "Mon, 23 Nov 2026 03:10:12 +0000",
                "to": "oncall@example.com",
                "subject": f'ALARM: "{name}" in US East (N. Virginia)',
                "region": "us-east-1",
                "body": f"{name} <b>is</b> ALARM: 2 < 3 tasks run.",
            }
        )
        self.tell("us-east-1", "mail.delivered", f"To oncall@example.com: {name}")


def _kind(
    fault: str,
    summary: str,
    targets: list[Document],
    *,
    more: list[str] | None = None,
    passes: bool = False,
    **defaults: object,
) -> Document:
    parameters = [*(targets[0] if targets else {}), *(more or []), *defaults]
    return {
        "fault": fault,
        "summary": summary,
        "passes": passes,
        "parameters": parameters,
        "defaults": defaults,
        "targets": targets,
    }


def _lose_zone(document: Document, parameters: Document, _: float) -> None:
    zone = parameters["zone"]
    region = next(item for item in document["regions"].values() if zone in item["zones"])
    region["zones"][zone]["state"] = "lost"
    gone = [task for task in region["tasks"] if task["zone"] == zone]
    region["tasks"] = [task for task in region["tasks"] if task["zone"] != zone]
    region["services"][0]["running"] -= len(gone)
    for node in region["load_balancer"][0]["nodes"]:
        if node["zone"] == zone:
            node["state"] = "lost"
    for target in region["load_balancer"][0]["targets"]:
        if target["zone"] == zone:
            target["health"] = "unhealthy"
    instances = region["database"]["clusters"][0]["instances"]
    for item in instances:
        if item["zone"] == zone:
            item["state"] = "lost"
            if item["role"] == "writer":
                other = next(one for one in instances if one["zone"] != zone)
                item["role"], other["role"] = other["role"], item["role"]


def _lose_region(document: Document, parameters: Document, _: float) -> None:
    region = document["regions"][parameters["region"]]
    region["role"] = "lost"
    region["tasks"] = []
    region["services"][0]["running"] = 0
    region["traffic"] = dict.fromkeys(region["traffic"], 0.0)
    region["functions"] = [{**item, "state": "lost"} for item in region["functions"]]
    for zone in region["zones"].values():
        zone["state"] = "lost"
    for item in region["load_balancer"][0]["nodes"]:
        item["state"] = "lost"
    for target in region["load_balancer"][0]["targets"]:
        target["health"] = "unhealthy"
    cluster = region["database"]["clusters"][0]
    cluster["state"] = "unavailable"
    for item in cluster["instances"]:
        item["state"] = "lost"


def _freeze_task(document: Document, parameters: Document, _: float) -> None:
    for region in document["regions"].values():
        for task in region["tasks"]:
            if task["id"] == parameters["task"]:
                task["frozen"] = True


def _cut_link(document: Document, parameters: Document, since_s: float) -> None:
    for source, target in (("from", "to"), ("to", "from")):
        way = {"from": parameters[source], "to": parameters[target]}
        document["links"].append({**way, "is_cut": True, "delay_ms": 0, "bytes_per_s": 0})
    for region in document["regions"].values():
        for cluster in region["database"]["clusters"]:
            if cluster["lag_ms"] is not None:
                cluster["lag_ms"] += round(since_s * 1000)


CHANGES: Final = {
    "lose-zone": _lose_zone,
    "lose-region": _lose_region,
    "freeze-task": _freeze_task,
    "cut-link": _cut_link,
}


class Handler(BaseHTTPRequestHandler):
    """Answers for one made-up twin."""

    twin: MadeUpTwin
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        path = self.path
        if path == "/events":
            self._stream()
        elif path == "/status":
            self._json(200, self.twin.document())
        elif path == "/faults":
            self._json(200, {"kinds": self.twin.kinds(), "active": self.twin.active})
        elif path == "/mail":
            brief = [{k: v for k, v in mail.items() if k != "body"} for mail in self.twin.mails]
            self._json(200, {"mails": brief})
        elif path.startswith("/mail/"):
            self._json(200, next(m for m in self.twin.mails if m["id"] == path.rpartition("/")[2]))
        else:
            self._file(path.removeprefix("/") or "index.html")

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._json(*self.twin.set(body))

    def do_DELETE(self) -> None:
        fault_id = self.path.removeprefix("/faults").removeprefix("/")
        self.twin.undo(fault_id or None)
        self._json(200, {})

    def _file(self, name: str) -> None:
        path = PAGE / name
        if path.parent != PAGE or not path.is_file() or path.suffix not in KINDS_OF_FILES:
            self._json(404, {"code": "not_found", "message": f"There is no {name}."})
            return
        self._send(200, KINDS_OF_FILES[path.suffix], path.read_bytes())

    def _json(self, status: int, held: object) -> None:
        self._send(status, "application/json", json.dumps(held).encode())

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", POLICY)
        self.end_headers()
        self.wfile.write(body)

    def _stream(self) -> None:
        twin, last = self.twin, self.headers.get("Last-Event-ID")
        twin.last_ids.append(last)
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        heard: queue.Queue[Document] = queue.Queue(QUEUE_MAX)
        with twin.lock:
            twin.listeners.append(heard)
            kept = twin.events[int(last or 0) :]
        try:
            for event in kept:
                self._event(event)
            while not self.server.is_closing:  # type: ignore[attr-defined] # set by serving()
                self._tell("status", twin.document())
                deadline = time.monotonic() + twin.every_s
                while (left := deadline - time.monotonic()) > 0:
                    try:
                        self._event(heard.get(timeout=left))
                    except queue.Empty:
                        break
        except OSError:
            pass
        finally:
            twin.listeners.remove(heard)
            self.close_connection = True

    def _event(self, event: Document) -> None:
        self._tell("timeline", event, f"id: {event['number']}\n")

    def _tell(self, name: str, held: Document, before: str = "") -> None:
        self.wfile.write(f"{before}event: {name}\ndata: {json.dumps(held)}\n\n".encode())
        self.wfile.flush()


@contextmanager
def serving(twin: MadeUpTwin, port: int = 0) -> Iterator[str]:
    """Serve a made-up twin and its console on this machine; give the address."""
    handler = type("Bound", (Handler,), {"twin": twin})
    server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    server.daemon_threads = True
    server.is_closing = False  # type: ignore[attr-defined] # read by the streams
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.is_closing = True  # type: ignore[attr-defined] # as above
        server.shutdown()
        server.server_close()
        thread.join()
