"""A handler behind its service's protocol: an endpoint that answers from an object of ours.

It is separate because it is the only place where a request meets a handler: parameters are
checked by AWS's model before, and what the handler returns is checked by it afterwards, so that a
misspelt member is our failure at once and not a value that clients never see.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from functools import cache
from typing import Any, Final
from uuid import uuid4

import botocore.session
from botocore import xform_name
from botocore.model import OperationModel, ServiceModel
from botocore.validate import ParamValidator

from evertill.twin.api.errors import ApiError
from evertill.twin.api.messages import Answer, Request
from evertill.twin.api.protocols import PROTOCOLS, Protocol
from evertill.twin.errors import TwinError

log = logging.getLogger(__name__)

FORM: Final = "application/x-www-form-urlencoded"
Method = Callable[..., Coroutine[Any, Any, dict[str, Any]]]


class Handled:
    """Answers the requests of one service from `handler`."""

    def __init__(self, service: str, handler: object) -> None:
        """Speak for `service`, as boto3 names it: `cloudwatch`, `ecs`, `elbv2` ..."""
        self._service: Final = service
        self._handler: Final = handler
        self._protocols: dict[str, Protocol] = {}
        self._validator: Final = ParamValidator()

    async def __call__(self, request: Request) -> Answer:
        """Answer one request; whatever happens is answered in the service's protocol."""
        call = str(uuid4())
        protocol = await self._protocol(request)
        try:
            operation, parameters = protocol.parse(request)
            self._check(parameters, operation.input_shape)
            result = await self._method(operation)(**parameters)
            self._check_own(result, operation)
            return protocol.answer(operation, result, call)
        except ApiError as error:
            return protocol.refuse(error, call)
        except TwinError as error:
            return protocol.refuse(ApiError("InternalFailure", str(error), 500), call)
        except Exception:
            # The client is told as AWS would tell it; what broke is for our own log.
            log.exception("%s failed", self._service)
            return protocol.refuse(ApiError("InternalFailure", "The twin failed.", 500), call)

    async def _protocol(self, request: Request) -> Protocol:
        """Return the protocol that the request is written in, loading the model the first time."""
        is_form = request.header("content-type").startswith(FORM)
        name = "query" if is_form else ""
        if name not in self._protocols:
            # A model is megabytes of JSON: the twin goes on while one is read.
            model = await asyncio.to_thread(_model, self._service)
            named = name or model.resolved_protocol
            if named not in model.metadata.get("protocols", [model.protocol]):
                named = model.resolved_protocol
            self._protocols[name] = PROTOCOLS[named](model)
        return self._protocols[name]

    def _method(self, operation: OperationModel) -> Method:
        method: Method | None = getattr(self._handler, xform_name(operation.name), None)
        if method is None:
            message = f"The twin's {self._service} does not do {operation.name}."
            raise ApiError("NotImplemented", message, 501)
        return method

    def _check(self, parameters: dict[str, Any], shape: object) -> None:
        report = self._validator.validate(parameters, shape) if shape else None
        if report is not None and report.has_errors():
            raise ApiError("ValidationError", report.generate_report())

    def _check_own(self, result: dict[str, Any], operation: OperationModel) -> None:
        report = self._validator.validate(result, operation.output_shape) if result else None
        if report is not None and report.has_errors():
            log.error("%s answers wrongly: %s", operation.name, report.generate_report())
            raise ApiError("InternalFailure", "The twin's answer is not one of AWS's.", 500)


@cache
def _model(service: str) -> ServiceModel:
    """Return AWS's model of a service; all regions share it."""
    return botocore.session.get_session().get_service_model(service)
