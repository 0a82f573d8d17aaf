"""The embedded cluster as its user meets it: real servers, real signals, left-over files."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
from pathlib import Path

import psycopg
import pytest
from tests.quickstart.clusters import (
    SMALL,
    WAIT_TIMEOUT_S,
    answer,
    execute,
    listener,
    start_in_another_process,
    wait_until_gone,
    write_stale_pid_file,
)

from evertill.quickstart import Cluster, postmaster
from evertill.quickstart.account import choose_account
from evertill.quickstart.faults import (
    ClusterError,
    ClusterInUse,
    DataDirectoryUnusable,
    PortInUse,
)
from evertill.quickstart.ports import PORT_VARIABLE, choose_port


def test_a_first_start_makes_a_durable_private_utf8_cluster(home: Path) -> None:
    said: list[str] = []
    data = home / "database"
    with (
        Cluster(data, settings=SMALL, on_progress=said.append) as cluster,
        psycopg.connect(cluster.dsn()) as connection,
    ):
        found = {
            name: connection.execute("SELECT current_setting(%s)", [name]).fetchone()
            for name in ("fsync", "synchronous_commit", "full_page_writes", "TimeZone")
        }
        encoding = connection.execute(
            "SELECT pg_encoding_to_char(encoding), datlocprovider, datlocale "
            "FROM pg_database WHERE datname = 'postgres'"
        ).fetchone()
    assert found == {
        "fsync": ("on",),
        "synchronous_commit": ("on",),
        "full_page_writes": ("on",),
        "TimeZone": ("UTC",),
    }
    assert encoding == ("UTF8", "b", "C.UTF-8")
    assert any("Creating the database" in line for line in said)
    assert not (home / "database.initialising").exists()


def test_a_second_start_finds_the_data_on_the_same_port(stopped: Path) -> None:
    with Cluster(stopped, settings=SMALL) as cluster:
        first_port = cluster.port
        assert answer(cluster) == 42
        assert answer(cluster, over_socket=True) == 42
    said: list[str] = []
    with Cluster(stopped, settings=SMALL, on_progress=said.append) as cluster:
        assert answer(cluster) == 42
        assert cluster.port == first_port
    assert said == []


def test_stop_leaves_no_process_no_lock_and_a_clean_data_directory(stopped: Path) -> None:
    cluster = Cluster(stopped, settings=SMALL)
    cluster.start()
    pid = cluster.pid
    cluster.stop()
    assert not postmaster.is_alive(pid)
    assert not cluster.is_running()
    assert not (stopped / "postmaster.pid").exists()
    cluster.stop()  # Stopping twice is harmless.


def test_only_the_password_opens_the_database(stopped: Path) -> None:
    with Cluster(stopped, settings=SMALL) as cluster:
        for over_socket in (False, True):
            wrong = cluster.dsn(password="guess", over_socket=over_socket)
            with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
                psycopg.connect(wrong)
    password = stopped.with_name("database.password")
    assert password.stat().st_mode & 0o777 == 0o600


def test_a_lost_password_file_is_replaced_and_nothing_else_is_lost(stopped: Path) -> None:
    stopped.with_name("database.password").unlink()
    with Cluster(stopped, settings=SMALL) as cluster:
        assert answer(cluster) == 42


def test_the_server_is_restarted_after_kill_9_of_it(stopped: Path) -> None:
    with Cluster(stopped, settings=SMALL) as cluster:
        execute(cluster, "UPDATE kept SET answer = 43")
        os.kill(cluster.pid, signal.SIGKILL)
        assert postmaster.wait_until(lambda: not cluster.is_running(), WAIT_TIMEOUT_S)
        cluster.restart()
        assert answer(cluster) == 43


def test_a_start_after_kill_9_of_everything_recovers_what_was_committed(stopped: Path) -> None:
    owner, server = start_in_another_process(stopped)
    os.kill(server, signal.SIGKILL)
    owner.kill()
    owner.communicate()
    wait_until_gone(server)
    with Cluster(stopped, settings=SMALL) as cluster:
        assert answer(cluster) == 42


def test_a_server_that_outlived_its_owner_is_stopped_and_replaced(stopped: Path) -> None:
    owner, server = start_in_another_process(stopped)
    owner.kill()
    owner.communicate()
    assert postmaster.is_server_of(server, stopped)
    said: list[str] = []
    with Cluster(stopped, settings=SMALL, on_progress=said.append) as cluster:
        assert cluster.pid != server
        assert not postmaster.is_alive(server)
        assert answer(cluster) == 42
    assert said == ["A PostgreSQL left over by an earlier run is stopped first."]


def test_a_stale_pid_file_of_a_dead_process_is_no_obstacle(stopped: Path) -> None:
    with subprocess.Popen(["/bin/true"]) as dead:
        dead.wait()
    write_stale_pid_file(stopped, dead.pid)
    with Cluster(stopped, settings=SMALL) as cluster:
        assert answer(cluster) == 42


def test_a_stale_pid_file_whose_number_a_stranger_has_is_no_obstacle(stopped: Path) -> None:
    account = choose_account(stopped)
    with subprocess.Popen(["/bin/sleep", "600"], cwd="/", **account.identity()) as stranger:
        write_stale_pid_file(stopped, stranger.pid)
        with Cluster(stopped, settings=SMALL) as cluster:
            assert answer(cluster) == 42
        assert stranger.poll() is None
        stranger.kill()


def test_a_second_evertill_on_the_same_data_gets_one_clear_sentence(stopped: Path) -> None:
    with Cluster(stopped, settings=SMALL) as cluster:
        with pytest.raises(ClusterInUse) as refusal:
            Cluster(stopped, settings=SMALL).start()
        assert str(os.getpid()) in str(refusal.value)
        assert answer(cluster) == 42


def test_the_server_does_not_inherit_the_lock(stopped: Path) -> None:
    owner, server = start_in_another_process(stopped)
    owner.kill()
    owner.communicate()
    with stopped.with_name("database.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    postmaster.stop_orphan(server)


def test_an_interrupted_initialisation_is_begun_again(home: Path) -> None:
    draft = home / "database.initialising"
    draft.mkdir(parents=True)
    home.chmod(0o755)
    (draft / "PG_VERSION").write_text("18\n")
    with Cluster(home / "database", settings=SMALL) as cluster:
        assert cluster.is_running()
    assert not draft.exists()


def test_half_made_remains_are_set_aside_and_not_deleted(home: Path) -> None:
    data = home / "database"
    (data / "base").mkdir(parents=True)
    home.chmod(0o755)
    (data / "PG_VERSION").write_text("18\n")
    said: list[str] = []
    with Cluster(data, settings=SMALL, on_progress=said.append) as cluster:
        assert cluster.is_running()
    assert (home / "database.incomplete-1" / "PG_VERSION").read_text() == "18\n"
    assert "half-made" in said[0]


def test_a_damaged_cluster_is_refused_and_left_untouched(stopped: Path) -> None:
    (stopped / "PG_VERSION").unlink()
    before = sorted(path.name for path in stopped.iterdir())
    with pytest.raises(DataDirectoryUnusable, match="is damaged: PG_VERSION is missing"):
        Cluster(stopped, settings=SMALL).start()
    assert sorted(path.name for path in stopped.iterdir()) == before


def test_data_of_another_major_version_is_refused_with_both_versions(stopped: Path) -> None:
    (stopped / "PG_VERSION").write_text("16\n")
    with pytest.raises(DataDirectoryUnusable, match=r"made by PostgreSQL 16, .* PostgreSQL 18"):
        Cluster(stopped, settings=SMALL).start()


def test_a_named_port_that_is_used_is_refused_with_the_way_out(
    stopped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with listener() as port:
        with pytest.raises(PortInUse, match=f"Port {port} is used .* {PORT_VARIABLE}"):
            Cluster(stopped, port=port, settings=SMALL).start()
        monkeypatch.setenv(PORT_VARIABLE, str(port))
        with pytest.raises(PortInUse, match=f"Port {port} is used"):
            Cluster(stopped, settings=SMALL).start()


def test_a_remembered_port_that_somebody_took_is_replaced(stopped: Path) -> None:
    with listener() as port:
        stopped.with_name("database.port").write_text(f"{port}\n")
        with Cluster(stopped, settings=SMALL) as cluster:
            assert cluster.port != port
            assert answer(cluster) == 42


@pytest.mark.parametrize("text", ["", "none", "-1", "0", "70000", "5432x"])
def test_an_unreadable_port_record_is_ignored(home: Path, text: str) -> None:
    home.mkdir()
    (home / "record").write_text(text)
    assert 0 < choose_port(None, home / "record") <= 65535


@pytest.mark.parametrize("text", ["http", "0", "65536", "-5"])
def test_a_port_variable_that_is_no_port_is_refused(
    stopped: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv(PORT_VARIABLE, text)
    with pytest.raises(PortInUse, match="must be a port number"):
        Cluster(stopped, settings=SMALL).start()


def test_a_setting_that_the_server_refuses_is_told_in_one_sentence(stopped: Path) -> None:
    with pytest.raises(ClusterError, match="shared_buffers") as refusal:
        Cluster(stopped, settings={"shared_buffers": "many"}).start()
    assert "\n" not in str(refusal.value)
    with Cluster(stopped, settings=SMALL) as cluster:
        assert answer(cluster) == 42


def test_asking_before_the_start_is_an_error_and_not_a_guess(home: Path) -> None:
    with pytest.raises(ClusterError, match="was not started"):
        Cluster(home / "database").dsn()
