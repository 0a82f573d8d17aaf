"""What is known of a load balancer before it runs: listeners, rules, target groups, health checks.

It is separate from the planner that reads templates, so that a part can be made in a test without
any, and so that the words for a rule are in one place for who writes, runs and describes it.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from evertill.assembly import Value
from evertill.twin.plan.firewalls import RateLimit

# https://docs.aws.amazon.com/elasticloadbalancing/latest/application/target-group-health-checks.html
CHECK_INTERVAL_S: Final = 30.0
CHECK_TIMEOUT_S: Final = 5.0
HEALTHY_COUNT: Final = 5
UNHEALTHY_COUNT: Final = 2
# https://docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-target-group-attributes.html
DEREGISTRATION_DELAY_S: Final = 300.0
# https://docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-load-balancer-attributes.html
IDLE_TIMEOUT_S: Final = 60.0
REDIRECTS: Final = (301, 302)

Codes = tuple[tuple[int, int], ...]
ConditionKind = Literal["path", "host", "header", "method", "query", "source"]


class HealthCheck(msgspec.Struct, frozen=True, kw_only=True):
    """How targets are checked; `port` is None for the port that takes the traffic."""

    is_enabled: bool = True
    protocol: Literal["HTTP", "HTTPS"] = "HTTP"
    path: str = "/"
    port: int | None = None
    interval_s: float = CHECK_INTERVAL_S
    timeout_s: float = CHECK_TIMEOUT_S
    healthy_count: int = HEALTHY_COUNT
    unhealthy_count: int = UNHEALTHY_COUNT
    codes: Codes = ((200, 200),)

    @property
    def matcher(self) -> str:
        """Return the codes as AWS writes them: `200,204-299`."""
        return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in self.codes)


class TargetGroupSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A target group; `function` is what a group of type `lambda` calls."""

    region: str
    name: str
    arn: str
    full_name: str
    kind: Literal["ip", "lambda"] = "ip"
    protocol: Literal["HTTP", "HTTPS"] = "HTTP"
    port: int = 0
    check: HealthCheck = HealthCheck()
    algorithm: Literal["round_robin", "least_outstanding_requests", "weighted_random"] = (
        "round_robin"
    )
    deregistration_delay_s: float = DEREGISTRATION_DELAY_S
    slow_start_s: float = 0.0
    function: Value = None
    has_multi_value_headers: bool = False
    # What Route 53 and routing ask for: how many healthy targets a zone needs.
    healthy_min: int = 1
    # Whether a node sends requests to targets of other zones than its own.
    crosses_zones: bool = True


class Condition(msgspec.Struct, frozen=True):
    """One condition of a rule: any of `values` will do; a query's are `key=value` or `value`."""

    kind: ConditionKind
    values: tuple[str, ...]
    header: str = ""


class Forward(msgspec.Struct, frozen=True, tag=True):
    """Send the request to one of the groups, by their weights; groups are named by their ARNs."""

    groups: tuple[tuple[str, int], ...]


class Redirect(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """Answer with another address; `#{host}` and its like stand for what was asked for."""

    status: int
    protocol: str = "#{protocol}"
    host: str = "#{host}"
    port: str = "#{port}"
    path: str = "/#{path}"
    query: str = "#{query}"


class FixedResponse(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """Answer with this."""

    status: int
    content_type: str = ""
    body: str = ""


Action = Forward | Redirect | FixedResponse


class Rule(msgspec.Struct, frozen=True):
    """A rule of a listener: all conditions must hold. The default has none and the last place."""

    arn: str
    priority: int
    conditions: tuple[Condition, ...]
    action: Action


class ListenerSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A listener. `certificates` are the names of each one, the default first.

    `refusal` is the rule that the security groups lack, when they let nobody in.
    """

    arn: str
    port: int
    protocol: Literal["HTTP", "HTTPS"]
    default: Action
    rules: tuple[Rule, ...] = ()
    certificates: tuple[tuple[str, ...], ...] = ()
    policy: str = ""
    refusal: str | None = None

    def actions(self) -> tuple[Action, ...]:
        """Return every action that a request may lead to."""
        return (*(rule.action for rule in self.rules), self.default)


class BalancerSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A load balancer: one node for each of `zones`."""

    region: str
    name: str
    arn: str
    full_name: str
    dns_name: str
    hosted_zone_id: str
    zones: tuple[str, ...]
    listeners: tuple[ListenerSpec, ...]
    is_internal: bool = False
    # What they refer to is looked up by who guards connections; nothing here opens them.
    security_groups: tuple[Value, ...] = ()
    idle_timeout_s: float = IDLE_TIMEOUT_S
    drops_invalid_headers: bool = False
    speaks_http2: bool = True
    forwarded_for: Literal["append", "preserve", "remove"] = "append"
    limits: tuple[RateLimit, ...] = ()

    def groups(self) -> tuple[str, ...]:
        """Return the ARNs of the target groups that any listener sends to, each once."""
        return tuple(
            dict.fromkeys(
                arn
                for listener in self.listeners
                for action in listener.actions()
                if isinstance(action, Forward)
                for arn, _ in action.groups
            )
        )
