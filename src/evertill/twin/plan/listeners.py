"""From a listener's and its rules' properties to conditions and actions.

It is separate from the planner of load balancers because it is a language of its own, and because
everything in it that the twin cannot do is refused here, by name.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from evertill.assembly import Model, Resource, Value
from evertill.assembly.model import as_list, as_number, as_text, child
from evertill.twin.errors import TwinError
from evertill.twin.plan.balancer_specs import (
    REDIRECTS,
    Action,
    Condition,
    ConditionKind,
    FixedResponse,
    Forward,
    Redirect,
    Rule,
)
from evertill.twin.plan.bindings import Bindings

TARGET_GROUP: Final = "AWS::ElasticLoadBalancingV2::TargetGroup"
FIELDS: Final[dict[str, tuple[ConditionKind, str]]] = {
    "path-pattern": ("path", "PathPatternConfig"),
    "host-header": ("host", "HostHeaderConfig"),
    "http-header": ("header", "HttpHeaderConfig"),
    "http-request-method": ("method", "HttpRequestMethodConfig"),
    "query-string": ("query", "QueryStringConfig"),
    "source-ip": ("source", "SourceIpConfig"),
}
DEFAULT_WEIGHT: Final = 1


class ListenerUnsupported(TwinError):
    """The twin's load balancer cannot do that."""

    code = "listener_unsupported"


def actions_of(listener: Resource, model: Model, bindings: Bindings) -> Action:
    """Return what a listener does when no rule holds."""
    return _action(listener, listener.items("DefaultActions"), model, bindings)


def rule_of(resource: Resource, model: Model, bindings: Bindings) -> Rule:
    """Return a rule; raise ListenerUnsupported for what is not supported, by name."""
    if resource.has("Transforms"):
        raise _refused(resource, "transforms")
    priority = resource.number("Priority")
    if priority is None:
        raise _refused(resource, "a priority that is not known")
    return Rule(
        arn=bindings.text(resource.reference),
        priority=int(priority),
        conditions=tuple(_condition(resource, item) for item in resource.items("Conditions")),
        action=_action(resource, resource.items("Actions"), model, bindings),
    )


def _condition(rule: Resource, item: Value) -> Condition:
    field = as_text(child(item, "Field")) or ""
    if field not in FIELDS:
        raise _refused(rule, f"the condition {field or item}")
    kind, section = FIELDS[field]
    config = child(item, section)
    if child(config, "RegexValues") is not None:
        raise _refused(rule, f"regular expressions in {field}")
    values = as_list(child(config, "Values")) or as_list(child(item, "Values"))
    texts = tuple(_parameter(value) if kind == "query" else str(value) for value in values)
    if not texts or any("\n" in text for text in texts):
        raise _refused(rule, f"the values of {field}")
    return Condition(kind, texts, as_text(child(config, "HttpHeaderName")) or "")


def _parameter(value: Value) -> str:
    key, text = as_text(child(value, "Key")), as_text(child(value, "Value")) or ""
    return text if key is None else f"{key}={text}"


def _action(owner: Resource, actions: list[Value], model: Model, bindings: Bindings) -> Action:
    if len(actions) != 1:
        kinds = ", ".join(as_text(child(action, "Type")) or "?" for action in actions)
        raise _refused(owner, f"the actions {kinds or 'none'}")
    (action,) = actions
    kind = as_text(child(action, "Type")) or ""
    if kind == "forward":
        return Forward(tuple(_groups(owner, action, model, bindings)))
    if kind == "fixed-response":
        return _fixed(child(action, "FixedResponseConfig"))
    if kind == "redirect":
        return _redirect(owner, child(action, "RedirectConfig"))
    raise _refused(owner, f"the action {kind}")


def _groups(
    owner: Resource, action: Value, model: Model, bindings: Bindings
) -> Iterator[tuple[str, int]]:
    config = child(action, "ForwardConfig")
    sticky = child(config, "TargetGroupStickinessConfig")
    if str(child(sticky, "Enabled")).lower() == "true":
        raise _refused(owner, "stickiness between target groups")
    listed = as_list(child(config, "TargetGroups")) or [action]
    for item in listed:
        group = model.find(child(item, "TargetGroupArn"), TARGET_GROUP, region=owner.region)
        if group is None:
            raise _refused(owner, "a target group that is not in the templates")
        weight = as_number(child(item, "Weight"), DEFAULT_WEIGHT)
        yield bindings.text(group.reference), int(weight or 0)


def _fixed(config: Value) -> FixedResponse:
    return FixedResponse(
        status=int(as_number(child(config, "StatusCode"), 200) or 200),
        content_type=as_text(child(config, "ContentType"), "text/plain") or "text/plain",
        body=as_text(child(config, "MessageBody"), "") or "",
    )


def _redirect(owner: Resource, config: Value) -> Redirect:
    status = int((as_text(child(config, "StatusCode")) or "").removeprefix("HTTP_") or 0)
    if status not in REDIRECTS:
        raise _refused(owner, f"a redirect with the status {status}")
    defaults = Redirect(status=status)
    return Redirect(
        status=status,
        protocol=as_text(child(config, "Protocol")) or defaults.protocol,
        host=as_text(child(config, "Host")) or defaults.host,
        port=as_text(child(config, "Port")) or defaults.port,
        path=as_text(child(config, "Path")) or defaults.path,
        query=as_text(child(config, "Query"), defaults.query) or "",
    )


def _refused(owner: Resource, what: str) -> ListenerUnsupported:
    return ListenerUnsupported(f"{owner} ({owner.type}) has {what}, which the twin cannot do.")
