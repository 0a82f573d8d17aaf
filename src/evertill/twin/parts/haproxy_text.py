"""The configuration of one node of a load balancer, as HAProxy reads it.

It is separate because it is pure: a specification in, a text out, and a test can read both. Targets
are not in it. They come and go through the socket, so that nothing is ever reloaded (ADR 0044).

Every timer is the template's, in twin time. What HAProxy does otherwise than an Application Load
Balancer is put right here: a request is tried once; a target that refuses a connection is a 502 and
one that does not take it in time a 504, where HAProxy says 503 for both; when no target is healthy,
all of them get requests; only a group without targets is a 503.
https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-troubleshooting.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

from evertill.twin.addresses import local_port
from evertill.twin.clock import Clock
from evertill.twin.parts.haproxy_admin import SOCKET
from evertill.twin.parts.haproxy_limits import counters, limit_lines, tables
from evertill.twin.parts.haproxy_rules import REASONS, SERVER_HEADER, page, quoted, rule_lines
from evertill.twin.plan.balancer_specs import BalancerSpec, ListenerSpec, TargetGroupSpec

# https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-troubleshooting.html#http-504-issues
CONNECT_TIMEOUT_S: Final = 10.0
# HAProxy counts its timers in whole milliseconds, and nothing may be faster than this.
TIMER_MIN_MS: Final = 10
CONNECTIONS_MAX: Final = 4_000
# A load balancer takes 64 KiB of headers, HAProxy what fits in one buffer.
BUFFER_BYTES: Final = 65_536
LOG_BYTES: Final = 1_048_576
LOG_LINE_BYTES: Final = 1_024
# The share of the connection's time-out after which a failure to connect was one.
NEARLY: Final = 0.9
# What the log tells of each request: listener's port, group, target, status, whether the target
# answered, and in milliseconds how long it took to.
LOG_FORMAT: Final = "%fp %b %s %ST %[var(txn.answered)] %Tr %tsc"
ERRORS: Final = (400, 408, 500, 502, 504)
# What a policy's name tells of the oldest protocol; 1.0 and 1.1, which old ones allow, are not.
TLS_ONLY_13: Final = "ELBSecurityPolicy-TLS13-1-3-"


class NodeText(msgspec.Struct, frozen=True, kw_only=True):
    """What a node adds to the specification: where it is and what is around it.

    `certificates` are files in its folder by listener's port, `bridges` the addresses that stand
    for functions by group, and `log_address` is where its log is read.
    """

    address: str
    certificates: Mapping[int, tuple[str, ...]]
    bridges: Mapping[str, str]
    log_address: str


def checked(name: str) -> str:
    """Return the backend of a group in which only healthy targets get requests."""
    return f"{name}"


def unchecked(name: str) -> str:
    """Return the backend of a group in which every target gets requests."""
    return f"{name}.all"


def configuration(
    spec: BalancerSpec,
    groups: Mapping[str, TargetGroupSpec],
    node: NodeText,
    clock: Clock,
    folder: Path,
) -> str:
    """Return the configuration; the files that it names are written into `folder`."""
    sections = [
        ("global", _global(spec)),
        ("ring requests", _ring(node)),
        ("defaults", _defaults(spec, clock, folder)),
    ]
    for listener in spec.listeners:
        if listener.refusal is None:
            lines = _frontend(spec, listener, groups, node, folder)
            sections.append((f"frontend {listener.port}", lines))
    for arn in spec.groups():
        group = groups[arn]
        if group.kind == "lambda":
            sections.append((f"backend {checked(group.name)}", _bridge(group, node)))
        else:
            lines = _targets(group, node, clock)
            sections.append((f"backend {checked(group.name)}", lines))
        sections.append((f"backend {unchecked(group.name)}", _all_targets(group, node, clock)))
    sections.append(("backend .nobody", _nobody()))
    sections += tables(spec.limits, clock)
    return "\n".join(
        f"{head}\n" + "".join(f"  {line}\n" for line in lines) for head, lines in sections
    )


def timer_ms(clock: Clock, twin_s: float) -> int:
    """Return a timer as HAProxy takes it."""
    return max(TIMER_MIN_MS, round(clock.real_s(twin_s) * 1_000))


def _global(spec: BalancerSpec) -> Iterator[str]:
    yield f"stats socket unix@{SOCKET} mode 600 level admin"
    yield "nbthread 1"
    yield f"maxconn {CONNECTIONS_MAX}"
    yield f"tune.bufsize {BUFFER_BYTES}"
    # Checks of many targets that were registered at once need not come at once.
    yield "spread-checks 5"
    yield "no insecure-fork-wanted"
    yield from counters(spec.limits)


def _ring(node: NodeText) -> Iterator[str]:
    yield "format raw"
    yield f"maxlen {LOG_LINE_BYTES}"
    yield f"size {LOG_BYTES}"
    yield "timeout connect 5s"
    yield "timeout server 1h"
    yield f"server reader {node.log_address}"


def _defaults(spec: BalancerSpec, clock: Clock, folder: Path) -> Iterator[str]:
    yield "mode http"
    yield "log ring@requests format raw local0"
    yield f'log-format "{LOG_FORMAT}"'
    yield "option dontlognull"
    # A target's connection is used once. HAProxy would otherwise hang up on the client when a
    # target closes one that it had kept; a load balancer answers 502, and its metrics count that.
    yield "option http-server-close"
    yield "retries 0"
    idle_ms = timer_ms(clock, spec.idle_timeout_s)
    for timer in ("client", "server", "http-request", "http-keep-alive", "tunnel", "queue"):
        yield f"timeout {timer} {idle_ms}"
    yield f"timeout connect {timer_ms(clock, CONNECT_TIMEOUT_S)}"
    for status in ERRORS:
        file = folder / f"error-{status}"
        file.write_text(page(status))
        yield f"http-error status {status} content-type text/html {SERVER_HEADER} file {file.name}"


def _frontend(
    spec: BalancerSpec,
    listener: ListenerSpec,
    groups: Mapping[str, TargetGroupSpec],
    node: NodeText,
    folder: Path,
) -> Iterator[str]:
    yield _bind(spec, listener, node)
    yield "http-request set-var(txn.began) date(0,ms)"
    # https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-troubleshooting.html#http-405-issues
    file = folder / "error-405"
    file.write_text(page(405))
    refused = f"status 405 content-type text/html file {file.name} {SERVER_HEADER}"
    yield f"http-request return {refused} if {{ method TRACE }}"
    yield from limit_lines(spec.limits, folder)
    yield from _request_headers(spec, listener)
    yield from rule_lines(listener, folder, lambda arn: checked(groups[arn].name))
    yield "use_backend %[var(txn.group)] if { var(txn.group),nbsrv gt 0 }"
    every = f"var(txn.group),concat({unchecked('')})"
    # "If a target group contains only unhealthy registered targets, the load balancer routes
    # requests to all those targets, regardless of their health status."
    # https://docs.aws.amazon.com/elasticloadbalancing/latest/application/target-group-health-checks.html
    yield f"use_backend %[{every}] if {{ {every},nbsrv gt 0 }}"
    yield "default_backend .nobody"


def _bind(spec: BalancerSpec, listener: ListenerSpec, node: NodeText) -> str:
    line = f"bind {node.address}:{local_port(listener.port)}"
    if listener.protocol == "HTTP":
        return line
    files = " ".join(f"crt {file}" for file in node.certificates[listener.port])
    protocols = "h2,http/1.1" if spec.speaks_http2 else "http/1.1"
    oldest = "TLSv1.3" if listener.policy.startswith(TLS_ONLY_13) else "TLSv1.2"
    return f"{line} ssl {files} alpn {protocols} ssl-min-ver {oldest}"


def _request_headers(spec: BalancerSpec, listener: ListenerSpec) -> Iterator[str]:
    """Give the headers that a target sees.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/x-forwarded-headers.html
    """
    if spec.drops_invalid_headers:
        yield "http-request del-header [^-A-Za-z0-9] -m reg"
    if spec.forwarded_for == "append":
        known = "{ req.fhdr(x-forwarded-for) -m found }"
        header = 'X-Forwarded-For "%[req.fhdr(x-forwarded-for)], %[src]"'
        yield f"http-request set-header {header} if {known}"
        yield f"http-request set-header X-Forwarded-For %[src] unless {known}"
    elif spec.forwarded_for == "remove":
        yield "http-request del-header X-Forwarded-For"
    yield f"http-request set-header X-Forwarded-Proto {listener.protocol.lower()}"
    yield f"http-request set-header X-Forwarded-Port {listener.port}"
    trace = "Root=1-%{+X}Ts-%[uuid(4),regsub(-,,g),bytes(0,24)]"
    known = "{ req.fhdr(x-amzn-trace-id) -m found }"
    yield f"http-request set-header X-Amzn-Trace-Id {trace} unless {known}"


def _targets(group: TargetGroupSpec, node: NodeText, clock: Clock) -> Iterator[str]:
    yield from _backend(group, node, clock)
    check = group.check
    if not check.is_enabled:
        return
    yield "option httpchk"
    yield f"timeout check {timer_ms(clock, check.timeout_s)}"
    yield (
        f"http-check send meth GET uri {quoted(check.path)} ver HTTP/1.1"
        " hdr Host %[srv_name] hdr User-Agent ELB-HealthChecker/2.0"
    )
    yield f"http-check expect status {check.matcher}"


def _all_targets(group: TargetGroupSpec, node: NodeText, clock: Clock) -> Iterator[str]:
    if group.kind == "ip":
        yield from _backend(group, node, clock)


def _backend(group: TargetGroupSpec, node: NodeText, clock: Clock) -> Iterator[str]:
    balance = {
        "round_robin": "roundrobin",
        "least_outstanding_requests": "leastconn",
        "weighted_random": "random(1)",
    }
    yield f"balance {balance[group.algorithm]}"
    yield f"source {node.address}"
    yield "http-response set-var(txn.answered) int(1)"
    yield from _connect_failures(clock)


def _connect_failures(clock: Clock) -> Iterator[str]:
    """Give what turns HAProxy's one 503 into the load balancer's 502 or 504."""
    connect_ms = max(1, round(timer_ms(clock, CONNECT_TIMEOUT_S) * NEARLY))
    timed_out = f"date(0,ms),sub(txn.began),div({connect_ms})"
    titles = [f"{status} {REASONS[status]}" for status in (504, 502)]
    title = f"%[{timed_out},iif({','.join(titles)})]"
    text = page(503).replace(f"503 {REASONS[503]}", title).replace("\r\n", "\\r\\n")
    yield f'http-error status 503 content-type text/html {SERVER_HEADER} lf-string "{text}"'
    made_up = "{ status 503 } !{ var(txn.answered) -m found }"
    yield f"http-after-response set-var(txn.made_up) int(1) if {made_up}"
    late = f"{{ {timed_out} gt 0 }}"
    yield f"http-after-response set-status 504 if {{ var(txn.made_up) -m found }} {late}"
    yield f"http-after-response set-status 502 if {{ var(txn.made_up) -m found }} !{late}"


def _bridge(group: TargetGroupSpec, node: NodeText) -> Iterator[str]:
    # The bridge marks what is the load balancer's own answer and not the function's.
    own = "{ res.hdr(x-evertill-bridge) -m found }"
    yield f"http-response set-var(txn.answered) int(1) unless {own}"
    yield "http-response del-header x-evertill-bridge"
    yield "http-response set-header Server awselb/2.0"
    yield f"server function {node.bridges[group.arn]}"


def _nobody() -> Iterator[str]:
    yield (
        f"http-request return status 503 content-type text/html {SERVER_HEADER}"
        f' string "{page(503)}"'.replace("\r\n", "\\r\\n")
    )
