"""One embedded PostgreSQL cluster: made when it is missing, started, watched and stopped.

Its invariant: at most one server works on a data directory, that server is our child, and no
step deletes anything that may hold data. Every step of `start` can be killed and is picked up
by the next one.

    lock -> orphan of an earlier run stopped -> cluster made beside and renamed -> port -> server

It is separate from the modules it uses so that this order can be read on one page.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Self
from urllib.parse import quote, urlencode

from evertill.quickstart import (
    binaries,
    faults,
    founding,
    layout,
    options,
    ports,
    postmaster,
)
from evertill.quickstart.faults import ClusterError, ClusterInUse
from evertill.quickstart.options import SUPERUSER

# Recovery replays at most `max_wal_size` of log; this is many times what that has taken.
START_TIMEOUT_S = 900.0
PROGRESS_INTERVAL_S = 5.0
# The processes of a killed server notice its death within moments, and leave.
ORPHANS_LEAVE_TIMEOUT_S = 30.0
PORT_ATTEMPTS_MAX = 5

_ORPHANS_REMAIN = ("pre-existing shared memory block", "is still in use")
_PORT_TAKEN = ("could not create any TCP/IP sockets", "Address already in use")
_NO_SETTINGS: Mapping[str, str] = MappingProxyType({})


def _silent(_: str) -> None:
    """Take a line of progress and show it nowhere."""


class Cluster:
    """A PostgreSQL server of our own, on the loopback interface and a private socket.

    `directory` is its data directory; the password, the port, the log and the lock lie beside
    it. `port` is kept or refused when given, else chosen and remembered. `settings` override the
    server's defaults. `on_progress` gets one sentence per thing that takes time or is worth
    knowing. One instance belongs to one thread.
    """

    def __init__(
        self,
        directory: Path,
        port: int | None = None,
        settings: Mapping[str, str] = _NO_SETTINGS,
        on_progress: Callable[[str], None] = _silent,
    ) -> None:
        """Remember what to run; nothing is touched before `start`."""
        self._directory = directory
        self._named_port = port
        self._settings = dict(settings)
        self._say = on_progress
        self._layout: layout.Layout | None = None
        self._bin: Path | None = None
        self._port: int | None = None
        self._socket_directory: Path | None = None
        self._lock: int | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start the cluster."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the cluster."""
        self.stop()

    @property
    def data_directory(self) -> Path:
        """Where the data is, which is not where it was asked for when root had to move it."""
        return self._known_layout().data

    @property
    def log(self) -> Path:
        """The server's log file."""
        return self._known_layout().log

    @property
    def port(self) -> int:
        """The TCP port. Raises ClusterError before the first start."""
        if self._port is None:
            raise _not_started()
        return self._port

    @property
    def socket_directory(self) -> Path:
        """The directory of the Unix socket. Raises ClusterError when not started."""
        if self._socket_directory is None:
            raise _not_started()
        return self._socket_directory

    @property
    def password(self) -> str:
        """The superuser's generated password. Raises ClusterError before the first start."""
        return self._known_layout().password.read_text().strip()

    @property
    def pid(self) -> int:
        """The process id of the server. Raises ClusterError when it was not started."""
        if self._process is None:
            raise _not_started()
        return self._process.pid

    def dsn(
        self,
        user: str = SUPERUSER,
        dbname: str = "postgres",
        password: str | None = None,
        *,
        over_socket: bool = False,
    ) -> str:
        """Return a connection URI, with the superuser's password unless another is given.

        Over TCP on the loopback interface, or over the Unix socket, which only the server's own
        user and root can reach. Raises ClusterError before the first start.
        """
        secret = quote(self.password if password is None else password, safe="")
        login, name = f"{quote(user, safe='')}:{secret}", quote(dbname, safe="")
        if over_socket:
            where = urlencode({"host": str(self.socket_directory), "port": self.port})
            return f"postgresql://{login}@/{name}?{where}"
        return f"postgresql://{login}@{ports.LISTEN_HOST}:{self.port}/{name}"

    def program(self, name: str) -> Path:
        """Return the path of a PostgreSQL program such as `pgbench`. Raises ServerMissing."""
        return (self._bin or binaries.installed()) / name

    def is_running(self) -> bool:
        """Tell whether our server process runs; a dead one is reaped."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Make the cluster when it is missing, start it and wait until it takes connections.

        A server left over by a killed run is stopped first. Raises ClusterInUse, PortInUse,
        DiskFull, DataDirectoryUnusable, ServerMissing or ClusterError; nothing is lost by any.
        """
        if self._lock is not None:
            return
        with faults.disk_errors_explained(self._directory):
            chosen = layout.choose_layout(self._directory, self._say)
        self._layout = chosen
        try:
            with faults.disk_errors_explained(chosen.home):
                chosen.make_home()
                self._take_lock(chosen)
                self._prepare(chosen)
                self._launch()
        except BaseException:
            self.stop()
            raise

    def restart(self) -> None:
        """Start the server again, after it died or to begin anew. Raises what `start` raises."""
        if self._lock is None:
            self.start()
            return
        self._stop_process()
        with faults.disk_errors_explained(self.data_directory):
            self._launch()

    def stop(self) -> None:
        """Stop the server and let go of the data directory: fast, then at once, then by force.

        Does nothing when it is not started. Raises ClusterError when the server does not end.
        """
        try:
            self._stop_process()
        finally:
            if self._socket_directory is not None:
                self._known_layout().forget_socket_directory(self._socket_directory)
                self._socket_directory = None
            if self._lock is not None:
                os.close(self._lock)
                self._lock = None

    def _known_layout(self) -> layout.Layout:
        """Return the layout, which is known from the first start on."""
        if self._layout is None:
            raise _not_started()
        return self._layout

    def _take_lock(self, chosen: layout.Layout) -> None:
        """Take the lock that one Evertill holds per data directory; the kernel frees it."""
        descriptor = os.open(chosen.lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(descriptor, 20).decode(errors="replace").strip()
            os.close(descriptor)
            who = f" (process {holder})" if holder else ""
            message = (
                f"Another Evertill{who} already runs on the database in {chosen.data}. Stop it "
                "first, or use a checkout of its own for a second one."
            )
            raise ClusterInUse(message) from error
        self._lock = descriptor
        chosen.account.own(chosen.lock)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)

    def _prepare(self, chosen: layout.Layout) -> None:
        """Bring the data directory, the password and the programs into a state to start from."""
        self._bin, copied = binaries.runnable_by(chosen.account, _copy_home(chosen))
        if copied:
            self._say(f"The PostgreSQL programs were copied to {self._bin} for its user.")
        self._stop_leftover(chosen)
        is_new = not layout.holds_cluster(chosen, self._say)
        has_new_password = chosen.ensure_password()
        if is_new:
            self._say(f"Creating the database in {chosen.data} (once, a few seconds).")
            founding.initialise(chosen, self.program("initdb"))
        founding.require_same_major_version(chosen)
        if has_new_password and not is_new:
            self._say("The database's password file was missing; a new password is set.")
            founding.set_password(chosen, self.program("postgres"))

    def _stop_leftover(self, chosen: layout.Layout) -> None:
        """Stop a server of this data directory whose Evertill was killed."""
        found = postmaster.read_pid_file(chosen.data)
        if found is not None and postmaster.is_server_of(found.pid, chosen.data):
            self._say("A PostgreSQL left over by an earlier run is stopped first.")
            postmaster.stop_orphan(found.pid)

    def _launch(self) -> None:
        """Start the server, again where a port or dying processes stood in the way."""
        chosen = self._known_layout()
        named = ports.named_port(self._named_port)
        if self._socket_directory is None:
            self._socket_directory = chosen.make_socket_directory()
        orphans_deadline_s = time.monotonic() + ORPHANS_LEAVE_TIMEOUT_S
        attempts = 0
        while True:
            self._port = ports.choose_port(named, chosen.port)
            output = self._launch_once(chosen)
            if output is None:
                break
            attempts += 1
            if all(phrase in output for phrase in _ORPHANS_REMAIN):
                if time.monotonic() < orphans_deadline_s:
                    time.sleep(postmaster.POLL_INTERVAL_S)
                    continue
            elif any(phrase in output for phrase in _PORT_TAKEN):
                if named is not None:
                    raise ports.refused(named)
                if attempts < PORT_ATTEMPTS_MAX:
                    continue
            raise faults.explain(output, chosen.log)
        chosen.write(chosen.port, f"{self._port}\n")

    def _launch_once(self, chosen: layout.Layout) -> str | None:
        """Start the server and wait for it; return what it wrote when it ended instead."""
        chosen.rotate_log()
        offset_bytes = faults.log_size_bytes(chosen.log)
        arguments = options.server_arguments(
            self._settings, port=self.port, socket_directory=self.socket_directory
        )
        with os.fdopen(chosen.open_log(), "ab") as log:
            self._process = subprocess.Popen(
                [self.program("postgres"), "-D", str(chosen.data), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=founding.environment(chosen.data),
                start_new_session=True,
                **chosen.account.identity(),
            )
        if self._wait_until_ready(chosen):
            return None
        self._stop_process()
        return faults.read_tail(chosen.log, offset_bytes)

    def _wait_until_ready(self, chosen: layout.Layout) -> bool:
        """Wait for the server to take connections; tell whether it does or has ended."""
        began_s = time.monotonic()
        while True:
            if not self.is_running():
                return False
            if postmaster.wait_until(lambda: self._has_settled(chosen), PROGRESS_INTERVAL_S):
                return self.is_running()
            waited_s = time.monotonic() - began_s
            if waited_s > START_TIMEOUT_S:
                message = (
                    f"PostgreSQL was not ready after {waited_s:.0f} s. Look at {chosen.log}, then "
                    "start again; the data is kept."
                )
                raise ClusterError(message)
            self._say(f"PostgreSQL is still starting, recovering its data ({waited_s:.0f} s).")

    def _has_settled(self, chosen: layout.Layout) -> bool:
        """Tell whether our server is ready or has ended."""
        if not self.is_running():
            return True
        found = postmaster.read_pid_file(chosen.data)
        return found is not None and found.pid == self.pid and found.accepts_connections

    def _stop_process(self) -> None:
        """Stop our server process, if any, and reap it."""
        process = self._process
        if process is not None:
            postmaster.stop(process.send_signal, lambda: process.poll() is not None)
            self._process = None


def _copy_home(chosen: layout.Layout) -> Path:
    """Return where a copy of the programs lies when the server's user cannot reach the wheel."""
    if layout.RELOCATED_ROOT in chosen.data.parents:
        return chosen.home
    return layout.relocated_home(chosen.data)


def _not_started() -> ClusterError:
    """Return the error for asking about a cluster that was not started."""
    return ClusterError("The embedded PostgreSQL was not started.")
