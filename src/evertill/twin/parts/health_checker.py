"""Route 53's health checkers: three vantage points that probe an endpoint, and what they add up to.

It is separate from DNS, which only asks whether a check passes. Each vantage point probes by itself
and changes its mind after so many probes in a row; a vantage point stands in a region, and a link
from there that is cut is one that it cannot see through.
https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/dns-failover-determining-health-of-endpoints.html
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import httpx
import msgspec

from evertill.twin.addresses import local_port
from evertill.twin.clock import Clock
from evertill.twin.events import Timeline
from evertill.twin.links import Links
from evertill.twin.part import Metrics
from evertill.twin.plan.dns_specs import CheckSpec

NAMESPACE: Final = "AWS/Route53"
# AWS publishes them in this region alone, wherever an endpoint is.
# https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/monitoring-health-checks.html
METRICS_REGION: Final = "us-east-1"
# Where checkers stand when a check does not say; the first ones that a check names count else.
VANTAGE_POINTS: Final = ("eu-west-1", "us-west-1", "ap-southeast-1")
# "Route 53 must be able to establish a TCP connection with the endpoint within four seconds. In
# addition, the endpoint must respond with an HTTP status code of 2xx or 3xx within two seconds
# after connecting." A TCP check has ten seconds. They measure work and are not sped up.
CONNECT_TIMEOUT_S: Final = 4.0
RESPONSE_TIMEOUT_S: Final = 2.0
TCP_TIMEOUT_S: Final = 10.0
# "If more than 18% of health checkers report that an endpoint is healthy, Route 53 considers it
# healthy."
HEALTHY_SHARE: Final = 0.18
# A search looks at so much of the body.
SEARCHED_BYTES: Final = 5_120
HEALTHY_STATUS: Final = range(200, 400)
METRIC_INTERVAL_S: Final = 60.0
USER_AGENT: Final = "Amazon-Route53-Health-Check-Service"

# The addresses of a name, each with its place, a zone or a region, and their time to live, which
# checkers do not heed: they ask each time. There are none for a name that does not resolve.
Resolve = Callable[[str], Awaitable[tuple[Sequence[tuple[str, str]], int]]]
# Whether an alarm is in OK, ALARM or INSUFFICIENT_DATA, by region and name.
AlarmState = Callable[[str, str], str]


class Observation(msgspec.Struct, frozen=True):
    """What one vantage point saw last, for the API: AWS's sentence and when."""

    region: str
    is_healthy: bool
    text: str
    epoch_s: float


class VantagePoint:
    """One checker: it changes its mind after `threshold` probes in a row say otherwise."""

    def __init__(self, region: str, threshold: int) -> None:
        """Begin healthy, as Route 53 does until there is enough data."""
        self.region: Final = region
        self.is_healthy = True
        self.last: Observation | None = None
        self._threshold = threshold
        self._differing = 0

    def note(self, text: str, epoch_s: float, *, is_passed: bool) -> None:
        """Take in the outcome of a probe."""
        self.last = Observation(self.region, is_passed, text, epoch_s)
        self._differing = 0 if is_passed == self.is_healthy else self._differing + 1
        if self._differing >= self._threshold:
            self.is_healthy = is_passed
            self._differing = 0


class HealthChecker:
    """All health checks of the templates. It is a Part."""

    def __init__(
        self,
        specs: Sequence[CheckSpec],
        *,
        resolve: Resolve,
        alarm_state: AlarmState,
        clock: Clock,
        links: Links,
        timeline: Timeline,
        metrics: Metrics,
    ) -> None:
        """Check what `specs` name, resolving names as a client would."""
        self.specs: Final[Mapping[str, CheckSpec]] = {spec.id: spec for spec in specs}
        self._resolve = resolve
        self._alarm_state = alarm_state
        self._clock = clock
        self._links = links
        self._timeline = timeline
        self._metrics = metrics
        self._points = {
            spec.id: [
                VantagePoint(region, spec.threshold)
                for region in (spec.regions or VANTAGE_POINTS)[: len(VANTAGE_POINTS)]
            ]
            for spec in specs
            if spec.kind not in {"CALCULATED", "CLOUDWATCH_METRIC"}
        }
        self._known_alarms: dict[str, bool] = {}
        self._told: dict[str, bool] = {}
        self._running: list[asyncio.Task[None]] = []
        self._client: httpx.AsyncClient | None = None

    @property
    def name(self) -> str:
        """Return the part's name."""
        return "global/dns/health-checks"

    async def start(self) -> None:
        """Probe from now on."""
        self._client = httpx.AsyncClient(
            # "HTTPS health checks don't validate SSL/TLS certificates."
            verify=_unverified(),
            timeout=httpx.Timeout(RESPONSE_TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
            limits=httpx.Limits(max_keepalive_connections=0),
            headers={"User-Agent": USER_AGENT},
            trust_env=False,
        )
        for check, points in self._points.items():
            for number, point in enumerate(points):
                spec = self.specs[check]
                # The vantage points do not probe at the same moment.
                offset_s = spec.interval_s * number / len(points)
                self._running.append(asyncio.create_task(self._watch(spec, point, offset_s)))
        self._running.append(asyncio.create_task(self._publish()))

    async def stop(self) -> None:
        """Probe no more."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        self._running.clear()
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    def status(self) -> dict[str, Any]:
        """Return how each check is."""
        return {
            check: {"name": spec.name or spec.domain_name, "is_healthy": self.is_passing(check)}
            for check, spec in self.specs.items()
        }

    def is_passing(self, check: str) -> bool:
        """Tell whether a check, by id, counts as healthy; one that nobody knows does."""
        spec = self.specs.get(check)
        if spec is None:
            return True
        # "If you disable a health check, Route 53 considers the status to be always healthy";
        # inverted, always unhealthy.
        is_healthy = spec.is_disabled or self._is_healthy(spec)
        return is_healthy != spec.is_inverted

    def observations(self, check: str) -> list[Observation]:
        """Return what each vantage point saw last."""
        return [point.last for point in self._points.get(check, ()) if point.last is not None]

    def vantage(self, check: str) -> list[bool]:
        """Return whether each vantage point finds an endpoint healthy, none for other checks."""
        return [point.is_healthy for point in self._points.get(check, ())]

    def _is_healthy(self, spec: CheckSpec) -> bool:
        if spec.kind == "CALCULATED":
            passing = sum(self.is_passing(child) for child in spec.children)
            return passing >= spec.healthy_children_min
        if spec.kind == "CLOUDWATCH_METRIC":
            return self._follows_alarm(spec)
        points = self._points[spec.id]
        return sum(point.is_healthy for point in points) > HEALTHY_SHARE * len(points)

    def _follows_alarm(self, spec: CheckSpec) -> bool:
        state = self._alarm_state(*spec.alarm)
        if state == "INSUFFICIENT_DATA":
            if spec.insufficient_data == "LastKnownStatus":
                return self._known_alarms.get(spec.id, True)
            return spec.insufficient_data == "Healthy"
        self._known_alarms[spec.id] = state == "OK"
        return state == "OK"

    async def _watch(self, spec: CheckSpec, point: VantagePoint, offset_s: float) -> None:
        await self._clock.sleep(offset_s)
        due_s = self._clock.now_s()
        while True:
            is_passed, text = await self._probe(spec, point.region)
            point.note(text, self._clock.epoch_s(), is_passed=is_passed)
            self._tell(spec)
            # Probes begin at even intervals, however long the one before took.
            due_s = max(due_s + spec.interval_s, self._clock.now_s())
            await self._clock.sleep(due_s - self._clock.now_s())

    async def _probe(self, spec: CheckSpec, region: str) -> tuple[bool, str]:
        """Return whether the endpoint is well, and AWS's sentence about it."""
        host, place = spec.address, ""
        if not host:
            found, _ = await self._resolve(spec.domain_name)
            if not found:
                return False, f"Failure: DNS resolution failed: {spec.domain_name}"
            host, place = found[0]
        ways = self._links.way(region, place), self._links.way(place, region)
        if any(way.is_cut for way in ways):
            return False, "Failure: connection timed out"
        if spec.kind == "TCP":
            return await _probe_tcp(host, local_port(spec.port))
        return await self._probe_http(spec, host)

    async def _probe_http(self, spec: CheckSpec, host: str) -> tuple[bool, str]:
        scheme = "https" if spec.kind.startswith("HTTPS") else "http"
        name = spec.domain_name or host
        if self._client is None:
            return False, "Failure: stopped"
        try:
            request = self._client.build_request(
                "GET",
                f"{scheme}://{host}:{local_port(spec.port)}{spec.path}",
                headers={"Host": name, "Connection": "close"},
                extensions={"sni_hostname": name} if spec.sends_server_name else {},
            )
            async with asyncio.timeout(CONNECT_TIMEOUT_S + RESPONSE_TIMEOUT_S):
                response = await self._client.send(request, stream=True)
                try:
                    body = await _first(response) if spec.search else b""
                finally:
                    await response.aclose()
        except (httpx.HTTPError, httpx.InvalidURL, OSError, TimeoutError) as failure:
            return False, f"Failure: {type(failure).__name__}"
        is_passed = response.status_code in HEALTHY_STATUS and spec.search.encode() in body
        verdict = "Success" if is_passed else "Failure"
        return is_passed, f"{verdict}: HTTP Status Code {response.status_code}"

    async def _publish(self) -> None:
        while True:
            await self._clock.sleep(METRIC_INTERVAL_S)
            for check in self.specs:
                self._put("HealthCheckStatus", float(self.is_passing(check)), "None", check)
            for check, points in self._points.items():
                share = 100 * sum(point.is_healthy for point in points) / len(points)
                self._put("HealthCheckPercentageHealthy", share, "Percent", check)

    def _put(self, name: str, value: float, unit: str, check: str) -> None:
        self._metrics.put(METRICS_REGION, NAMESPACE, name, value, unit, HealthCheckId=check)

    def _tell(self, spec: CheckSpec) -> None:
        is_passing = self.is_passing(spec.id)
        if self._told.get(spec.id, True) != is_passing:
            word = "healthy" if is_passing else "unhealthy"
            text = f"The health check of {spec.name or spec.domain_name} is {word}"
            self._timeline.tell("", self.name, f"health_check.{word}", text, check=spec.id)
        self._told[spec.id] = is_passing


async def _probe_tcp(host: str, port: int) -> tuple[bool, str]:
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(TCP_TIMEOUT_S):
            _, writer = await asyncio.open_connection(host, port)
            writer.close()
            return True, "Success: TCP connection established"
    return False, "Failure: TCP connection failed"


async def _first(response: httpx.Response) -> bytes:
    body = b""
    async for block in response.aiter_bytes():
        body += block
        if len(body) >= SEARCHED_BYTES:
            break
    return body[:SEARCHED_BYTES]


def _unverified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
