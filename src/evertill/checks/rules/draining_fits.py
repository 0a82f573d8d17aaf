"""A task that is stopped has the time to finish: draining and stopping fit each other."""

from __future__ import annotations

from collections.abc import Iterator

from evertill.assembly import Model, Resource
from evertill.assembly.model import as_number, as_text, child
from evertill.checks.findings import Report
from evertill.checks.views.containers import SERVICE, TASK, attachments_of, containers_of

# docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-target-group-attributes.html
DELAY = "deregistration_delay.timeout_seconds"
DELAY_DEFAULT_S = 300
# The stopTimeout of a container:
# docs.aws.amazon.com/AmazonECS/latest/developerguide/task_definition_parameters.html
STOP_TIMEOUT_MAX_S = 120
# docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-capacity-providers.html
SPOT_WARNING_S = 120


def check(model: Model) -> Iterator[Report]:
    """Compare the delays of target groups and containers with what Fargate grants."""
    for task in model.resources_of(TASK):
        is_fargate = "FARGATE" in [as_text(item) for item in task.items("RequiresCompatibilities")]
        for container in containers_of(task):
            stop_s = as_number(child(container, "StopTimeout"))
            if is_fargate and stop_s is not None and stop_s > STOP_TIMEOUT_MAX_S:
                yield Report(
                    task,
                    f"Fargate waits {STOP_TIMEOUT_MAX_S} s at most, and refuses a StopTimeout of "
                    f"{stop_s:g} s.",
                    f"Set StopTimeout to {STOP_TIMEOUT_MAX_S} or less.",
                )
    for service in model.resources_of(SERVICE):
        for attachment in attachments_of(model, service):
            if attachment.target_group is not None:
                yield from _drained(service, attachment.target_group)


def _drained(service: Resource, group: Resource) -> Iterator[Report]:
    delay_s = _delay_s(group)
    if delay_s == 0:
        yield Report(
            group,
            "A task that leaves is cut off at once: its requests in flight end in 502, and their "
            "payments in doubt.",
            f"Set {DELAY} to what the slowest request takes.",
        )
    if delay_s is not None and delay_s > SPOT_WARNING_S and _may_be_spot(service):
        yield Report(
            group,
            f"Draining takes {delay_s:g} s and Spot gives {SPOT_WARNING_S} s: a reclaimed task is "
            "killed while it still gets requests.",
            f"Set {DELAY} below {SPOT_WARNING_S}.",
        )


def _delay_s(group: Resource) -> float | None:
    attributes = group.get("TargetGroupAttributes")
    if attributes is not None and not isinstance(attributes, list):
        return None
    for attribute in attributes or []:
        if as_text(child(attribute, "Key")) == DELAY:
            return as_number(child(attribute, "Value"))
    return DELAY_DEFAULT_S


def _may_be_spot(service: Resource) -> bool:
    strategy = service.items("CapacityProviderStrategy")
    return any(as_text(child(item, "CapacityProvider")) == "FARGATE_SPOT" for item in strategy)
