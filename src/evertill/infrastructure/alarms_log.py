"""Alarms about the transaction log's way to the other region, and about the certificate.

They are together because neither stops a payment today, and both do damage after weeks of silence.

S3 publishes replication metrics to AWS/S3 with the dimensions SourceBucket, DestinationBucket and
RuleId: what is pending and how late it is in the region of the destination, what failed for good in
the region of the source. So each region watches what comes in from its peer, and what of its own
could not leave: https://docs.aws.amazon.com/AmazonS3/latest/userguide/repl-metrics.html

ACM publishes DaysToExpiry twice a day to AWS/CertificateManager in the certificate's region, with
the dimension CertificateArn. Route 53's checks connect without looking at the date, so nothing else
tells: https://docs.aws.amazon.com/acm/latest/userguide/cloudwatch-metrics.html
"""

from __future__ import annotations

from typing import Final

from aws_cdk import aws_certificatemanager as acm

from evertill.infrastructure.alarms import Alarms, above, below, published

SPACE: Final = "AWS/S3"
# The id that `transaction_log` gives its one rule; a test holds the two together.
RULE: Final = "to-the-other-region"
# Replication time control promises fifteen minutes for nearly every object.
LATENCY_S_MAX: Final = 900
DAY_S: Final = 86_400
# ACM renews 60 days before the end. At 30 it has failed for a month, and 30 are left to act.
CERTIFICATE_DAYS_MIN: Final = 30


def add_log_alarms(alarms: Alarms, peer: str) -> None:
    """Add the alarms about both directions of replication between this region and `peer`."""
    here, there = alarms.names.log_bucket(), alarms.names.log_bucket(peer)
    incoming = {"SourceBucket": there, "DestinationBucket": here, "RuleId": RULE}
    outgoing = {"SourceBucket": here, "DestinationBucket": there, "RuleId": RULE}
    alarms.ring(
        "log-replication-late",
        published(SPACE, "ReplicationLatency", "Maximum", incoming),
        f"The other region's log arrives here more than {LATENCY_S_MAX // 60} minutes late.",
        # The log is an audit copy. Its promise is minutes, and so is this alarm's delay.
        # Nothing was written there. A region whose database has gone silent says so itself.
        above(LATENCY_S_MAX, (5, 5)),
    )
    alarms.ring(
        "log-replication-failed",
        published(SPACE, "OperationsFailedReplication", "Sum", outgoing),
        "Parts of this region's log will not reach the other without help.",
        # Nothing was written here.
        above(0, (1, 1)),
    )


def add_certificate_alarm(alarms: Alarms, certificate: acm.ICertificate) -> None:
    """Add the alarm about the certificate that this region's load balancer shows."""
    alarms.ring(
        "certificate-expiry",
        published(
            "AWS/CertificateManager",
            "DaysToExpiry",
            "Minimum",
            {"CertificateArn": certificate.certificate_arn},
            DAY_S,
        ),
        f"The load balancer's certificate ends in less than {CERTIFICATE_DAYS_MIN} days: its "
        "renewal has failed for a month.",
        # An expired certificate has no days left to publish.
        below(CERTIFICATE_DAYS_MIN, (1, 1)),
    )
