"""Storage that stops or fills, set as any fault is, on a twin that runs."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from botocore.exceptions import ClientError
from tests.support.running_twin import RunningTwin, until
from tests.support.small_twin import small_twin
from tests.support.twin import client

pytestmark = pytest.mark.timeout(180)
EAST, OHIO = "us-east-1", "us-east-2"


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningTwin]:
    with small_twin(tmp_path_factory.mktemp("assembly") / "cdk.out") as running:
        yield running


def test_stopped_objects_answer_503_are_not_copied_and_go_on_afterwards(twin: RunningTwin) -> None:
    (copy,) = twin.region(EAST)["objects"]["replication"]
    s3 = client("s3", twin.twin.endpoints[EAST], EAST)
    there = client("s3", twin.twin.endpoints[OHIO], OHIO)
    fault = twin.set("stop-objects", region=OHIO)
    s3.put_object(Bucket=copy["from"], Key="a", Body=b"1")
    with pytest.raises(ClientError) as refused:
        there.head_object(Bucket=copy["to"], Key="a")
    assert 503 == refused.value.response["ResponseMetadata"]["HTTPStatusCode"]
    until(lambda: pending(twin) == 1, "what waits")
    twin.undo(fault)
    until(lambda: pending(twin) == 0, "the copy")
    assert b"1" == there.get_object(Bucket=copy["to"], Key="a")["Body"].read()


def pending(twin: RunningTwin) -> int:
    """Return how many objects wait to be copied, by a document that is a second old at most."""
    waiting: int = twin.region(EAST)["objects"]["replication"][0]["pending"]
    return waiting


@pytest.mark.parametrize("kind", ["fill-disk", "slow-disk", "slow-database"])
def test_databases_that_are_not_there_do_not_fail(twin: RunningTwin, kind: str) -> None:
    body = json.dumps({"fault": kind, "region": EAST})
    answer = twin.http.post("/faults", content=body, headers={"content-type": "application/json"})
    assert (400, "unknown_target") == (answer.status_code, answer.json()["code"])
    assert "there is none now" in answer.json()["message"]
