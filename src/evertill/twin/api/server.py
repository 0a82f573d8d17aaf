"""The AWS API of one region: one address that boto3 and the `aws` command are pointed at.

Which service a request is for is told by what it was signed for, as AWS's own edge could not tell
otherwise on one address. It is separate from what answers (handlers and relays) so that the region
can be taken away as a whole: a stopped server is what clients see of a lost region.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from xml.sax.saxutils import escape

import msgspec

from evertill.twin.api.errors import ApiError
from evertill.twin.api.http import HttpServer
from evertill.twin.api.messages import Answer, Endpoint, Request, Scope
from evertill.twin.errors import PartFailed

FORBIDDEN: Final = 403
NOT_IMPLEMENTED: Final = 501

# Says whether a request may be made; raises ApiError when it may not.
Guard = Callable[[Request, Scope], Awaitable[None]]


class ApiServer:
    """Answers at `address` and `port` by the endpoints of the services, named as they are signed.

    `guard`, where one is given, is asked before each request that is signed.
    """

    def __init__(
        self,
        region: str,
        address: tuple[str, int],
        endpoints: Mapping[str, Endpoint],
        guard: Guard | None = None,
    ) -> None:
        """Prepare to answer; a signing name is such as `monitoring`, `elasticloadbalancing`."""
        self._region: Final = region
        self.address: Final = address
        self._endpoints: Final = dict(endpoints)
        self._guard: Final = guard
        self._http: Final = HttpServer(address, self.answer)
        self._answered = 0

    @property
    def name(self) -> str:
        """Return the part's name."""
        return f"{self._region}/api/aws"

    @property
    def url(self) -> str:
        """Return what `AWS_ENDPOINT_URL` is set to."""
        return f"http://{self.address[0]}:{self.address[1]}"

    async def start(self) -> None:
        """Listen; connections are taken from then on."""
        try:
            self._http.start()
        except OSError as error:
            message = f"{self.name} cannot listen at {self.url}: {error.strerror}."
            raise PartFailed(message) from error

    async def stop(self) -> None:
        """Answer what is in hand and stop listening."""
        await self._http.stop()

    def status(self) -> dict[str, Any]:
        """Return where it listens and how much it answered."""
        return {
            "url": self.url,
            "running": self._http.is_running,
            "services": sorted(self._endpoints),
            "answered": self._answered,
        }

    async def answer(self, request: Request) -> Answer:
        """Answer one request, as it came over HTTP."""
        self._answered += 1
        scope = request.scope()
        if scope is None:
            error = ApiError("MissingAuthenticationToken", "The request is not signed.", FORBIDDEN)
            return refusal(request, "", error)
        endpoint = self._endpoints.get(scope.service)
        if endpoint is None:
            message = f"The twin has no {scope.service} in {self._region}."
            error = ApiError("NotImplemented", message, NOT_IMPLEMENTED)
            return refusal(request, scope.service, error)
        try:
            if self._guard is not None:
                await self._guard(request, scope)
            return await endpoint(request)
        except ApiError as error:
            return refusal(request, scope.service, error)


def refusal(request: Request, service: str, error: ApiError) -> Answer:
    """Return an error as a client reads it that was refused before its protocol was looked at."""
    code, text = escape(error.aws_code), escape(error.message)
    kind = "text/xml"
    if service == "s3":
        document = f"<Error><Code>{code}</Code><Message>{text}</Message></Error>"
    elif request.form() or service == "route53":
        inner = f"<Error><Code>{code}</Code><Message>{text}</Message></Error>"
        document = f"<ErrorResponse>{inner}</ErrorResponse>"
    else:
        kind = "application/json"
        document = msgspec.json.encode(
            {"__type": error.aws_code, "message": error.message}
        ).decode()
    headers = (("content-type", kind), ("x-amzn-errortype", error.aws_code))
    return Answer(status=error.status, headers=headers, body=document.encode())
