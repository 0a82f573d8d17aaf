"""The database behind `evertill up`: the embedded one, or the one that the environment names.

It is separate so that everything after it sees two connection strings and no difference.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from psycopg.conninfo import conninfo_to_dict

from evertill.quickstart.cluster import Cluster
from evertill.quickstart.faults import ClusterError
from evertill.quickstart.state import State
from evertill.storage import migrate, provisioning

DATABASE: Final = "database"
LOGIN: Final = "payment_user"
LOGIN_FILE: Final = f"{LOGIN}.password"
LOGIN_PASSWORD_BYTES: Final = 24


@dataclass(frozen=True, slots=True)
class Backing:
    """A migrated database: how to administer it, how to serve from it, what to call it."""

    admin_url: str
    url: str
    name: str
    cluster: Cluster | None = None

    def recover(self, say: Callable[[str], None]) -> None:
        """Start the embedded server again where it has ended; it is the system's own otherwise.

        Raise ClusterError when it cannot be started as it was.
        """
        if self.cluster is None or self.cluster.is_running():
            return
        say("PostgreSQL ended unexpectedly; starting it again.")
        port = self.cluster.port
        self.cluster.restart()
        if self.cluster.port != port:
            message = (
                f"PostgreSQL's port {port} was taken by another program meanwhile. "
                "Start again; nothing is lost."
            )
            raise ClusterError(message)
        say("PostgreSQL runs again; the service reconnects by itself.")


def prepare(
    stack: ExitStack, state: State, environment: Mapping[str, str], say: Callable[[str], None]
) -> Backing:
    """Start or find the database and migrate it; `stack` stops what was started."""
    if environment.get(provisioning.URL_VARIABLE):
        return _named(environment, say)
    return _embedded(stack, state, say)


def _named(environment: Mapping[str, str], say: Callable[[str], None]) -> Backing:
    url = provisioning.read_url(environment, provisioning.URL_VARIABLE)
    admin_url = provisioning.read_url(
        environment, provisioning.ADMIN_URL_VARIABLE, provisioning.URL_VARIABLE
    )
    parts = conninfo_to_dict(url)
    name = f"{parts.get('dbname', 'postgres')} at {parts.get('host', 'the local socket')}"
    say(f"Using the PostgreSQL database {name}.")
    user = provisioning.check_server(url)
    say("Migrating it.")
    migrate.migrate(admin_url)
    provisioning.allow_login(admin_url, user)
    return Backing(admin_url, url, name)


def _embedded(stack: ExitStack, state: State, say: Callable[[str], None]) -> Backing:
    cluster = Cluster(state.directory / DATABASE, on_progress=say)
    say("Starting PostgreSQL.")
    stack.enter_context(cluster)
    say("Migrating the database.")
    admin_url = cluster.dsn()
    migrate.migrate(admin_url)
    password = state.read(LOGIN_FILE) or secrets.token_urlsafe(LOGIN_PASSWORD_BYTES)
    state.write(LOGIN_FILE, password)
    migrate.create_login(admin_url, LOGIN, password)
    return Backing(
        admin_url,
        cluster.dsn(user=LOGIN, password=password),
        str(shown(cluster.data_directory)),
        cluster,
    )


def shown(path: Path) -> Path:
    """Return `path` as short as it can be said here."""
    absolute = path.absolute()
    return absolute.relative_to(Path.cwd()) if absolute.is_relative_to(Path.cwd()) else absolute
