"""Rules over a cloud assembly: what linters pass and AWS would break.

One rule is one module is one sentence, its docstring; `registry.RULES` names them all. A rule
reports what it can prove from the templates and is silent about what it cannot: an unresolved value
is never a finding. The room is separate from `assembly` because what is good is a matter of
judgement, and what a template says is not.
"""

from __future__ import annotations

from evertill.checks.findings import Finding
from evertill.checks.registry import RULES
from evertill.checks.running import check

__all__ = ["RULES", "Finding", "check"]
