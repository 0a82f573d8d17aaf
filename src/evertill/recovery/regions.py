"""A region as recovery reaches it: AWS's APIs at an endpoint, with bounded patience, and reported.

The SDK's own retries are switched off, because they are silent: whoever waits for a recovery wants
to know that AWS throttles, and that a call was sent again. No call waits long for a region that may
be lost; each has a bound, and so has all of its retries together.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec

from evertill.recovery.errors import CallRefused, RegionSilent
from evertill.recovery.pace import moment

CONNECT_TIMEOUT_S: Final = 2.0
READ_TIMEOUT_S: Final = 10.0
# A question that needs no answer gets as little of our time as a region in trouble may cost.
IMPATIENT_TIMEOUT_S: Final = 4.0
ATTEMPTS_MAX: Final = 5
BACKOFF_MIN_S: Final = 0.2
BACKOFF_MAX_S: Final = 4.0
# A call that is answered later than this is reported: recovery feels it.
SLOW_AFTER_S: Final = 3.0
REPORTS_MAX: Final = 1_000
SERVER_ERROR: Final = 500
# What AWS says when the same call may succeed a moment later.
# https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html
TRANSIENT: Final = frozenset(
    {
        "InternalError",
        "InternalFailure",
        "InternalServerError",
        "InternalServiceError",
        "LimitExceededException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "RequestTimeout",
        "RequestTimeoutException",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
    }
)


class Report(msgspec.Struct, frozen=True):
    """A call that was slow, or had to be sent again."""

    at: str
    region: str
    call: str
    text: str


class Reports:
    """What calls had to be sent again or were slow, over a whole run."""

    def __init__(self, tell: Callable[[Report], None] = lambda _: None) -> None:
        """Keep them, and `tell` each as it comes."""
        self.made: Final[list[Report]] = []
        self._tell = tell

    def add(self, region: str, call: str, text: str) -> None:
        """Note one."""
        report = Report(moment(), region, call, text)
        if len(self.made) < REPORTS_MAX:
            self.made.append(report)
        self._tell(report)


class Region:
    """One region's APIs."""

    def __init__(
        self,
        name: str,
        endpoint: str = "",
        reports: Reports | None = None,
        *,
        is_impatient: bool = False,
    ) -> None:
        """Reach it at `endpoint`, or where AWS has it; nothing is called yet."""
        self.name: Final = name
        self.endpoint: Final = endpoint
        self.is_forgone = False
        self._reports: Final = reports or Reports()
        self._attempts_max: Final = 1 if is_impatient else ATTEMPTS_MAX
        self._timeout_s: Final = IMPATIENT_TIMEOUT_S if is_impatient else READ_TIMEOUT_S
        self._clients: dict[str, Any] = {}
        # The SDK's default session must not make clients in two threads at a time.
        self._lock: Final = threading.Lock()

    def impatient(self) -> Region:
        """Return the same region for questions that need no answer: each is asked once."""
        region = Region(self.name, self.endpoint, self._reports, is_impatient=True)
        region.is_forgone = self.is_forgone
        return region

    def forgo(self) -> None:
        """Call nothing of this region any more: whoever fails over from it must not need it."""
        self.is_forgone = True

    def call(self, service: str, operation: str, **parameters: Any) -> dict[str, Any]:  # noqa: ANN401 - AWS's parameters
        """Call an operation, again while that may help.

        Raise CallRefused, whose `aws_code` field tells why, or RegionSilent.
        """
        if self.is_forgone:
            raise RegionSilent(f"{self.name} is not asked: this is a failover from it.")
        for left in reversed(range(self._attempts_max)):
            began_s = time.monotonic()
            try:
                answer = self._once(service, operation, parameters)
            except (CallRefused, RegionSilent) as failure:
                if not left or not failure.fields.get("is_transient"):
                    raise
                self._reports.add(self.name, operation, f"sent again: {failure}")
            else:
                took_s = time.monotonic() - began_s
                if took_s > SLOW_AFTER_S:
                    self._reports.add(self.name, operation, f"slow: answered after {took_s:.1f} s")
                return answer
            _back_off(self._attempts_max - left)
        raise AssertionError

    def _once(self, service: str, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - see `_client`

        try:
            answer = getattr(self._client(service), operation)(**parameters)
        except ClientError as failure:
            error = failure.response.get("Error", {})
            status = failure.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            code = str(error.get("Code", ""))
            is_transient = code in TRANSIENT or status >= SERVER_ERROR
            message = f"{self.name} refused {operation}: {code}: {error.get('Message', '')}"
            raise CallRefused(message, aws_code=code, is_transient=is_transient) from None
        except BotoCoreError as failure:
            message = f"{self.name} does not answer {operation}: {type(failure).__name__}."
            raise RegionSilent(message, is_transient=True) from None
        found: dict[str, Any] = answer
        return found

    def _client(self, service: str) -> Any:  # noqa: ANN401 - the SDK has no types
        # Loading the SDK takes a third of a second, which `--help` need not.
        import boto3  # noqa: PLC0415 - see above
        from botocore.config import Config  # noqa: PLC0415 - see above

        with self._lock:
            if service not in self._clients:
                self._clients[service] = boto3.client(
                    service,
                    region_name=self.name,
                    endpoint_url=self.endpoint or None,
                    config=Config(
                        connect_timeout=CONNECT_TIMEOUT_S,
                        read_timeout=self._timeout_s,
                        retries={"total_max_attempts": 1},
                        max_pool_connections=16,
                    ),
                )
            return self._clients[service]


def _back_off(attempt: int) -> None:
    longest_s = min(BACKOFF_MAX_S, BACKOFF_MIN_S * 2**attempt)
    time.sleep(random.uniform(longest_s / 2, longest_s))  # noqa: S311 - spreads load, no secret
