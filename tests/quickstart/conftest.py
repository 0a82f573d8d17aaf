"""Stopped clusters to start from: one is made per worker and copied for most tests."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.quickstart.clusters import SMALL, copy_state, execute

from evertill.quickstart import Cluster
from evertill.quickstart.ports import PORT_VARIABLE


@pytest.fixture(autouse=True)
def no_port_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the developer's own settings out of the tests."""
    monkeypatch.delenv(PORT_VARIABLE, raising=False)
    monkeypatch.delenv("SUDO_UID", raising=False)


@pytest.fixture
def home() -> Iterator[Path]:
    """Give a directory that the server's user can enter; pytest's own are private."""
    directory = Path(tempfile.mkdtemp(prefix="evertill-test-"))
    directory.chmod(0o755)
    yield directory / "state"
    shutil.rmtree(directory)


@pytest.fixture(scope="session")
def template() -> Iterator[Path]:
    """Make one stopped cluster with a row in it, which most tests copy instead of initdb."""
    root = Path(tempfile.mkdtemp(prefix="evertill-template-"))
    root.chmod(0o755)
    with Cluster(root / "state" / "database", settings=SMALL) as cluster:
        execute(cluster, "CREATE TABLE kept AS SELECT 42 AS answer")
    yield root / "state"
    shutil.rmtree(root)


@pytest.fixture
def stopped(template: Path, home: Path) -> Path:
    """Give a stopped cluster with the row `42` in the table `kept`."""
    copy_state(template, home)
    return home / "database"
