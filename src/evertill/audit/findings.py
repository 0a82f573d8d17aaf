"""What a linter found, what we accept and why, and how the two are set against each other.

It is separate because every tool speaks another language and the table speaks only this one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from fnmatch import fnmatchcase
from typing import Final

import msgspec

from evertill.infrastructure.acknowledgements import Exemption

TOOLS: Final = ("cfn-lint", "cdk-nag", "checkov", "parliament", "cloudsplaining")


class AuditError(Exception):
    """The templates could not be audited; the message says why and what to do."""


class Finding(msgspec.Struct, frozen=True, order=True):
    """One rule that one construct breaks, in one environment's templates."""

    environment: str
    tool: str
    rule: str
    place: str
    """The construct's path: the stack first, the resource last."""
    message: str


Acceptance = Exemption
"""A finding that we accept: one rule of one tool, at one construct, for a reason."""


def covers(acceptance: Acceptance, finding: Finding) -> bool:
    """Tell whether an acceptance is about `finding`."""
    stack, _, path = finding.place.partition("/")
    return (
        (acceptance.tool, acceptance.rule) == (finding.tool, finding.rule)
        and fnmatchcase(stack, acceptance.stack)
        and f"{path}/".startswith(f"{acceptance.path}/")
    )


class Outcome(msgspec.Struct, frozen=True):
    """All findings, sorted into open and accepted ones, and the acceptances nobody needs."""

    open: list[Finding]
    accepted: list[Finding]
    unneeded: list[Acceptance]

    @property
    def is_clean(self) -> bool:
        """Whether nothing is open, and nothing is accepted that is not there."""
        return not self.open and not self.unneeded

    def without_unneeded_of(self, tools: AbstractSet[str]) -> Outcome:
        """Return the outcome without judgement on the acceptances of tools that did not run."""
        kept = [one for one in self.unneeded if one.tool not in tools]
        return Outcome(self.open, self.accepted, kept)


def sort_out(
    findings: Iterable[Finding], acceptances: Mapping[str, Sequence[Acceptance]]
) -> Outcome:
    """Set what was found against what is accepted in each environment.

    An acceptance that one environment needs is needed.
    """
    is_open: list[Finding] = []
    accepted: list[Finding] = []
    needed: set[tuple[str, str, str]] = set()
    for finding in sorted(set(findings)):
        here = acceptances[finding.environment]
        covering = [acceptance for acceptance in here if covers(acceptance, finding)]
        needed.update(_listed(acceptance) for acceptance in covering)
        (accepted if covering else is_open).append(finding)
    everything = {_listed(one): one for several in acceptances.values() for one in several}
    unneeded = [one for listed, one in everything.items() if listed not in needed]
    return Outcome(is_open, accepted, unneeded)


def _listed(acceptance: Acceptance) -> tuple[str, str, str]:
    return acceptance.listed_as, acceptance.stack, acceptance.path
