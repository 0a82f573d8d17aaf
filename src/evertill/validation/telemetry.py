"""Logs and figures of the function: Powertools' JSON lines and metrics, scrubbed.

A line is JSON, so a newline in a caller's text cannot forge one. Every text in it is scrubbed, but
for the ids that AWS gives, which a redaction could only spoil. Tracebacks are not logged: their
texts hold whatever an exception was told.
"""

from __future__ import annotations

from typing import Any, Final

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter
from aws_lambda_powertools.metrics import MetricUnit

from evertill.domain.scrubbing import scrub

SERVICE: Final = "validation"
NAMESPACE: Final = "Evertill"
# No line needs more of any one text than this, whatever a caller has sent.
TEXT_LENGTH_MAX: Final = 512

_OURS: Final = frozenset({"timestamp", "function_request_id", "function_arn", "xray_trace_id"})


class ScrubbingFormatter(LambdaPowertoolsFormatter):
    """Powertools' format, with every text scrubbed and cut."""

    def serialize(self, log: dict[str, Any]) -> str:  # type: ignore[override]  # a TypedDict there
        """Return the line."""
        return super().serialize({k: v if k in _OURS else _clean(v) for k, v in log.items()})


def logger() -> Logger:
    """Return the function's logger."""
    return Logger(service=SERVICE, logger_formatter=ScrubbingFormatter(use_rfc3339=True))


def metrics() -> Metrics:
    """Return the function's metrics, which are flushed at the end of each invocation."""
    return Metrics(namespace=NAMESPACE, service=SERVICE)


def count(figures: Metrics, name: str) -> None:
    """Count one occurrence of `name`."""
    figures.add_metric(name=name, unit=MetricUnit.Count, value=1)


def report(to: Logger, message: str, failure: BaseException) -> None:
    """Log an error with its causes and without a traceback, whose texts nobody has looked at."""
    to.error(message, cause=_describe(failure))


def _describe(cause: BaseException | None) -> str:
    told = []
    while cause is not None:
        told.append(f"{type(cause).__name__}: {cause}")
        cause = cause.__cause__
    return " <- ".join(told)


def _clean(value: object) -> object:
    if isinstance(value, str):
        return scrub(value[:TEXT_LENGTH_MAX])
    if isinstance(value, dict):
        return {scrub(str(k)): _clean(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(item) for item in value]
    return value
