"""A name in an environment variable is that of something in the same region."""

from __future__ import annotations

from collections.abc import Iterator

from evertill.assembly import Model, Resource, Value
from evertill.assembly.model import arn
from evertill.checks.findings import Report
from evertill.checks.views.containers import FUNCTION, TASK, environment_of, secrets_of
from evertill.checks.views.whereabouts import leads_nowhere, other_region

# How a variable that names a thing ends, and what it may name.
ENDINGS = {
    ("_BUCKET", "_BUCKET_NAME"): ("AWS::S3::Bucket",),
    ("_TABLE", "_TABLE_NAME"): ("AWS::DynamoDB::Table", "AWS::DynamoDB::GlobalTable"),
    ("_TOPIC", "_TOPIC_ARN"): ("AWS::SNS::Topic",),
    ("_QUEUE_NAME", "_QUEUE_ARN"): ("AWS::SQS::Queue",),
    ("_SECRET", "_SECRET_ARN", "_SECRET_NAME"): ("AWS::SecretsManager::Secret",),
}
REGION_VARIABLES = {"AWS_REGION", "AWS_DEFAULT_REGION", "REGION", "EVERTILL_REGION"}


def check(model: Model) -> Iterator[Report]:
    """Follow every variable that names something."""
    for runner in model.resources_of(TASK, FUNCTION):
        listed = list(environment_of(runner))
        if runner.type == TASK:
            yield from _secrets(runner)
        for name, value in listed:
            yield from _named(model, runner, name, value)
            is_region = name in REGION_VARIABLES and isinstance(value, str)
            if is_region and runner.region not in {None, value}:
                yield Report(
                    runner,
                    f"{name} says {value} and it runs in {runner.region}: it asks, and signs for, "
                    "the wrong region.",
                    "Use the stack's own region.",
                )


def _named(model: Model, runner: Resource, name: str, value: Value) -> Iterator[Report]:
    kinds = next((kinds for ends, kinds in ENDINGS.items() if name.endswith(ends)), None)
    if kinds is None:
        return
    elsewhere = other_region(model, value, kinds, runner.region)
    if elsewhere is not None:
        yield Report(
            runner,
            f"{name} names {elsewhere.logical_id} in {elsewhere.region}, and it runs in "
            f"{runner.region}: it stops working when {elsewhere.region} is lost.",
            "Name the one of its own region.",
        )
    elif leads_nowhere(model, value, kinds, runner.region):
        yield Report(
            runner,
            f"{name} says {value}, and nothing of that name is deployed in its region.",
            "Use the name of the resource that is deployed.",
        )


def _secrets(task: Resource) -> Iterator[Report]:
    for name, value in secrets_of(task):
        named = arn(value)
        region = named.region if named else None
        if isinstance(region, str) and region and task.region not in {None, region}:
            yield Report(
                task,
                f"{name} is filled from a secret in {region}: no task starts in {task.region} "
                f"while {region} is down.",
                "Replicate the secret and name the replica.",
            )
