"""Each fault that needs no database is set on a running twin, seen, and undone."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import boto3
import httpx
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from tests.support.running_twin import RunningTwin, until

pytestmark = pytest.mark.timeout(180)
NEEDS_DATABASE = re.compile("writer|reader|database|disk|connection|witness")
HERE, THERE = "us-east-1", "us-east-2"


@pytest.fixture(autouse=True)
def whole_again(twin: RunningTwin) -> Iterator[None]:
    yield
    assert 200 == twin.http.delete("/faults").status_code
    twin.until_steady()


def client(twin: RunningTwin, service: str, region: str) -> Any:
    return boto3.client(
        service,
        region_name=region,
        endpoint_url=twin.twin.endpoints[region],
        aws_access_key_id="operator",
        aws_secret_access_key="operator",
        config=Config(retries={"total_max_attempts": 1}, connect_timeout=1, read_timeout=10),
    )


def ask(twin: RunningTwin, region: str, timeout_s: float = 5.0) -> tuple[int, float]:
    """Send a request to a region's load balancer; return the status and how long it took."""
    node = next(n for n in twin.region(region)["load_balancer"][0]["nodes"] if n["state"] == "up")
    began_s = time.monotonic()
    answer = httpx.get(f"http://{node['address']}:8080/", timeout=timeout_s, trust_env=False)
    return answer.status_code, time.monotonic() - began_s


def zones_of_tasks(twin: RunningTwin, region: str) -> list[str]:
    return [task["zone"] for task in twin.region(region)["tasks"] if task["state"] == "RUNNING"]


def nodes(twin: RunningTwin, region: str) -> dict[str, str]:
    (balancer,) = twin.region(region)["load_balancer"]
    return {node["zone"]: node["state"] for node in balancer["nodes"]}


def function_state(twin: RunningTwin) -> str:
    (function,) = twin.region(HERE)["functions"]
    return str(function["state"])


def test_every_fault_says_what_it_does_and_can_be_set_somewhere(twin: RunningTwin) -> None:
    for kind in twin.http.get("/faults").json()["kinds"]:
        assert kind["summary"].endswith(".")
        if not NEEDS_DATABASE.search(kind["fault"]):
            assert kind["targets"], kind["fault"]


@pytest.mark.parametrize("region", [HERE, THERE])
def test_a_lost_zone_runs_nothing_until_it_is_given_back(twin: RunningTwin, region: str) -> None:
    zone = f"{region}a"
    fault = twin.set("lose-zone", zone=zone)
    assert "lost" == twin.region(region)["zones"][zone]["state"]
    assert "lost" == nodes(twin, region)[zone]
    until(lambda: [f"{region}b"] * 2 == zones_of_tasks(twin, region), "two tasks in the other zone")
    until(lambda: 200 == ask(twin, region)[0], "an answer of the other zone")
    twin.undo(fault)
    until(lambda: "up" == nodes(twin, region)[zone], "a new node")
    assert "up" == twin.region(region)["zones"][zone]["state"]


def test_all_tasks_of_a_zone_die_and_are_replaced(twin: RunningTwin) -> None:
    zone = zones_of_tasks(twin, HERE)[0]
    before = {task["id"] for task in twin.region(HERE)["tasks"] if task["zone"] == zone}
    assert before
    twin.set("kill-zone-tasks", zone=zone)
    until(
        lambda: not before & {task["id"] for task in twin.region(HERE)["tasks"]},
        "the end of the zone's tasks",
    )


def test_all_tasks_of_a_zone_hang_until_they_are_thawed(twin: RunningTwin) -> None:
    zone = zones_of_tasks(twin, HERE)[0]
    fault = twin.set("freeze-zone-tasks", zone=zone)
    assert {zone} == {task["zone"] for task in twin.region(HERE)["tasks"] if task["frozen"]}
    twin.undo(fault)
    assert not any(task["frozen"] for task in twin.region(HERE)["tasks"])


def test_a_slow_task_answers_late_until_that_is_undone(twin: RunningTwin) -> None:
    for task in [task["id"] for task in twin.region(HERE)["tasks"]]:
        # Twin time: a tenth of it passes here.
        twin.set("slow-task", task=task, delay_ms=3_000)
    until(lambda: ask(twin, HERE)[1] > 0.25, "a late answer")
    assert 200 == twin.http.delete("/faults").status_code
    until(lambda: ask(twin, HERE)[1] < 0.25, "a prompt answer")


@pytest.mark.parametrize("region", [HERE, THERE])
def test_a_lost_region_does_not_answer_and_comes_back(twin: RunningTwin, region: str) -> None:
    other = THERE if region == HERE else HERE
    s3 = client(twin, "s3", region)
    s3.put_object(Bucket=f"shop-log-{region}", Key="kept", Body=b"kept")
    fault = twin.set("lose-region", region=region)
    lost = twin.region(region)
    assert "lost" == lost["role"]
    assert {"lost"} == {zone["state"] for zone in lost["zones"].values()}
    assert {"lost"} == {node["state"] for node in lost["load_balancer"][0]["nodes"]}
    assert [] == zones_of_tasks(twin, region)
    with pytest.raises(BotoCoreError):
        s3.list_buckets()
    assert {(region, "any"), ("any", region)} == {
        (link["from"], link["to"]) for link in twin.status()["links"] if link["is_cut"]
    }
    until(lambda: 200 == ask(twin, other)[0], "an answer of the other region")
    twin.undo(fault)
    assert b"kept" == s3.get_object(Bucket=f"shop-log-{region}", Key="kept")["Body"].read()
    twin.until_steady()
    assert [] == twin.status()["links"]


def test_a_zone_stays_lost_when_only_its_region_comes_back(twin: RunningTwin) -> None:
    zone = twin.set("lose-zone", zone=f"{HERE}a")
    region = twin.set("lose-region", region=HERE)
    twin.undo(region)
    until(lambda: "up" == nodes(twin, HERE)[f"{HERE}b"], "the zone that is not lost")
    assert {f"{HERE}a": "lost", f"{HERE}b": "up"} == {
        name: state["state"] for name, state in twin.region(HERE)["zones"].items()
    }
    twin.undo(zone)


def test_a_node_that_is_killed_stays_down_when_its_zone_comes_back(twin: RunningTwin) -> None:
    node = twin.set("kill-balancer-node", zone=f"{HERE}a")
    zone = twin.set("lose-zone", zone=f"{HERE}a")
    twin.undo(zone)
    assert "down" == nodes(twin, HERE)[f"{HERE}a"]
    twin.undo(node)
    assert "up" == nodes(twin, HERE)[f"{HERE}a"]


def test_a_frozen_node_is_found_out_and_answers_again(twin: RunningTwin) -> None:
    fault = twin.set("freeze-balancer-node", zone=f"{HERE}a")
    until(lambda: "down" == nodes(twin, HERE)[f"{HERE}a"], "a node that does not answer")
    twin.undo(fault)
    until(lambda: "up" == nodes(twin, HERE)[f"{HERE}a"], "a node that answers")


def test_all_of_a_zone_hangs_until_it_is_thawed(twin: RunningTwin) -> None:
    zone = zones_of_tasks(twin, THERE)[0]
    fault = twin.set("freeze-zone", zone=zone)
    assert {zone} == {task["zone"] for task in twin.region(THERE)["tasks"] if task["frozen"]}
    until(lambda: "down" == nodes(twin, THERE)[zone], "a node that does not answer")
    twin.undo(fault)
    assert not any(task["frozen"] for task in twin.region(THERE)["tasks"])


@pytest.mark.parametrize("region", [HERE, THERE])
def test_a_region_that_hangs_goes_on_with_the_same_tasks(twin: RunningTwin, region: str) -> None:
    before = {task["id"] for task in twin.region(region)["tasks"]}
    fault = twin.set("freeze-region", region=region)
    assert "lost" == twin.region(region)["role"]
    assert all(task["frozen"] for task in twin.region(region)["tasks"])
    with pytest.raises(BotoCoreError):
        client(twin, "s3", region).list_buckets()
    answer = twin.http.post("/faults", json={"fault": "lose-region", "region": region})
    assert (409, "already_set") == (answer.status_code, answer.json()["code"])
    twin.undo(fault)
    until(lambda: 200 == ask(twin, region)[0], "an answer")
    assert before == {task["id"] for task in twin.region(region)["tasks"]}


def test_a_killed_balancer_answers_nobody_and_its_alarm_sends_a_mail(twin: RunningTwin) -> None:
    fault = twin.set("kill-balancer", region=HERE)
    assert {"down"} == set(nodes(twin, HERE).values())
    until(
        lambda: "ALARM" == twin.region(HERE)["alarms"][0]["state"],
        "the alarm about too few targets",
    )
    until(lambda: twin.http.get("/mail").json()["mails"], "a mail")
    mail = twin.http.get("/mail").json()["mails"][-1]
    assert ("ops@shop.example", HERE) == (mail["to"], mail["region"])
    assert "shop-few-targets" in twin.http.get(f"/mail/{mail['id']}").json()["body"]
    twin.undo(fault)
    assert {"up"} == set(nodes(twin, HERE).values())
    until(lambda: "OK" == twin.region(HERE)["alarms"][0]["state"], "the end of the alarm")
    latest = twin.region(HERE)["alarms"][0]["history"][0]
    assert ("ALARM", "OK") == (latest["from"], latest["to"])


def test_a_killed_function_starts_anew(twin: RunningTwin) -> None:
    functions = client(twin, "lambda", HERE)
    functions.invoke(FunctionName="shop-echo", Payload=b"{}")
    assert "idle" == function_state(twin)
    twin.set("kill-function", region=HERE, function="shop-echo")
    answer = functions.invoke(FunctionName="shop-echo", Payload=b'{"a": 1}')
    assert {"a": 1} == json.load(answer["Payload"])


def test_a_frozen_function_runs_into_its_timeout_until_it_is_thawed(twin: RunningTwin) -> None:
    functions = client(twin, "lambda", HERE)
    fault = twin.set("freeze-function", region=HERE, function="shop-echo")
    assert "frozen" == function_state(twin)
    answer = functions.invoke(FunctionName="shop-echo", Payload=b"{}")
    assert "FunctionError" in answer
    twin.undo(fault)
    answer = functions.invoke(FunctionName="shop-echo", Payload=b"{}")
    assert "FunctionError" not in answer


def copied(twin: RunningTwin, key: str) -> bool:
    try:
        client(twin, "s3", THERE).head_object(Bucket=f"shop-log-{THERE}", Key=key)
    except ClientError:
        return False
    return True


@pytest.mark.parametrize(
    ("fault", "parameters"),
    [
        ("pause-objects", {"region": HERE}),
        ("cut-link", {"from": HERE, "to": THERE}),
        ("cut-link", {"from": HERE, "to": THERE, "one_way": True}),
    ],
)
def test_objects_wait_for_a_link_or_a_pause_to_end(
    twin: RunningTwin, fault: str, parameters: dict[str, Any]
) -> None:
    set_ = twin.set(fault, **parameters)
    key = f"{set_}-waits"
    client(twin, "s3", HERE).put_object(Bucket=f"shop-log-{HERE}", Key=key, Body=b"x")
    (copy,) = twin.region(HERE)["objects"]["replication"]
    assert (1, fault == "pause-objects") == (copy["pending"], copy["paused"])
    assert not copied(twin, key)
    twin.undo(set_)
    until(lambda: copied(twin, key), "the copy")


def test_links_are_told_with_what_is_in_force(twin: RunningTwin) -> None:
    delay = twin.set("delay-link", from_=HERE, to=THERE, delay_ms=20, one_way=True)
    narrow = twin.set("throttle-link", from_=HERE, to=THERE, bytes_per_s=1_000)
    there, back = twin.status()["links"]
    link = {"from": HERE, "to": THERE, "is_cut": False, "delay_ms": 20.0, "bytes_per_s": 1_000.0}
    assert link == there
    assert (THERE, HERE, 0.0) == (back["from"], back["to"], back["delay_ms"])
    twin.undo(delay)
    assert [0.0, 0.0] == [link["delay_ms"] for link in twin.status()["links"]]
    twin.undo(narrow)
    assert [] == twin.status()["links"]


def test_a_delay_that_is_none_is_refused(twin: RunningTwin) -> None:
    body = {"fault": "delay-link", "from": HERE, "to": THERE, "delay_ms": -1}
    answer = twin.http.post("/faults", json=body)
    assert 400 == answer.status_code
    assert "delay_ms" in answer.json()["message"]


def test_tasks_behind_a_cut_link_between_zones_are_not_reached(twin: RunningTwin) -> None:
    fault = twin.set("cut-link", from_=f"{HERE}a", to=f"{HERE}b")
    until(
        lambda: any(
            target["health"] != "healthy"
            for target in twin.region(HERE)["load_balancer"][0]["targets"]
        ),
        "targets that a node does not reach",
    )
    twin.undo(fault)


def test_the_control_of_dns_fails_while_dns_answers(twin: RunningTwin) -> None:
    route53 = client(twin, "route53", THERE)
    fault = twin.set("break-dns")
    with pytest.raises(ClientError):
        route53.list_hosted_zones()
    twin.undo(fault)
    assert [] == route53.list_hosted_zones()["HostedZones"]


def test_the_loss_of_the_first_region_takes_the_control_of_dns_along(twin: RunningTwin) -> None:
    route53 = client(twin, "route53", THERE)
    fault = twin.set("lose-region", region=HERE)
    with pytest.raises(ClientError):
        route53.list_hosted_zones()
    twin.undo(fault)
    route53.list_hosted_zones()


@pytest.mark.parametrize(
    ("service", "operation", "code"),
    [("ecs", "list_clusters", "ThrottlingException"), ("s3", "list_buckets", "SlowDown")],
)
def test_calls_are_turned_down_in_the_words_of_their_service(
    twin: RunningTwin, service: str, operation: str, code: str
) -> None:
    fault = twin.set("throttle-api", region=HERE, share=1)
    with pytest.raises(ClientError) as refused:
        getattr(client(twin, service, HERE), operation)()
    assert code == refused.value.response["Error"]["Code"]
    getattr(client(twin, service, THERE), operation)()
    twin.undo(fault)
    getattr(client(twin, service, HERE), operation)()
