"""Turns down a share of a region's API calls, as AWS does with who asks too often.

It is separate because it is a fault: nothing else here counts calls. All services turn down in the
same words, which the SDKs know to try again.
https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html
"""

from __future__ import annotations

import random

from evertill.twin.api.errors import ApiError
from evertill.twin.api.messages import Request, Scope

# Of DynamoDB and of most others; S3 says SlowDown, which is another error with another status.
CODE = "ThrottlingException"
SLOW_DOWN = "SlowDown"
UNAVAILABLE = 503
BAD_REQUEST = 400


class Throttle:
    """A guard of one region's API: lets everything through until a share is set."""

    def __init__(self) -> None:
        """Begin with no call turned down."""
        self.share = 0.0

    async def __call__(self, request: Request, scope: Scope) -> None:
        """Turn the call down, or not; raise ApiError."""
        del request
        if random.random() >= self.share:  # noqa: S311 - nothing is kept secret by it
            return
        if scope.service == "s3":
            raise ApiError(SLOW_DOWN, "Please reduce your request rate.", UNAVAILABLE)
        raise ApiError(CODE, "Rate exceeded", BAD_REQUEST)
