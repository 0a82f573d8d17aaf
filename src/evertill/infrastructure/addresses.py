"""Where the database is, as those are told who log in to it: no password, certificates checked.

It is separate because tasks, the migration and the function are told alike, and because the reader
has an address of its own: a secondary's writer endpoint does not answer (decision 0018).
"""

from __future__ import annotations

from evertill.infrastructure.stacks import DataStack


def writer_url(data: DataStack, authorities: str, user: str = "") -> str:
    """Return where the writer is, for `user` or for nobody in particular."""
    return _url(data, data.database.writer_host, authorities, user)


def database_urls(data: DataStack, user: str, authorities: str) -> dict[str, str]:
    """Return the variables that name both endpoints for `user`."""
    return {
        "EVERTILL_DATABASE_URL": writer_url(data, authorities, user),
        "EVERTILL_DATABASE_READER_URL": _url(data, data.database.reader_host, authorities, user),
    }


def _url(data: DataStack, host: str, authorities: str, user: str) -> str:
    database = data.database
    login = f"{user}@" if user else ""
    return (
        f"postgresql://{login}{host}:{database.port}/{database.name}"
        f"?sslmode=verify-full&sslrootcert={authorities}"
    )
