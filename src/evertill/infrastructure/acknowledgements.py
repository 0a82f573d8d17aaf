"""The findings of cdk-nag that we accept, each at one construct and with its reason.

They are a table of their own, and not calls beside the constructs, so that a reader sees all of
them at once and a test can say of each that it is still needed. Rules that name what they found,
as `AwsSolutions-IAM5[Resource::*]` does, are acknowledged with that name and no other.
"""

from __future__ import annotations

from typing import Final

import msgspec


class Acknowledgement(msgspec.Struct, frozen=True):
    """One rule of one cdk-nag pack that does not hold at one construct, and why."""

    rule: str
    stack: str
    """A pattern for the stack's id, because ids hold the environment and the region."""
    path: str
    """The construct's path within the stack; what is below it is meant too."""
    reason: str


ACKNOWLEDGEMENTS: Final[tuple[Acknowledgement, ...]] = ()
