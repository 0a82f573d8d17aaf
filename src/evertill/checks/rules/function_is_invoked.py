"""A function has something that may invoke it."""

from __future__ import annotations

from collections.abc import Iterator

from evertill.assembly import Model, Resource
from evertill.assembly.values import texts_in
from evertill.checks.findings import Report
from evertill.checks.views.containers import ALIASES, FUNCTION, names_of

# What refers to a function and does not call it.
ONLOOKERS = {
    "AWS::CloudWatch::Alarm",
    "AWS::CloudWatch::CompositeAlarm",
    "AWS::CloudWatch::Dashboard",
    "AWS::Logs::LogGroup",
    "AWS::Logs::MetricFilter",
    "AWS::Lambda::EventInvokeConfig",
    "AWS::ApplicationAutoScaling::ScalableTarget",
    "AWS::ApplicationAutoScaling::ScalingPolicy",
    "AWS::SSM::Parameter",
    "AWS::EC2::SecurityGroup",
    "Custom::LogRetention",
    *ALIASES,
}


def check(model: Model) -> Iterator[Report]:
    """Look for functions that only their alarms, logs and outputs know."""
    for function in model.resources_of(FUNCTION):
        if not _is_called(model, function) and not _is_named(model, function):
            yield Report(
                function,
                "Nothing in the assembly invokes it or may: it is deployed, watched, and never "
                "runs.",
                "Give it a trigger: a target group, an event source, a permission for its caller.",
            )


def _is_called(model: Model, function: Resource) -> bool:
    return any(
        caller.type not in ONLOOKERS
        for known in names_of(model, function)
        for caller in model.referrers(known)
    )


def _is_named(model: Model, function: Resource) -> bool:
    """Tell whether something names the function without referring to it."""
    name = function.name
    return isinstance(name, str) and any(
        name in str(text)
        for other in model.resources
        if other is not function and other.type not in ONLOOKERS
        for text in texts_in(other.properties)
        if str(text).startswith("arn:") or name == str(text)
    )
