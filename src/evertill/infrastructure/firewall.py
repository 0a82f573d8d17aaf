"""The web firewall in front of the load balancer: known attacks, and limits on floods.

It is separate from `edge` because its rules change on other people's news. Two things are shaped
by what payments look like:

- Behind a load balancer WAF sees the first 8 KB of a body and no more
  (https://docs.aws.amazon.com/waf/latest/developerguide/waf-oversize-request-components.html), and
  the common rules would block every longer body. A batch of 1000 payments is about 200 KB, so that
  one rule only counts; the service bounds bodies itself (1 MiB, service/http.py) and parses the
  rest strictly.
- Merchants call from servers: thousands of payments come from one address, or from a cloud's shared
  one. The limit that bites is therefore per API key; the one per address is a ceiling against
  floods, far above it. Calls without a key get little. The service limits each merchant too; this
  only keeps a flood from reaching it.
"""

from __future__ import annotations

from typing import Final

from aws_cdk import aws_wafv2 as waf
from constructs import Construct

from evertill.infrastructure.edge import Edge
from evertill.infrastructure.log_groups import log_group
from evertill.infrastructure.stacks import DataStack

WINDOW_S: Final = 60
KEY_REQUESTS_MAX: Final = 120_000
ADDRESS_REQUESTS_MAX: Final = 300_000
ANONYMOUS_REQUESTS_MAX: Final = 600
RETRY_AFTER_S: Final = 30
# Route 53's checkers call it from some forty addresses, and must never be told to slow down.
READY_PATH: Final = "/ready"
HEADER: Final = "authorization"
REFUSAL: Final = "limited"
REFUSAL_BODY: Final = (
    '{"type":"about:blank","title":"Too many requests","status":429,'
    '"detail":"Slow down and retry with the same idempotency key."}'
)
# What AWS keeps up to date, and which of its rules we only count, with the reason.
MANAGED: Final[dict[str, dict[str, str]]] = {
    "AWSManagedRulesAmazonIpReputationList": {},
    "AWSManagedRulesKnownBadInputsRuleSet": {},
    "AWSManagedRulesCommonRuleSet": {
        "SizeRestrictions_BODY": "a batch is longer than the 8 KB that WAF sees",
        "NoUserAgent_HEADER": "servers often name none",
    },
}


class Firewall(Construct):
    """The web ACL of a region's load balancer."""

    def __init__(self, scope: Construct, construct_id: str, edge: Edge, data: DataStack) -> None:
        """Put the firewall before `edge`."""
        super().__init__(scope, construct_id)
        names = data.names
        self.acl = waf.CfnWebACL(
            self,
            "Acl",
            name=names.named("firewall"),
            scope="REGIONAL",
            default_action=waf.CfnWebACL.DefaultActionProperty(allow={}),
            visibility_config=_visible("firewall"),
            rules=[*_limits(), *_managed(first=10)],
            custom_response_bodies={
                REFUSAL: waf.CfnWebACL.CustomResponseBodyProperty(
                    content=REFUSAL_BODY, content_type="APPLICATION_JSON"
                )
            },
        )
        waf.CfnWebACLAssociation(
            self,
            "Association",
            resource_arn=edge.balancer.load_balancer_arn,
            web_acl_arn=self.acl.attr_arn,
        )
        self._log(data)

    def _log(self, data: DataStack) -> None:
        # The name must begin so, or WAF refuses to write to it:
        # https://docs.aws.amazon.com/waf/latest/developerguide/logging-cw-logs.html
        group = log_group(self, f"aws-waf-logs-{data.names.named('firewall')}", data)
        arn = data.names.arn("logs", f"log-group:{group.log_group_name}")
        waf.CfnLoggingConfiguration(
            self,
            "Logging",
            resource_arn=self.acl.attr_arn,
            log_destination_configs=[arn],
            # The header holds the API key.
            redacted_fields=[
                waf.CfnLoggingConfiguration.FieldToMatchProperty(single_header={"Name": HEADER})
            ],
            # Only what was blocked or counted: the load balancer logs all the rest.
            logging_filter={
                "DefaultBehavior": "DROP",
                "Filters": [
                    {
                        "Behavior": "KEEP",
                        "Requirement": "MEETS_ANY",
                        "Conditions": [
                            {"ActionCondition": {"Action": "BLOCK"}},
                            {"ActionCondition": {"Action": "COUNT"}},
                        ],
                    }
                ],
            },
        )


def _limits() -> list[waf.CfnWebACL.RuleProperty]:
    keys = waf.CfnWebACL.RateBasedStatementCustomKeyProperty(
        header=waf.CfnWebACL.RateLimitHeaderProperty(name=HEADER, text_transformations=[_as_is()])
    )
    per_key = waf.CfnWebACL.RateBasedStatementProperty(
        limit=KEY_REQUESTS_MAX,
        evaluation_window_sec=WINDOW_S,
        aggregate_key_type="CUSTOM_KEYS",
        custom_keys=[keys],
    )
    anonymous = waf.CfnWebACL.RateBasedStatementProperty(
        limit=ANONYMOUS_REQUESTS_MAX,
        evaluation_window_sec=WINDOW_S,
        aggregate_key_type="IP",
        scope_down_statement=_all(_not(_has_key()), _not(_is_ready())),
    )
    per_address = waf.CfnWebACL.RateBasedStatementProperty(
        limit=ADDRESS_REQUESTS_MAX,
        evaluation_window_sec=WINDOW_S,
        aggregate_key_type="IP",
        scope_down_statement=_not(_is_ready()),
    )
    limits = {"per-key": per_key, "anonymous": anonymous, "per-address": per_address}
    return [_limit(name, rate, place) for place, (name, rate) in enumerate(limits.items())]


def _limit(
    name: str, rate: waf.CfnWebACL.RateBasedStatementProperty, priority: int
) -> waf.CfnWebACL.RuleProperty:
    refusal = waf.CfnWebACL.CustomResponseProperty(
        response_code=429,
        custom_response_body_key=REFUSAL,
        response_headers=[
            waf.CfnWebACL.CustomHTTPHeaderProperty(name="Retry-After", value=str(RETRY_AFTER_S))
        ],
    )
    return waf.CfnWebACL.RuleProperty(
        name=name,
        priority=priority,
        statement=waf.CfnWebACL.StatementProperty(rate_based_statement=rate),
        action=waf.CfnWebACL.RuleActionProperty(
            block=waf.CfnWebACL.BlockActionProperty(custom_response=refusal)
        ),
        visibility_config=_visible(name),
    )


def _managed(first: int) -> list[waf.CfnWebACL.RuleProperty]:
    return [
        waf.CfnWebACL.RuleProperty(
            name=group,
            priority=priority,
            statement=waf.CfnWebACL.StatementProperty(
                managed_rule_group_statement=waf.CfnWebACL.ManagedRuleGroupStatementProperty(
                    vendor_name="AWS",
                    name=group,
                    rule_action_overrides=[
                        waf.CfnWebACL.RuleActionOverrideProperty(
                            name=rule, action_to_use=waf.CfnWebACL.RuleActionProperty(count={})
                        )
                        for rule in counted
                    ]
                    or None,
                )
            ),
            override_action=waf.CfnWebACL.OverrideActionProperty(none={}),
            visibility_config=_visible(group),
        )
        for priority, (group, counted) in enumerate(MANAGED.items(), start=first)
    ]


def _has_key() -> waf.CfnWebACL.StatementProperty:
    # Every value is at least one byte long, so this asks whether the header is there.
    return waf.CfnWebACL.StatementProperty(
        size_constraint_statement=waf.CfnWebACL.SizeConstraintStatementProperty(
            field_to_match=waf.CfnWebACL.FieldToMatchProperty(single_header={"Name": HEADER}),
            comparison_operator="GT",
            size=0,
            text_transformations=[_as_is()],
        )
    )


def _is_ready() -> waf.CfnWebACL.StatementProperty:
    return waf.CfnWebACL.StatementProperty(
        byte_match_statement=waf.CfnWebACL.ByteMatchStatementProperty(
            field_to_match=waf.CfnWebACL.FieldToMatchProperty(uri_path={}),
            positional_constraint="EXACTLY",
            search_string=READY_PATH,
            text_transformations=[_as_is()],
        )
    )


def _as_is() -> waf.CfnWebACL.TextTransformationProperty:
    return waf.CfnWebACL.TextTransformationProperty(priority=0, type="NONE")


def _not(statement: waf.CfnWebACL.StatementProperty) -> waf.CfnWebACL.StatementProperty:
    return waf.CfnWebACL.StatementProperty(
        not_statement=waf.CfnWebACL.NotStatementProperty(statement=statement)
    )


def _all(*statements: waf.CfnWebACL.StatementProperty) -> waf.CfnWebACL.StatementProperty:
    return waf.CfnWebACL.StatementProperty(
        and_statement=waf.CfnWebACL.AndStatementProperty(statements=list(statements))
    )


def _visible(name: str) -> waf.CfnWebACL.VisibilityConfigProperty:
    return waf.CfnWebACL.VisibilityConfigProperty(
        cloud_watch_metrics_enabled=True, metric_name=name, sampled_requests_enabled=True
    )
