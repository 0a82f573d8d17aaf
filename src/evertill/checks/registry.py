"""Which rules there are: an explicit table, from a rule's name to what holds it.

It is separate so that adding a rule is one module and one line, and forgetting the line is a
failing test. A rule's sentence is the docstring of its module.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Final

from evertill.checks.findings import Rule

_NAMES: Final = (
    "access-logs-arrive",
    "alarm-action",
    "alarm-dimension",
    "alarm-lag-region",
    "alarm-metric",
    "alarm-missing-data",
    "alarm-threshold",
    "alarm-topic-key",
    "backups-are-taken",
    "composite-alarm-names",
    "dead-letters-arrive",
    "deletion-protection",
    "domain-is-real",
    "draining-fits",
    "environment-means",
    "environment-names",
    "failover-pair",
    "function-is-invoked",
    "function-timeout",
    "global-cluster-members",
    "health-check-endpoint",
    "health-check-path",
    "health-check-sni",
    "iam-database-auth",
    "image-is-pinned",
    "listener-priorities",
    "money-data-is-kept",
    "name-is-certified",
    "names-are-unique",
    "networks-do-not-overlap",
    "no-pinned-count",
    "replica-has-source",
    "replication-is-possible",
    "service-waits-for-listener",
    "standby-capacity",
    "standby-cluster-is-global",
    "standby-deploys-alone",
    "strong-tables-have-a-quorum",
    "target-group-probe",
    "tls-on-443",
    "way-out",
    "way-to-database",
    "way-to-tasks",
    "zone-exists",
    "zone-loss-database",
    "zone-loss-nat",
    "zone-loss-tasks",
)


def _check(name: str) -> Rule:
    rule: Rule = import_module(f"evertill.checks.rules.{name.replace('-', '_')}").check
    return rule


RULES: Final[Mapping[str, Rule]] = MappingProxyType({name: _check(name) for name in _NAMES})

_PAGE: Final = """# Rules over a cloud assembly

`evertill check PATH` reads a `cdk.out`, or any folder of `*.template.json`, and reports what
linters pass and AWS would break. It works on any app's templates, needs no AWS account, and says
nothing of what the templates do not tell: a value that is only known after a deployment is never a
finding.

`--json` prints `{{"findings": [{{"rule", "resource", "stack", "consequence", "fix"}}]}}`. The exit
status is 0 without findings, 1 with some, 2 when PATH cannot be used. No rule has been tried
against an AWS account; the modules in `src/evertill/checks/rules/` name the AWS pages they rest on.

The templates cannot tell whether a database user exists, whether an image starts, or whether a name
that belongs to another app is right. A rule may be broken on purpose, in a test environment for
instance; there is no way to silence one.

The {count} rules:

| Rule | What it holds |
|---|---|
{rows}
"""


def sentence(name: str) -> str:
    """Return the sentence of the rule with that name."""
    documented = sys.modules[RULES[name].__module__].__doc__ or ""
    return documented.splitlines()[0]


def reference() -> str:
    """Return docs/reference/rules.md, which a test compares with the rules."""
    rows = "\n".join(f"| `{name}` | {sentence(name)} |" for name in RULES)
    return _PAGE.format(count=len(RULES), rows=rows)
