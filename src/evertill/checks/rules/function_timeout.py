"""A function answers before its caller has given up."""

from __future__ import annotations

from collections.abc import Iterator

from evertill.assembly import Model, Resource
from evertill.assembly.model import as_number, as_text, child
from evertill.checks.findings import Report
from evertill.checks.views.balancers import TARGET_GROUP, balancers_of
from evertill.checks.views.containers import FUNCTION, names_of

# https://docs.aws.amazon.com/lambda/latest/dg/configuration-timeout.html
FUNCTION_TIMEOUT_DEFAULT_S = 3
# docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-load-balancer-attributes.html
IDLE_TIMEOUT_DEFAULT_S = 60
IDLE_TIMEOUT = "idle_timeout.timeout_seconds"
# https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
VISIBILITY_DEFAULT_S = 30


def check(model: Model) -> Iterator[Report]:
    """Compare each function's timeout with its load balancer's and its queue's."""
    for function in model.resources_of(FUNCTION):
        timeout_s = function.number("Timeout", FUNCTION_TIMEOUT_DEFAULT_S)
        if timeout_s is None:
            continue
        for known in names_of(model, function):
            for group in model.referrers(known, TARGET_GROUP):
                yield from _balanced(model, function, timeout_s, group)
            for mapping in model.referrers(known, "AWS::Lambda::EventSourceMapping"):
                yield from _queued(model, timeout_s, mapping)


def _balanced(
    model: Model, function: Resource, timeout_s: float, group: Resource
) -> Iterator[Report]:
    for balancer in balancers_of(model, group):
        idle_s = _idle_timeout_s(balancer)
        if idle_s is not None and timeout_s > idle_s:
            yield Report(
                function,
                f"It may take {timeout_s:g} s and {balancer.logical_id} gives up after "
                f"{idle_s:g} s: the client sees 504 while the work goes on.",
                "Let the function end before the load balancer's idle timeout.",
            )


def _queued(model: Model, timeout_s: float, mapping: Resource) -> Iterator[Report]:
    queue = model.find(mapping.get("EventSourceArn"), "AWS::SQS::Queue", region=mapping.region)
    seen_s = queue.number("VisibilityTimeout", VISIBILITY_DEFAULT_S) if queue else None
    if queue is not None and seen_s is not None and seen_s < timeout_s:
        yield Report(
            queue,
            f"Its messages come back after {seen_s:g} s and the function may take {timeout_s:g} s: "
            "Lambda refuses the mapping.",
            "Set VisibilityTimeout to six times the function's timeout.",
        )


def _idle_timeout_s(balancer: Resource) -> float | None:
    for attribute in balancer.items("LoadBalancerAttributes"):
        if as_text(child(attribute, "Key")) == IDLE_TIMEOUT:
            return as_number(child(attribute, "Value"))
    return IDLE_TIMEOUT_DEFAULT_S
