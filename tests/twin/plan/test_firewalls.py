"""The limits of a web ACL are read from the templates, and what is not known is not kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.support.templates import StackFile, resource, write_assembly

from evertill.twin.plan.firewalls import Every, Match, Not, RateLimit, limits_of
from evertill.twin.plan.reading import read_model

BALANCER = "AWS::ElasticLoadBalancingV2::LoadBalancer"
SAME = [{"Priority": 0, "Type": "NONE"}]
KEYED = {
    "SizeConstraintStatement": {
        "FieldToMatch": {"SingleHeader": {"Name": "authorization"}},
        "ComparisonOperator": "GT",
        "Size": 0,
        "TextTransformations": SAME,
    }
}
READY = {
    "ByteMatchStatement": {
        "FieldToMatch": {"UriPath": {}},
        "PositionalConstraint": "EXACTLY",
        "SearchString": "/ready",
        "TextTransformations": SAME,
    }
}


def negated(statement: dict[str, Any]) -> dict[str, Any]:
    return {"NotStatement": {"Statement": statement}}


def rule(priority: int, action: dict[str, Any] | None = None, **rate: Any) -> dict[str, Any]:
    return {
        "Name": f"rule-{priority}",
        "Priority": priority,
        "Statement": {"RateBasedStatement": {"AggregateKeyType": "IP", "Limit": 100, **rate}},
        "Action": action or {"Block": {}},
    }


def limits(folder: Path, *rules: dict[str, Any], **properties: Any) -> tuple[RateLimit, ...]:
    acl = resource("AWS::WAFv2::WebACL", Rules=list(rules), Scope="REGIONAL", **properties)
    association = resource(
        "AWS::WAFv2::WebACLAssociation",
        ResourceArn={"Ref": "Balancer"},
        WebACLArn={"Fn::GetAtt": ["Acl", "Arn"]},
    )
    stack = {"Balancer": resource(BALANCER), "Acl": acl, "Association": association}
    model = read_model(write_assembly(folder, StackFile(stack)))
    (balancer,) = model.resources_of(BALANCER)
    return limits_of(model, balancer)


def test_limits_come_in_their_order_with_aws_defaults(tmp_path: Path) -> None:
    later, first = rule(2, Limit=50, EvaluationWindowSec=60), rule(1)
    expected = (RateLimit("rule-1", 100, 300.0), RateLimit("rule-2", 50, 60.0))
    assert expected == limits(tmp_path, later, first)


def test_a_scope_is_read_as_deep_as_it_goes(tmp_path: Path) -> None:
    scope = {"AndStatement": {"Statements": [negated(KEYED), negated(READY)]}}
    (limit,) = limits(tmp_path, rule(1, ScopeDownStatement=scope))
    has_key, is_ready = Match("authorization", "gt", "0"), Match("", "str", "/ready")
    assert Every((Not(has_key), Not(is_ready))) == limit.scope


def test_a_key_of_its_own_and_an_answer_of_its_own_are_kept(tmp_path: Path) -> None:
    answer = {
        "ResponseCode": 429,
        "CustomResponseBodyKey": "limited",
        "ResponseHeaders": [{"Name": "Retry-After", "Value": "30"}],
    }
    header = {"Header": {"Name": "authorization", "TextTransformations": SAME}}
    keyed = rule(
        1,
        {"Block": {"CustomResponse": answer}},
        AggregateKeyType="CUSTOM_KEYS",
        CustomKeys=[header],
    )
    body = {"limited": {"Content": "{}", "ContentType": "APPLICATION_JSON"}}
    (limit,) = limits(tmp_path, keyed, CustomResponseBodies=body)
    assert ("authorization", 429, "application/json") == (
        limit.header,
        limit.status,
        limit.content_type,
    )
    assert ((("Retry-After", "30"),), "{}") == (limit.headers, limit.body)


def test_rules_that_only_count_or_use_what_is_not_known_are_not_kept(tmp_path: Path) -> None:
    by_country = {"GeoMatchStatement": {"CountryCodes": ["AT"]}}
    managed = {"ManagedRuleGroupStatement": {"VendorName": "AWS", "Name": "Common"}}
    rules = [
        rule(1, {"Count": {}}),
        rule(2, ScopeDownStatement=by_country),
        rule(3, AggregateKeyType="FORWARDED_IP"),
        {"Name": "managed", "Priority": 4, "Statement": managed, "OverrideAction": {"None": {}}},
    ]
    assert () == limits(tmp_path, *rules)


def test_a_balancer_without_a_firewall_has_no_limits(tmp_path: Path) -> None:
    model = read_model(write_assembly(tmp_path, StackFile({"Balancer": resource(BALANCER)})))
    (balancer,) = model.resources_of(BALANCER)
    assert () == limits_of(model, balancer)
