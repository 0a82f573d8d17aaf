"""What AWS calls: `evertill.validation.handler.handle`, for a load balancer and a direct invoke.

It is separate because importing it starts the function: settings are read and parts put together
once for each execution environment, and what is wrong with them fails the deployment's first call.
"""

from __future__ import annotations

from typing import Any, Final, Protocol

from evertill.validation import balancer, direct
from evertill.validation.decisions import Engine
from evertill.validation.settings import read_settings


class Context(Protocol):
    """The part of Lambda's context that is used."""

    aws_request_id: str


_engine: Final = Engine(read_settings())


def handle(event: Any, context: Context) -> dict[str, Any]:  # noqa: ANN401 - any JSON may come
    """Answer one invocation."""
    _engine.logger.append_keys(function_request_id=context.aws_request_id)
    try:
        if balancer.is_balancer_event(event):
            return balancer.answer(_engine, event, context.aws_request_id)
        return direct.answer(_engine, event, context.aws_request_id)
    finally:
        _engine.metrics.flush_metrics()
