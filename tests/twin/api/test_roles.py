"""In a running twin a role may do what its policies say, and the operator everything."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from tests.support.running_twin import RunningTwin
from tests.support.small_twin import small_twin
from tests.support.twin import client

from evertill.twin.plan.identity import arn_of

pytestmark = pytest.mark.timeout(180)
EAST = "us-east-1"
BUCKET = f"shop-log-{EAST}"


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningTwin]:
    with small_twin(tmp_path_factory.mktemp("assembly") / "cdk.out") as running:
        yield running


def as_role(twin: RunningTwin, service: str) -> Any:
    """Return a client with the keys of the one role there is, which has no policy."""
    ground = twin.twin.ground
    roles = ground.plan.model.resources_of("AWS::IAM::Role")
    keys = ground.identities.issue(str(arn_of(roles[0])))
    return boto3.client(
        service,
        endpoint_url=twin.twin.endpoints[EAST],
        region_name=EAST,
        aws_access_key_id=keys.access_key_id,
        aws_secret_access_key=keys.secret_access_key,
        aws_session_token=keys.token,
        config=Config(retries={"total_max_attempts": 1}),
    )


def test_a_role_without_the_right_is_refused_in_every_protocol(twin: RunningTwin) -> None:
    calls: dict[str, Callable[[], object]] = {
        "AccessDenied": lambda: as_role(twin, "s3").put_object(Bucket=BUCKET, Key="a", Body=b""),
        "AccessDeniedException": lambda: as_role(twin, "cloudwatch").describe_alarms(),
    }
    for code, call in calls.items():
        with pytest.raises(ClientError) as refused:
            call()
        answer = refused.value.response
        assert (code, 403) == (
            answer["Error"]["Code"],
            answer["ResponseMetadata"]["HTTPStatusCode"],
        )
        assert "is not authorized to perform" in answer["Error"]["Message"]


def test_a_role_may_ask_who_it_is_and_the_operator_may_do_everything(twin: RunningTwin) -> None:
    assert as_role(twin, "sts").get_caller_identity()
    operator = client("s3", twin.twin.endpoints[EAST], EAST)
    operator.put_object(Bucket=BUCKET, Key="a", Body=b"1")
    assert client("cloudwatch", twin.twin.endpoints[EAST], EAST).describe_alarms()["MetricAlarms"]
