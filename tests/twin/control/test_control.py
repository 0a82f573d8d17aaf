"""A running twin tells how it is, what happens, and takes faults, over HTTP on this machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import psutil
import pytest
from click.testing import CliRunner
from tests.support.running_twin import RunningTwin, until
from tests.support.small_twin import REGIONS

from evertill.commands.twin import twin_command
from evertill.domain.errors import EvertillError

pytestmark = pytest.mark.timeout(180)
JSON = {"content-type": "application/json"}


@pytest.fixture(autouse=True)
def whole_again(twin: RunningTwin) -> Iterator[None]:
    yield
    assert 200 == twin.http.delete("/faults").status_code
    twin.until_steady()


def stream(twin: RunningTwin, count: int, **headers: str) -> list[dict[str, str]]:
    """Read so many events from the beginning of a stream."""
    found: list[dict[str, str]] = []
    with twin.http.stream("GET", "/events", headers=headers) as answer:
        assert "text/event-stream" == answer.headers["content-type"]
        fields: dict[str, str] = {}
        for line in answer.iter_lines():
            if not line:
                found.append(fields)
                fields = {}
                if len(found) == count:
                    break
            else:
                name, _, text = line.partition(": ")
                fields[name] = text
    return found


def command(*arguments: str) -> str:
    """Run `evertill twin ...` and return what it prints."""
    done = CliRunner().invoke(twin_command, arguments, catch_exceptions=False)
    assert 0 == done.exit_code, done.output
    return done.output


def test_the_status_names_what_runs_where(twin: RunningTwin) -> None:
    status = twin.status()
    assert list(REGIONS) == list(status["regions"])
    region = status["regions"]["us-east-1"]
    assert {"us-east-1a": {"state": "up"}, "us-east-1b": {"state": "up"}} == region["zones"]
    assert ["us-east-1a", "us-east-1b"] == sorted(task["zone"] for task in region["tasks"])
    assert {"RUNNING"} == {task["state"] for task in region["tasks"]}
    assert ["up", "up"] == [node["state"] for node in region["load_balancer"][0]["nodes"]]
    assert ["shop-few-targets"] == [alarm["name"] for alarm in region["alarms"]]
    assert [{"name": "shop-echo", "state": "cold"}] == region["functions"]
    assert "us-east-1" == status["door"]["answers_from"]
    assert status["lease"] is None


def test_the_processes_are_counted(twin: RunningTwin) -> None:
    until(lambda: twin.status()["processes"] > 10, "a count")
    assert twin.status()["memory_mb"] > 50


def test_where_it_answers_is_written_down(twin: RunningTwin) -> None:
    written = msgspec.json.decode((twin.folder / "control.json").read_bytes())
    assert twin.twin.control_url == written["url"]
    assert psutil.Process().pid == written["pid"]


@pytest.mark.parametrize("host", ["attacker.example", "attacker.example:8420", "10.0.0.1", ""])
def test_a_page_that_calls_itself_by_another_name_is_refused(twin: RunningTwin, host: str) -> None:
    answer = twin.http.get("/status", headers={"host": host})
    assert answer.status_code in {400, 403}


@pytest.mark.parametrize("host", ["localhost", "localhost:1", "127.0.0.9:8420", "[::1]:8420"])
def test_every_name_of_this_machine_is_answered(twin: RunningTwin, host: str) -> None:
    assert 200 == twin.http.get("/status", headers={"host": host}).status_code


def test_a_form_of_another_site_sets_no_fault(twin: RunningTwin) -> None:
    answer = twin.http.post("/faults", content='{"fault": "lose-region"}')
    assert 415 == answer.status_code
    assert "not_json" == answer.json()["code"]


def refused(twin: RunningTwin, body: object) -> tuple[int, str, str]:
    answer = twin.http.post("/faults", content=json.dumps(body), headers=JSON)
    told = answer.json()
    return answer.status_code, told["code"], told["message"]


def test_an_unknown_fault_is_refused_with_what_there_is(twin: RunningTwin) -> None:
    status, code, message = refused(twin, {"fault": "spill-coffee"})
    assert (400, "unknown_fault") == (status, code)
    assert "'spill-coffee'" in message
    assert "kill-task" in message


def test_an_unknown_target_is_refused_with_what_there_is(twin: RunningTwin) -> None:
    status, code, message = refused(twin, {"fault": "lose-zone", "zone": "eu-west-1a"})
    assert (400, "unknown_target") == (status, code)
    assert "zone=us-east-1a" in message


@pytest.mark.parametrize("body", [{"fault": "kill-task"}, {"fault": "lose-zone", "zoo": "x"}])
def test_parameters_that_are_missing_or_unknown_are_refused(
    twin: RunningTwin, body: dict[str, Any]
) -> None:
    status, code, message = refused(twin, body)
    assert (400, "unknown_target") == (status, code)
    assert "it takes" in message


@pytest.mark.parametrize("body", [[], "x", {"fault": {"a": 1}}])
def test_what_is_no_fault_at_all_is_refused(twin: RunningTwin, body: object) -> None:
    assert (400, "malformed") == refused(twin, body)[:2]


def test_a_fault_that_is_set_is_not_set_again(twin: RunningTwin) -> None:
    task = twin.region("us-east-1")["tasks"][0]["id"]
    twin.set("freeze-task", task=task)
    status, code, message = refused(twin, {"fault": "freeze-task", "task": task})
    assert (409, "already_set") == (status, code)
    assert "undo" in message


def test_an_id_that_was_never_given_cannot_be_undone(twin: RunningTwin) -> None:
    answer = twin.http.delete("/faults/999")
    assert (404, "unknown_id") == (answer.status_code, answer.json()["code"])


def test_a_killed_task_is_replaced(twin: RunningTwin) -> None:
    task = twin.region("us-east-1")["tasks"][0]["id"]
    fault = twin.set("kill-task", task=task)
    until(
        lambda: task not in {item["id"] for item in twin.region("us-east-1")["tasks"]},
        "the end of the task",
    )
    twin.until_steady()
    twin.undo(fault)


def test_a_frozen_task_is_found_out_and_replaced(twin: RunningTwin) -> None:
    task = twin.region("us-east-2")["tasks"][0]["id"]
    twin.set("freeze-task", task=task)
    until(
        lambda: any(
            item["frozen"] for item in twin.region("us-east-2")["tasks"] if item["id"] == task
        ),
        "a frozen task",
    )
    until(
        lambda: task not in {item["id"] for item in twin.region("us-east-2")["tasks"]},
        "its replacement",
        # It does not end when it is asked to, and is killed only after its stop timeout.
        deadline_s=150,
    )


def test_events_tell_the_status_at_once_and_what_happened_before(twin: RunningTwin) -> None:
    found = stream(twin, 5)
    assert {"status", "timeline"} == {event["event"] for event in found}
    status = next(event for event in found if event["event"] == "status")
    assert {"regions", "faults"} <= json.loads(status["data"]).keys()
    told = [json.loads(event["data"]) for event in found if event["event"] == "timeline"]
    assert [event["id"] for event in found if "id" in event] == [str(e["number"]) for e in told]


def test_a_reader_who_comes_back_is_told_what_he_missed(twin: RunningTwin) -> None:
    last = twin.twin.ground.timeline.kept()[-1].number
    twin.set("kill-task", task="any", region="us-east-1")
    found = stream(twin, 3, **{"last-event-id": str(last)})
    first = next(event for event in found if "id" in event)
    assert str(last + 1) == first["id"]


def test_a_reader_who_leaves_is_not_waited_for(twin: RunningTwin) -> None:
    stream(twin, 1)
    listeners = twin.twin.ground.timeline._listeners
    until(lambda: not listeners, "the end of the listener")


def test_the_command_shows_one_screen(twin: RunningTwin) -> None:
    shown = command("status", "--folder", str(twin.folder))
    assert "us-east-1 active" in shown
    assert "shop 2/2" in shown
    assert 80 >= max(map(len, shown.splitlines()))


def test_the_command_prints_the_document(twin: RunningTwin) -> None:
    shown = command("status", "--json", "--endpoint", twin.twin.control_url)
    assert twin.status().keys() == json.loads(shown).keys()


def test_the_command_sets_and_undoes_a_fault(twin: RunningTwin) -> None:
    where = ("--folder", str(twin.folder))
    task = twin.region("us-east-1")["tasks"][0]["id"]
    told = command("fault", "freeze-task", f"task={task}", *where)
    fault = told.split()[0]
    assert f"evertill twin fault undo {fault}" in told
    assert f"Set: {fault}  freeze-task task={task}" in command("fault", "list", *where)
    assert f"task={task}" in command("fault", "list", "kill-task", *where)
    assert f"Undone: {fault}." in command("fault", "undo", fault, *where)
    assert "nothing was set" in command("fault", "undo", "all", *where)


def test_the_command_says_in_one_sentence_what_the_twin_refused(twin: RunningTwin) -> None:
    with pytest.raises(EvertillError, match="There is no fault 'x'"):
        command("fault", "x", "--folder", str(twin.folder))


def test_without_a_twin_the_command_says_how_to_start_one(twin: RunningTwin) -> None:
    with pytest.raises(EvertillError, match="evertill twin up"):
        command("status", "--folder", str(twin.folder / "elsewhere"))


def test_an_address_that_is_nothing_is_not_found(twin: RunningTwin) -> None:
    for path in ("/nothing", "/../pyproject.toml", "/.hidden", "/status/x", "/mail/x"):
        answer = httpx.get(f"{twin.twin.control_url}{path}", trust_env=False)
        assert (404, "not_found") == (answer.status_code, answer.json()["code"])
