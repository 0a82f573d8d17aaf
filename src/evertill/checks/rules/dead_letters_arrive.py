"""A function's dead-letter queue belongs to one that is invoked asynchronously."""

from __future__ import annotations

from collections.abc import Iterator

from evertill.assembly import Model
from evertill.assembly.model import as_text
from evertill.checks.findings import Report
from evertill.checks.views.containers import FUNCTION, names_of

PERMISSION = "AWS::Lambda::Permission"
# Callers that wait for the answer: their errors go to the caller and to no queue.
# https://docs.aws.amazon.com/lambda/latest/dg/lambda-services.html
WAITING = {"elasticloadbalancing.amazonaws.com", "apigateway.amazonaws.com"}


def check(model: Model) -> Iterator[Report]:
    """Look for queues on functions that only callers who wait may invoke."""
    for function in model.resources_of(FUNCTION):
        permissions = [
            permission
            for known in names_of(model, function)
            for permission in model.referrers(known, PERMISSION)
        ]
        callers = {as_text(permission.get("Principal")) for permission in permissions}
        has_queue = function.has("DeadLetterConfig.TargetArn")
        if has_queue and callers and callers <= WAITING:
            yield Report(
                function,
                f"Only {' and '.join(sorted(map(str, callers)))} may invoke it, and waits for the "
                "answer: no failure ever reaches its dead-letter queue.",
                "Watch the caller's error metrics, and drop the queue.",
            )
