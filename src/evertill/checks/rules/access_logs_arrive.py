"""A bucket that takes access logs is one that they can be written to."""

from __future__ import annotations

from collections.abc import Iterator

from evertill.assembly import Model, Resource
from evertill.assembly.model import as_text, child
from evertill.checks.findings import Report
from evertill.checks.views.balancers import BALANCER
from evertill.checks.views.buckets import BUCKET, ENCRYPTION

BUCKET_ATTRIBUTE = "access_logs.s3.bucket"


def check(model: Model) -> Iterator[Report]:
    """Look at the encryption, the lock and the region of every bucket that takes logs."""
    for balancer in model.resources_of(BALANCER):
        for attribute in balancer.items("LoadBalancerAttributes"):
            if as_text(child(attribute, "Key")) == BUCKET_ATTRIBUTE:
                bucket = model.find(child(attribute, "Value"), BUCKET)
                if bucket is not None and balancer.text("Type", "application") == "application":
                    yield from _from_balancer(balancer, bucket)
    for source in model.resources_of(BUCKET):
        target = model.find(source.get("LoggingConfiguration.DestinationBucketName"), BUCKET)
        if target is not None:
            yield from _from_bucket(source, target)


def _elsewhere(source: Resource, target: Resource) -> Iterator[Report]:
    if target.region and source.region and target.region != source.region:
        yield Report(
            source,
            f"Its access-log bucket is in {target.region}: it must be in {source.region}.",
            "Use a bucket of the same region.",
        )


def _from_balancer(balancer: Resource, bucket: Resource) -> Iterator[Report]:
    # docs.aws.amazon.com/elasticloadbalancing/latest/application/enable-access-logging.html
    if (bucket.text(f"{ENCRYPTION}.SSEAlgorithm") or "").startswith("aws:kms"):
        yield Report(
            bucket,
            f"{balancer.logical_id} can write its access logs under S3-managed keys only, and the "
            "bucket encrypts with KMS: its attributes are refused.",
            "Encrypt the access-log bucket with AES256.",
        )
    yield from _elsewhere(balancer, bucket)


def _from_bucket(source: Resource, target: Resource) -> Iterator[Report]:
    # docs.aws.amazon.com/AmazonS3/latest/userguide/enable-server-access-logging.html
    if target.has("ObjectLockConfiguration.Rule.DefaultRetention"):
        yield Report(
            target,
            f"It takes the access logs of {source.logical_id}, and a bucket with a default "
            "retention cannot: none is ever delivered.",
            "Send access logs to a bucket without Object Lock's default retention.",
        )
    yield from _elsewhere(source, target)
