"""An emulator of DynamoDB for the lease, as the authority's tests have it."""

from __future__ import annotations

from tests.authority.conftest import aws

__all__ = ["aws"]
