"""One database instance: a real PostgreSQL server with a folder, a zone and a socket of its own.

Its invariant: at most one server works on the folder, and it is our child; before one is started or
promoted past, every process that works there is dead. It is separate from the cluster because it
decides nothing: it starts, follows, is promoted, stopped, killed or frozen as it is told.

The server listens on a local socket only, in a folder that its user alone may enter: whoever wants
in comes through a gate, which is where the network and the logins by IAM are.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import shutil
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec
import psutil
from psycopg.conninfo import make_conninfo

from evertill.quickstart import postmaster
from evertill.quickstart.options import DEFAULTS
from evertill.twin.errors import PartFailed
from evertill.twin.parts.database_programs import Programs
from evertill.twin.parts.session import Row, Session
from evertill.twin.parts.small_disk import SmallDisk
from evertill.twin.processes import Owned, Processes

SUPERUSER: Final = "rdsadmin"
REPLICATOR: Final = "rdsrepladmin"
# RDS keeps a database of its own by this name too; here it holds the heartbeat.
OWN_DATABASE: Final = "rdsadmin"
PORT: Final = 5432
START_TIMEOUT_S: Final = 120.0
STOP_TIMEOUT_S: Final = 30.0
PROGRAM_TIMEOUT_S: Final = 300.0
PROMOTE_TIMEOUT_S: Final = 60.0
ASK_TIMEOUT_S: Final = 10.0
_POLL_INTERVAL_S: Final = 0.02

SETTINGS: Final[Mapping[str, str]] = {
    **DEFAULTS,
    "listen_addresses": "",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "max_wal_size": "1GB",
    "min_wal_size": "80MB",
    "wal_level": "replica",
    "wal_log_hints": "on",
    "max_wal_senders": "20",
    # Who was cut off for longer is built anew; a slot would fill the disk of the writer instead.
    "wal_keep_size": "1GB",
    "hot_standby": "on",
    "wal_retrieve_retry_interval": "200ms",
    "wal_receiver_status_interval": "1s",
    "wal_receiver_timeout": "20s",
    "wal_sender_timeout": "20s",
    "unix_socket_permissions": "0700",
    "max_prepared_transactions": "0",
}


class Secrets(msgspec.Struct, frozen=True):
    """The passwords of the twin's own logins, the same ones in every region of an assembly."""

    superuser: str
    replicator: str


class Instance:
    """One server. Times are real: a server does not work faster because the twin's clock does."""

    def __init__(
        self,
        name: str,
        place: str,
        disk: SmallDisk,
        *,
        programs: Programs,
        processes: Processes,
        secrets: Secrets,
        upstream: tuple[str, int],
    ) -> None:
        """Keep the data on `disk` and the rest where it is; follow what listens at `upstream`."""
        self.name: Final = name
        self.place: Final = place
        self.member: Final = name.rpartition("/")[2]
        self.disk: Final = disk
        self._folder: Final = disk.folder
        self._programs: Final = programs
        self._processes: Final = processes
        self._secrets: Final = secrets
        self._upstream: Final = upstream
        self._server: Owned | None = None
        self.is_frozen = False
        self._sockets: Final = programs.sockets / hashlib.sha256(name.encode()).hexdigest()[:12]
        self.session: Final = Session(self.login(OWN_DATABASE))

    def login(self, database: str) -> str:
        """Return how the twin itself logs in to a database of the server."""
        return make_conninfo(
            host=str(self._sockets),
            port=PORT,
            user=SUPERUSER,
            password=self._secrets.superuser,
            dbname=database,
            # Its own writes must tell how it is, not how those are who it waits for.
            options="-c synchronous_commit=local",
            application_name="twin",
        )

    @property
    def data(self) -> Path:
        """Return the data directory."""
        return self.disk.path / "data"

    @property
    def socket(self) -> str:
        """Return the path of the socket that the server listens on."""
        return str(self._sockets / f".s.PGSQL.{PORT}")

    @property
    def is_running(self) -> bool:
        """Tell whether its server runs, frozen or not."""
        return self._server is not None and self._server.is_running

    @property
    def has_data(self) -> bool:
        """Tell whether there is a database to start."""
        return (self.data / "global" / "pg_control").exists()

    @property
    def is_standby(self) -> bool:
        """Tell whether the next start is that of a standby, by the file that says so."""
        return (self.data / "standby.signal").exists()

    def tree(self) -> list[psutil.Process]:
        """Return its processes."""
        return [] if self._server is None else self._server.tree()

    async def ask(
        self, statement: str, *parameters: str, timeout_s: float = ASK_TIMEOUT_S
    ) -> list[Row]:
        """Run a statement as the superuser in RDS's own database; raise psycopg.Error."""
        return await self.session.ask(statement, *parameters, timeout_s=timeout_s)

    async def mount(self) -> None:
        """Have the disk ready that the data lies on."""
        self._prepare()
        await self.disk.start()

    async def initialise(self) -> None:
        """Make a new, empty database with the twin's two logins in it; leave it stopped."""
        self._prepare()
        password = self._folder / "password"
        self._programs.write(password, self._secrets.superuser + "\n")
        try:
            await self._run(
                "initdb",
                f"--username={SUPERUSER}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                "--no-instructions",
                f"--pwfile={password}",
                f"--pgdata={self.data}",
            )
        finally:
            password.unlink(missing_ok=True)

    async def copy(self) -> None:
        """Make the folder anew as a copy of the upstream; raise PartFailed, keeping the old one."""
        self._prepare()
        draft = self.data.with_name("copy")
        shutil.rmtree(draft, ignore_errors=True)
        await self._run(
            "pg_basebackup",
            f"--dbname={self._upstream_login(REPLICATOR, self._secrets.replicator)}",
            f"--pgdata={draft}",
            "--wal-method=stream",
            "--checkpoint=fast",
            "--no-sync",
        )
        shutil.rmtree(self.data, ignore_errors=True)
        draft.rename(self.data)
        self.follow()

    async def back_up(self, target: Path) -> None:
        """Copy what this server has, while it runs, into the folder `target`; raise PartFailed."""
        login = make_conninfo(
            host=str(self._sockets),
            port=PORT,
            user=REPLICATOR,
            password=self._secrets.replicator,
            application_name=f"{self.member} snapshot",
        )
        await self._run(
            "pg_basebackup",
            f"--dbname={login}",
            f"--pgdata={target}",
            "--wal-method=stream",
            "--checkpoint=fast",
            "--no-sync",
        )

    async def rewind(self) -> None:
        """Give up what the upstream does not have, so that it can be followed; raise PartFailed."""
        source = self._upstream_login(SUPERUSER, self._secrets.superuser, "postgres")
        await self._run(
            "pg_rewind",
            f"--source-server={source}",
            f"--target-pgdata={self.data}",
            "--no-sync",
        )
        self.follow()

    def follow(self) -> None:
        """Be a standby from the next start on."""
        self._programs.write(self.data / "standby.signal", "")

    async def start(self, settings: Mapping[str, str], logins: str) -> None:
        """Start the server and wait until it takes connections; raise PartFailed.

        `settings` come after our own, `logins` are lines of pg_hba.conf.
        """
        await self.end_strays()
        self._prepare()
        self._programs.write(self._folder / "pg_hba.conf", logins)
        self._configure(settings)
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        self.is_frozen = False
        self._server = await self._processes.start(
            self.name,
            [
                self._programs.path("postgres"),
                *("-D", str(self.data)),
                *("-c", f"config_file={self._folder / 'postgresql.conf'}"),
                *("-c", f"hba_file={self._folder / 'pg_hba.conf'}"),
            ],
            environment=self._programs.server_environment(self.name),
            log=self._folder / "log",
            directory=self._folder,
            identity=self._programs.identity(),
        )
        await self._until_ready(self._server)

    def reload(self, settings: Mapping[str, str]) -> None:
        """Let the running server take over other settings."""
        self._configure(settings)
        if self._server is not None:
            self._server.send(signal.SIGHUP)

    async def promote(self) -> None:
        """Make a standby a writer, once it has replayed all that it has; raise psycopg.Error."""
        await self.ask(
            "SELECT pg_promote(true, $1::int)",
            str(int(PROMOTE_TIMEOUT_S)),
            timeout_s=PROMOTE_TIMEOUT_S,
        )

    async def stop(self) -> None:
        """Stop the server in good order, having sent its whole log to who is connected."""
        self.session.close()
        if self._server is not None:
            if self.is_frozen:
                await self.kill()
            # Fast: sessions end, commits that wait end as unknown, a last checkpoint is written.
            await self._server.stop(STOP_TIMEOUT_S, signal.SIGINT)
        await self.end_strays()

    async def kill(self) -> None:
        """End every process that works on the folder, at once."""
        self.session.close()
        if self._server is not None:
            await self._server.kill()
        await self.end_strays()
        self.is_frozen = False

    def freeze(self) -> None:
        """Stop every process of the server as it is, its sessions included."""
        self.is_frozen = True
        if self._server is not None:
            self._server.freeze()

    def thaw(self) -> None:
        """Let a frozen server go on."""
        self.is_frozen = False
        if self._server is not None:
            self._server.thaw()

    async def end_strays(self) -> None:
        """Kill whoever still works in the data directory, such as sessions of a dead postmaster.

        They have nobody's pid any more that would lead to them; but a server's processes stay in
        its data directory, whatever it was renamed to.
        """
        strays = [process for process in psutil.process_iter() if self._works_here(process)]
        for process in strays:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        if strays:
            await asyncio.to_thread(psutil.wait_procs, strays, STOP_TIMEOUT_S)

    async def control(self) -> dict[str, str]:
        """Return what `pg_controldata` says of the stopped database; raise PartFailed."""
        log = self._folder / "control"
        log.unlink(missing_ok=True)
        await self._run("pg_controldata", str(self.data), log=log)
        lines = (line.partition(":") for line in log.read_text().splitlines())
        return {name: value.strip() for name, _, value in lines}

    def _works_here(self, process: psutil.Process) -> bool:
        try:
            return Path(process.cwd()) == self.disk.folder / "data"
        except (psutil.Error, OSError):
            return False

    def _prepare(self) -> None:
        for folder in (self._folder, self._sockets):
            self._programs.make_folder(folder)

    def _upstream_login(self, user: str, password: str, database: str = "") -> str:
        host, port = self._upstream
        words = {"dbname": database} if database else {}
        return make_conninfo(
            host=host,
            port=port,
            user=user,
            password=password,
            application_name=self.member,
            sslmode="disable",
            connect_timeout=int(ASK_TIMEOUT_S),
            **words,
        )

    def _configure(self, settings: Mapping[str, str]) -> None:
        merged = {
            **SETTINGS,
            "unix_socket_directories": str(self._sockets),
            "port": str(PORT),
            "primary_conninfo": self._upstream_login(REPLICATOR, self._secrets.replicator),
            **settings,
        }
        lines = (f"{name} = '{_quoted(value)}'\n" for name, value in merged.items())
        self._programs.write(self._folder / "postgresql.conf", "".join(lines))

    async def _until_ready(self, server: Owned) -> None:
        deadline_s = asyncio.get_running_loop().time() + START_TIMEOUT_S
        while asyncio.get_running_loop().time() < deadline_s and server.is_running:
            found = postmaster.read_pid_file(self.data)
            if found is not None and found.accepts_connections:
                return
            await asyncio.sleep(_POLL_INTERVAL_S)
        await self.kill()
        message = f"{self.name} did not start; its log is {self._folder / 'log'}."
        raise PartFailed(message)

    async def _run(self, program: str, *arguments: str, log: Path | None = None) -> None:
        owned = await self._processes.start(
            f"{self.name} {program}",
            [self._programs.path(program), *arguments],
            environment=self._programs.environment(),
            log=log or self._folder / "log",
            directory=self._folder,
            identity=self._programs.identity(),
        )
        try:
            status = await asyncio.wait_for(owned.wait(), PROGRAM_TIMEOUT_S)
        finally:
            if owned.is_running:
                await owned.kill()
        if status != 0:
            message = f"{program} of {self.name} failed; its log is {self._folder / 'log'}."
            raise PartFailed(message)


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "''")
