"""AWS Lambda's API: functions are looked at and invoked; they come from the templates alone."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterable
from typing import Any, Final

from evertill.twin.api.errors import ApiError
from evertill.twin.parts.function import Function

NOT_FOUND: Final = 404
ACCEPTED: Final = 202
NO_CONTENT: Final = 204
# Events that nobody waits for; AWS queues thousands.
EVENTS_MAX: Final = 100
LATEST: Final = "$LATEST"
Answer = dict[str, Any]


class Lambda:
    """The functions of one region."""

    def __init__(self, functions: Iterable[Function]) -> None:
        """Answer for `functions`."""
        self._functions: Final = {item.spec.name: item for item in functions}
        self._events: Final[set[asyncio.Task[Any]]] = set()

    async def invoke(self, **parameters: Any) -> Answer:  # noqa: ANN401 - AWS's own
        """Invoke a function: and wait, or as an event, or only to see whether it could be."""
        function = self._function(parameters["FunctionName"])
        payload = parameters.get("Payload", b"") or b"{}"
        match parameters.get("InvocationType", "RequestResponse"):
            case "DryRun":
                return {"StatusCode": NO_CONTENT}
            case "Event":
                self._queue(function, payload)
                return {"StatusCode": ACCEPTED}
        result = await function.invoke(payload)
        answer: Answer = {
            "StatusCode": 200,
            "ExecutedVersion": LATEST,
            "Payload": result.payload,
        }
        if result.error:
            answer["FunctionError"] = result.error
        if parameters.get("LogType") == "Tail":
            answer["LogResult"] = base64.b64encode(result.log).decode()
        return answer

    async def list_functions(self, **_: Any) -> Answer:  # noqa: ANN401 - AWS's own
        """List the functions."""
        return {"Functions": [_configuration(item) for item in self._functions.values()]}

    async def get_function(self, **parameters: Any) -> Answer:  # noqa: ANN401 - AWS's own
        """Describe one function."""
        return {"Configuration": _configuration(self._function(parameters["FunctionName"]))}

    async def get_function_configuration(self, **parameters: Any) -> Answer:  # noqa: ANN401 - AWS's
        """Describe one function's configuration."""
        return _configuration(self._function(parameters["FunctionName"]))

    def _function(self, named: str) -> Function:
        """Return a function by its name, its ARN or a part of that; the version is the only one."""
        parts = named.split(":")
        name = parts[parts.index("function") + 1] if "function" in parts else parts[0]
        if name not in self._functions:
            message = f"Function not found: {named}"
            raise ApiError("ResourceNotFoundException", message, NOT_FOUND)
        return self._functions[name]

    def _queue(self, function: Function, payload: bytes) -> None:
        if len(self._events) >= EVENTS_MAX:
            raise ApiError("TooManyRequestsException", "Rate Exceeded.", 429)
        task = asyncio.create_task(function.invoke(payload))
        self._events.add(task)
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._events.discard(task)
        if not task.cancelled():
            # Nobody waits for it; that it failed is in the function's counts.
            task.exception()


def _configuration(function: Function) -> Answer:
    spec = function.spec
    return {
        "FunctionName": spec.name,
        "FunctionArn": spec.arn,
        "Runtime": spec.runtime,
        "Role": spec.role,
        "Handler": spec.handler,
        "Timeout": int(spec.timeout_s),
        "MemorySize": spec.memory_mb,
        "Version": LATEST,
        "State": "Active",
        "LastUpdateStatus": "Successful",
        "PackageType": "Zip",
        "LoggingConfig": {"LogGroup": spec.log_group},
    }
