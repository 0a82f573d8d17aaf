"""The HTTP client: takes payments, one or many, and sends again what had no certain outcome.

It is separate from the commands so that programs can use it too. Every request carries idempotency
keys that the caller chose, and every retry carries the same ones: whatever fails in between, no
payment is taken twice.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Sequence
from typing import Final, Self, TypeVar
from urllib.parse import urlsplit

import httpx
import msgspec

from evertill.client.faults import Refused, ServiceUnknown
from evertill.client.retries import (
    INTERACTIVE,
    UNDONE_STATUSES,
    Patience,
    Tries,
    is_retryable,
    retry_after_s,
)
from evertill.client.wire import (
    CREATED,
    BatchResult,
    BatchResults,
    NewPayment,
    Payment,
    Problem,
    ResultBody,
)
from evertill.domain.idempotency import check_key

CONNECT_TIMEOUT_S: Final = 5.0
WRITE_TIMEOUT_S: Final = 10.0
# Longer than the service's own deadline, so that its answer and not our impatience decides.
READ_TIMEOUT_S: Final = 30.0
POOL_TIMEOUT_S: Final = 60.0
CONNECTIONS_MAX: Final = 16

OK: Final = 200
UNAUTHORIZED: Final = 401
# A call refused with one of these may be refused because of a single payment in it.
DIVISIBLE_STATUSES: Final = frozenset({400, 413, 422})
LOOPBACK_HOSTS: Final = frozenset({"localhost", "127.0.0.1", "::1"})

_T = TypeVar("_T")

_decode_payment: Final = msgspec.json.Decoder(Payment).decode
_decode_problem: Final = msgspec.json.Decoder(Problem).decode
_decode_results: Final = msgspec.json.Decoder(BatchResults).decode


class Taken(msgspec.Struct, frozen=True):
    """A payment that the service holds; `replayed` when its key had been answered before."""

    payment: Payment
    replayed: bool


class Client:
    """A connection to one service as one merchant; safe to share between threads."""

    def __init__(
        self,
        url: str,
        key: str,
        *,
        patience: Patience = INTERACTIVE,
        stop: threading.Event | None = None,
        authorities: str = "",
    ) -> None:
        """Talk to the service at `url` with the API key `key`; setting `stop` ends all retries.

        `authorities` is a file of certificates to trust instead of the public ones.

        Raise ServiceUnknown when `url` is no http address or `key` cannot be a header's value.
        """
        self.url = _check_url(url)
        self._patience = patience
        self._stop = stop or threading.Event()
        self._reached = False
        self._http = httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {_check_bearer(key)}"},
            timeout=httpx.Timeout(
                READ_TIMEOUT_S,
                connect=CONNECT_TIMEOUT_S,
                write=WRITE_TIMEOUT_S,
                pool=POOL_TIMEOUT_S,
            ),
            limits=httpx.Limits(max_connections=CONNECTIONS_MAX),
            verify=ssl.create_default_context(cafile=authorities) if authorities else True,
            # A proxy that the environment names cannot reach our own loopback address.
            trust_env=urlsplit(self.url).hostname not in LOOPBACK_HOSTS,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def create_payment(self, payment: NewPayment, idempotency_key: str) -> Taken:
        """Take one payment, or learn what became of it.

        Raise Refused when the service refuses for good, OutcomeUnknown when it gave no certain
        answer in time, ServiceUnreachable when nothing answers at all.
        """
        body = msgspec.json.encode(payment)
        headers = {"Idempotency-Key": check_key(idempotency_key)}
        response = self._post("/v1/payments", body, headers, self._tries())
        if response.status_code != CREATED:
            raise _refusal(response)
        replayed = response.headers.get("Idempotent-Replayed") == "true"
        return Taken(self._read(_decode_payment, response), replayed)

    def send_batch(self, items: Sequence[bytes]) -> list[BatchResult]:
        """Take up to 1000 payments, each given as the JSON of a BatchItem; all results are final.

        A call that is refused as a whole is halved until whatever is refused stands alone, so that
        one bad payment never costs its neighbours. Raises what `create_payment` raises.
        """
        results: list[BatchResult | None] = [None] * len(items)
        open_indices = list(range(len(items)))
        tries = self._tries()
        while open_indices:
            answers = self._send_divided([items[index] for index in open_indices], tries)
            for index, answer in zip(open_indices, answers, strict=True):
                results[index] = answer
            unsettled = [a for a in answers if is_retryable(a.status, a.body.code)]
            if unsettled:
                _pause_after(unsettled, tries)
            open_indices = [
                index
                for index, answer in zip(open_indices, answers, strict=True)
                if is_retryable(answer.status, answer.body.code)
            ]
        return [result for result in results if result is not None]

    def _send_divided(self, items: list[bytes], tries: Tries) -> list[BatchResult]:
        body = b'{"payments":[' + b",".join(items) + b"]}"
        response = self._post("/v1/payments/batch", body, {}, tries)
        if response.status_code == OK:
            results = self._read(_decode_results, response).results
            if len(results) != len(items):
                raise _foreign(self.url)
            return results
        if response.status_code not in DIVISIBLE_STATUSES:
            raise _refusal(response)
        if len(items) == 1:
            return [_refused_alone(response)]
        middle = len(items) // 2
        return self._send_divided(items[:middle], tries) + self._send_divided(items[middle:], tries)

    def _post(
        self, path: str, body: bytes, headers: dict[str, str], tries: Tries
    ) -> httpx.Response:
        headers = {"Content-Type": "application/json", **headers}
        while True:
            try:
                response = self._http.post(path, content=body, headers=headers)
            except httpx.TransportError as error:
                tries.after_no_answer(error, reached=self._reached)
                continue
            self._reached = True
            problem = _problem(response)
            if not is_retryable(response.status_code, problem.code):
                return response
            tries.after_answer(response.status_code, problem, retry_after_s(response))

    def _tries(self) -> Tries:
        return Tries(self.url, self._patience, self._stop)

    def _read(self, decode: Callable[[bytes], _T], response: httpx.Response) -> _T:
        try:
            return decode(response.content)
        except msgspec.MsgspecError as error:
            raise _foreign(self.url) from error


def _pause_after(unsettled: list[BatchResult], tries: Tries) -> None:
    """Pause before the unsettled payments of a batch go out again.

    One result that leaves its outcome open decides how giving up would be reported.
    """
    worst = min(unsettled, key=lambda result: result.status in UNDONE_STATUSES)
    problem = Problem(status=worst.status, code=worst.body.code, detail=worst.body.detail)
    tries.after_answer(worst.status, problem)


def _refused_alone(response: httpx.Response) -> BatchResult:
    problem = _problem(response)
    body = ResultBody(code=problem.code, detail=problem.detail, field=problem.field)
    return BatchResult(status=response.status_code, replayed=False, body=body)


def _problem(response: httpx.Response) -> Problem:
    """Read a problem from an answer; a load balancer's own pages have none inside."""
    status = response.status_code
    if not response.is_success:
        try:
            problem = _decode_problem(response.content)
        except msgspec.MsgspecError:
            problem = Problem()
        if problem.code:
            return problem
    return Problem(status=status, code=f"http_{status}", detail=f"The service answered {status}.")


def _refusal(response: httpx.Response) -> Refused:
    problem = _problem(response)
    if not problem.detail or problem.code == f"http_{response.status_code}":
        return _foreign(str(response.url))
    message = problem.detail
    if response.status_code == UNAUTHORIZED:
        message = "The service does not know this API key. Give another with --key."
    return Refused(message, status=response.status_code, problem_code=problem.code)


def _foreign(url: str) -> Refused:
    message = f"What answers at {url} is no Evertill service. Check the address given with --url."
    return Refused(message, problem_code="foreign_answer")


def _check_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        is_usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        httpx.URL(url)
    except (ValueError, httpx.InvalidURL):
        is_usable = False
    if not is_usable:
        message = f"'{url}' is not an address such as http://127.0.0.1:8080. Check --url."
        raise ServiceUnknown(message)
    return url.rstrip("/")


def _check_bearer(key: str) -> str:
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise ServiceUnknown("The API key has characters that no key has. Check --key.")
    return key
