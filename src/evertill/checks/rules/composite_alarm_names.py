"""A composite alarm names alarms that exist, and is created after them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from evertill.assembly import Model, Resource, Text
from evertill.checks.findings import Report
from evertill.checks.views.alarms import ALARM, COMPOSITE
from evertill.checks.views.order import created_before
from evertill.checks.views.whereabouts import leads_nowhere

# docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutCompositeAlarm.html
# "Could not save the composite alarm as alarms ... in the alarm rule do not exist":
# https://github.com/awsdocs/aws-cloudformation-user-guide/issues/911
NAMED = re.compile(r"\b(?:ALARM|OK|INSUFFICIENT_DATA)\(\s*[\"']?([^\"'()]+?)[\"']?\s*\)")


def check(model: Model) -> Iterator[Report]:
    """Look for the names in each rule; what is referred to exists and comes first by itself."""
    for composite in model.resources_of(COMPOSITE):
        rule = composite.get("AlarmRule")
        if not isinstance(rule, str | Text):
            continue
        for name in dict.fromkeys(NAMED.findall(str(rule))):
            if "${" not in name:
                yield from _named(model, composite, name)


def _named(model: Model, composite: Resource, name: str) -> Iterator[Report]:
    if leads_nowhere(model, name, [ALARM, COMPOSITE], composite.region):
        yield Report(
            composite,
            f"No alarm of its region is named {name}: the composite alarm cannot be created.",
            "Use the name of an alarm of the same region.",
        )
        return
    named = model.find(name, ALARM, COMPOSITE, region=composite.region)
    if named is None or named is composite or named.stack != composite.stack:
        return
    if named.logical_id not in created_before(model, composite):
        yield Report(
            composite,
            f"Nothing makes it wait for {named.logical_id}: CloudFormation may create it first, "
            "and CloudWatch refuses a rule over an alarm that does not exist.",
            f"Add DependsOn: {named.logical_id}, or refer to it.",
        )
