"""What tests of several rooms share; helpers here assert as tests do, and say what differs."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("tests.support.service", "tests.support.wire")
