"""Everything that the audit accepts: the app's acknowledgements, and those of the IAM checks.

The latter are separate because neither parliament nor cloudsplaining can be told in a template.
"""

from __future__ import annotations

from typing import Final

from evertill.audit.findings import Acceptance
from evertill.infrastructure.acknowledgements import exemptions

POLICIES: Final[tuple[Acceptance, ...]] = ()

ACCEPTED: Final = (
    *exemptions(),
    *POLICIES,
)
"""Everything that is accepted, in the words of one table."""
