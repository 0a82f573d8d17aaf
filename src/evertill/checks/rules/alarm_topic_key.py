"""A topic that alarms publish to is encrypted with a key that CloudWatch may use."""

from __future__ import annotations

from collections.abc import Iterator

from evertill.assembly import Model, Resource
from evertill.assembly.model import as_list, as_text, child
from evertill.checks.findings import Report
from evertill.checks.views.alarms import ALARM, COMPOSITE
from evertill.checks.views.policies import statements

TOPIC = "AWS::SNS::Topic"
# The policy of the AWS managed key cannot be changed.
# https://repost.aws/knowledge-center/cloudwatch-configure-alarm-sns
MANAGED = "alias/aws/sns"
PUBLISHER = "cloudwatch.amazonaws.com"


def check(model: Model) -> Iterator[Report]:
    """Look at the key of every topic that is some alarm's action."""
    topics = {
        topic.reference: topic
        for alarm in model.resources_of(ALARM, COMPOSITE)
        for action in alarm.items("AlarmActions")
        if (topic := model.find(action, TOPIC, region=alarm.region)) is not None
    }
    for topic in topics.values():
        key_name = str(topic.get("KmsMasterKeyId"))
        key = model.find(topic.get("KmsMasterKeyId"), "AWS::KMS::Key")
        if key_name.endswith(MANAGED) or (key is not None and not _lets_in(key)):
            yield Report(
                topic,
                "CloudWatch may not use the key that the topic is encrypted with: every alarm "
                "fires in silence.",
                f"Encrypt with a key whose policy allows {PUBLISHER} kms:Decrypt and "
                "kms:GenerateDataKey*.",
            )


def _lets_in(key: Resource) -> bool:
    listed = statements(key.get("KeyPolicy"))
    if not listed:
        return True
    for statement in listed:
        principal = child(statement, "Principal")
        services = [as_text(name) for name in as_list(child(principal, "Service"))]
        everyone = "*" in {as_text(principal), as_text(child(principal, "AWS"))}
        if everyone or PUBLISHER in services or None in services:
            return True
    return False
