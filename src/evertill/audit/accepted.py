"""The findings of checkov and the IAM checks that we accept, each with its reason.

It is separate from the acknowledgements of cdk-nag because those are written into the construct
tree, and these tools know no such thing. cfn-lint has none: its count is zero as it is.
"""

from __future__ import annotations

from typing import Final

from evertill.audit.findings import Acceptance, from_acknowledgement
from evertill.infrastructure.acknowledgements import ACKNOWLEDGEMENTS

ACCEPTED_ELSEWHERE: Final[tuple[Acceptance, ...]] = ()

ACCEPTED: Final = (
    *(from_acknowledgement(acknowledgement) for acknowledgement in ACKNOWLEDGEMENTS),
    *ACCEPTED_ELSEWHERE,
)
"""Everything that is accepted, in the words of one table."""
