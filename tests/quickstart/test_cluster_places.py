"""The embedded cluster on full disks, below long paths, and under other users."""

from __future__ import annotations

import errno
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.quickstart.clusters import SMALL, answer, copy_state, execute

from evertill.quickstart import Cluster, layout
from evertill.quickstart.faults import DiskFull

TOO_SMALL_FOR_A_CLUSTER_MIB = 24

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


@contextmanager
def small_disk(size_mib: int) -> Iterator[Path]:
    """Mount a disk that is soon full; only root can."""
    root = Path(tempfile.mkdtemp(prefix="evertill-disk-"))
    root.chmod(0o755)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size_mib}m,mode=755", "tmpfs", str(root)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        root.rmdir()
        pytest.skip("a full disk can only be had by mounting one, which needs root")
    try:
        yield root
    finally:
        subprocess.run(["umount", str(root)], check=True)  # noqa: S607 - found by PATH
        root.rmdir()


def fill(path: Path) -> None:
    """Write until the disk takes no more."""
    with path.open("wb", buffering=0) as stream:
        try:
            while stream.write(bytes(65536)):
                pass
        except OSError as error:
            assert error.errno == errno.ENOSPC  # noqa: PT017 - any other failure is a bug


def test_a_disk_too_small_to_begin_is_named_and_nothing_is_left_behind() -> None:
    with small_disk(TOO_SMALL_FOR_A_CLUSTER_MIB) as disk:
        with pytest.raises(DiskFull, match="is full; free some space and start again"):
            Cluster(disk / "state" / "database", settings=SMALL).start()
        assert not (disk / "state" / "database").exists()
        assert not (disk / "state" / "database.initialising").exists()


def test_a_disk_that_became_full_keeps_the_data_and_starts_once_it_has_space(
    template: Path,
) -> None:
    with small_disk(128) as disk:
        copy_state(template, disk / "state")
        filler = disk / "filler"
        fill(filler)
        with pytest.raises(DiskFull, match="is full; free some space and start again"):
            Cluster(disk / "state" / "database", settings=SMALL).start()
        filler.unlink()
        with Cluster(disk / "state" / "database", settings=SMALL) as cluster:
            assert answer(cluster) == 42


@needs_root
def test_as_root_the_server_runs_as_an_ordinary_user_who_owns_only_its_data(home: Path) -> None:
    with Cluster(home / "database", settings=SMALL) as cluster:
        assert Path(f"/proc/{cluster.pid}").stat().st_uid != 0
        assert cluster.data_directory.stat().st_uid != 0
    assert home.stat().st_uid == 0


@needs_root
def test_under_sudo_the_server_runs_as_the_user_who_called_it(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    caller = pwd.getpwnam("daemon").pw_uid
    monkeypatch.setenv("SUDO_UID", str(caller))
    with Cluster(home / "database", settings=SMALL) as cluster:
        assert Path(f"/proc/{cluster.pid}").stat().st_uid == caller
    assert {path.stat().st_uid for path in home.iterdir()} == {caller}
    monkeypatch.delenv("SUDO_UID")
    with Cluster(home / "database", settings=SMALL) as cluster:
        assert Path(f"/proc/{cluster.pid}").stat().st_uid == caller


@needs_root
def test_below_a_private_home_the_data_is_kept_elsewhere_and_the_home_stays_private(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.mkdir()
    home.chmod(0o700)
    monkeypatch.setattr(layout, "RELOCATED_ROOT", home.parent / "var")
    said: list[str] = []
    with Cluster(home / "state" / "database", settings=SMALL, on_progress=said.append) as cluster:
        assert (home.parent / "var") in cluster.data_directory.parents
        execute(cluster, "CREATE TABLE kept AS SELECT 42 AS answer")
    assert "cannot enter" in said[0]
    assert home.stat().st_mode & 0o777 == 0o700
    assert list(home.iterdir()) == []
    with Cluster(home / "state" / "database", settings=SMALL) as cluster:
        assert answer(cluster) == 42


def test_a_data_path_too_long_for_a_socket_gets_a_short_socket_directory(template: Path) -> None:
    root = Path(tempfile.mkdtemp(prefix="evertill-test-"))
    root.chmod(0o755)
    try:
        deep = root / ("d" * 100)
        copy_state(template, deep)
        with Cluster(deep / "database", settings=SMALL) as cluster:
            short = cluster.socket_directory
            assert answer(cluster, over_socket=True) == 42
            assert short.stat().st_mode & 0o777 == 0o700
        assert not short.exists()
    finally:
        shutil.rmtree(root)
