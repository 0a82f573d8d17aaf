"""Our own rules on our own templates: nothing in production, and in development what is saved."""

from __future__ import annotations

from tests.support.assembly import Assembly

from evertill.assembly import read
from evertill.checks import check

# Development shares one NAT gateway, runs one standby task, names its image by a tag, and may have
# nobody to alert. Everything else is as in production.
SAVED_IN_DEVELOPMENT = {"alarm-action", "image-is-pinned", "zone-loss-nat", "zone-loss-tasks"}


def test_production_breaks_no_rule(prod: Assembly) -> None:
    assert [] == check(read(prod.folder))


def test_development_breaks_only_the_rules_that_it_saves_on(dev: Assembly) -> None:
    assert SAVED_IN_DEVELOPMENT == {finding.rule for finding in check(read(dev.folder))}
