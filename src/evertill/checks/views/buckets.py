"""Buckets, and which of them only take the access logs of others.

It is separate because a log of accesses is no book of record, and several rules must know.
"""

from __future__ import annotations

from evertill.assembly import Model, Resource

BUCKET = "AWS::S3::Bucket"
ENCRYPTION = "BucketEncryption.ServerSideEncryptionConfiguration.0.ServerSideEncryptionByDefault"
DISTRIBUTION = "AWS::CloudFront::Distribution"


def takes_logs(model: Model, bucket: Resource) -> bool:
    """Tell whether access logs are written here, by other buckets, by CloudFront or by its ACL."""
    if bucket.text("AccessControl") == "LogDeliveryWrite":
        return True
    destinations = [
        *(other.get("LoggingConfiguration.DestinationBucketName") for other in _logging(model)),
        *(
            other.get("DistributionConfig.Logging.Bucket")
            for other in model.resources_of(DISTRIBUTION)
        ),
    ]
    return any(model.find(destination, BUCKET) == bucket for destination in destinations)


def _logging(model: Model) -> list[Resource]:
    return [bucket for bucket in model.resources_of(BUCKET) if bucket.has("LoggingConfiguration")]
