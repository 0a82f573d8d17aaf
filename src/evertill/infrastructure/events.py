"""The topic that payments' events are published to, for programs of the operator's own.

It is separate from `alerts`, which people hear. It is a FIFO topic, because a payment's events mean
something in their order only, and in the data stack, because queues of others subscribe to it:
https://docs.aws.amazon.com/sns/latest/dg/sns-fifo-topics.html
"""

from __future__ import annotations

from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from constructs import Construct

from evertill.infrastructure.names import Names


def build_events(scope: Construct, names: Names, key: kms.Key) -> sns.Topic:
    """Return the region's topic; the service names each message, so contents are not compared."""
    return sns.Topic(
        scope,
        "Events",
        topic_name=names.events_topic,
        fifo=True,
        content_based_deduplication=False,
        # Limits hold for each payment and not for all of them together:
        # https://docs.aws.amazon.com/sns/latest/dg/fifo-high-throughput.html
        fifo_throughput_scope=sns.FifoThroughputScope.MESSAGE_GROUP,
        master_key=key,
        enforce_ssl=True,
    )
