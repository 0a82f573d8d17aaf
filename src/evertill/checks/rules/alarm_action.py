"""An alarm tells somebody: it has an action, in its own region, that reaches a subscriber."""

from __future__ import annotations

from collections.abc import Iterator

from evertill.assembly import Model, Resource, Value
from evertill.assembly.model import arn
from evertill.assembly.values import texts_in
from evertill.checks.findings import Report
from evertill.checks.views.alarms import ALARM, COMPOSITE

TOPIC = "AWS::SNS::Topic"
ACTIONS = ("AlarmActions", "OKActions", "InsufficientDataActions")
# What reads an alarm's state by itself.
READERS = (
    "AWS::ECS::Service",
    "AWS::Route53::HealthCheck",
    "AWS::CodeDeploy::DeploymentGroup",
    "AWS::ApplicationAutoScaling::ScalingPolicy",
    "AWS::AutoScaling::ScalingPolicy",
    "AWS::AppConfig::Environment",
)


def check(model: Model) -> Iterator[Report]:
    """Look for alarms without a listener, and for listeners without ears."""
    for alarm in model.resources_of(ALARM, COMPOSITE):
        if _is_silent(alarm) and not _is_read(model, alarm):
            yield Report(
                alarm,
                "It has no action when it fires, and nothing else reads its state: nobody learns "
                "of it.",
                "Add AlarmActions, or make it part of a composite alarm that has some.",
            )
        for kind in ACTIONS:
            for action in alarm.items(kind):
                yield from _heard(model, alarm, action)


def _is_silent(alarm: Resource) -> bool:
    return alarm.flag("ActionsEnabled", default=True) is False or alarm.get("AlarmActions") in (
        None,
        [],
    )


def _is_read(model: Model, alarm: Resource) -> bool:
    if any(item.type in READERS for item in model.referrers(alarm)):
        return True
    name = alarm.name
    for reader in model.resources_of(COMPOSITE, *READERS):
        if reader.region != alarm.region and reader.type != "AWS::Route53::HealthCheck":
            continue
        if alarm in model.referred_by(reader.properties):
            return True
        named = name is not None and any(
            str(name) in str(text) for text in texts_in(reader.properties)
        )
        if named:
            return True
    return False


def _heard(model: Model, alarm: Resource, action: Value) -> Iterator[Report]:
    named = arn(action)
    region = named.region if named else None
    # docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Notify_Users_Alarm_Changes.html
    if isinstance(region, str) and region and alarm.region not in {None, region}:
        yield Report(
            alarm,
            f"Its action is in {region} and the alarm in {alarm.region}: CloudWatch refuses it.",
            "Use a topic of the alarm's own region.",
        )
        return
    topic = model.find(action, TOPIC, region=alarm.region)
    if topic is not None and not topic.has("Subscription") and not _subscriptions(model, topic):
        yield Report(
            topic,
            "Alarms publish to it and nobody is subscribed: they reach no one.",
            "Add a subscription.",
        )


def _subscriptions(model: Model, topic: Resource) -> bool:
    # A chat client subscribes itself.
    if any(item.type.startswith("AWS::Chatbot::") for item in model.referrers(topic)):
        return True
    return any(
        model.find(subscription.get("TopicArn"), TOPIC, region=topic.region) == topic
        for subscription in model.resources_of("AWS::SNS::Subscription")
    )
