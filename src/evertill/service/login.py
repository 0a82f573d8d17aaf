"""How the service logs in to its database: with the password in its URL, or as itself, by IAM.

It is separate because storage does not care: it is given a connection string, or what makes one for
each new connection. An IAM login's password is a signed statement of who calls. It is good for
fifteen minutes and only for connecting, so each connection gets a new one:
https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/UsingWithRDS.IAMDBAuth.Connecting.html
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import NamedTuple

import psycopg
from psycopg import conninfo

from evertill.domain.errors import UsageError
from evertill.domain.signing import Credentials, Signer
from evertill.service.cloud import Identity, NoCredentials
from evertill.service.settings import Settings
from evertill.storage.database import Address


class Addresses(NamedTuple):
    """Where the writer is and, where one is named, a reader, and how to log in to each."""

    writer: Address
    reader: Address | None


def addresses(settings: Settings) -> Addresses:
    """Return where the database is; raise UsageError for a URL without a user.

    Both are logged in to as one identity, which asks AWS for its credentials once.
    """
    writer, reader = settings.database_url, settings.database_reader_url or None
    if settings.database_login == "password":
        return Addresses(writer, reader)
    identity = Identity()
    login = IamLogin(writer, settings.region, identity)
    if reader is None:
        return Addresses(login.conninfo, None)
    return Addresses(login.conninfo, IamLogin(reader, settings.region, identity).conninfo)


class IamLogin:
    """A login whose password is a new token for every connection."""

    def __init__(self, url: str, region: str, identity: Identity | None = None) -> None:
        """Log in to the database at `url`, which names the user and no password."""
        self._url = url
        self._region = region
        self._identity = identity or Identity()
        parts = conninfo.conninfo_to_dict(url)
        if not parts.get("host") or not parts.get("user"):
            message = "A database URL must name a user and a host for a login by IAM."
            raise UsageError(message)
        self._host = f"{parts['host']}:{parts.get('port') or 5432}"
        self._user = str(parts["user"])

    async def conninfo(self) -> str:
        """Return a connection string with a new token.

        Without credentials it raises what an unreachable database does: both pass, and both are
        tried again.
        """
        try:
            # Mostly remembered; once in some hours it asks the task's own endpoint.
            credentials = await asyncio.to_thread(self._identity.credentials)
        except NoCredentials as failure:
            raise psycopg.OperationalError(str(failure)) from failure
        token = self.token(credentials, datetime.now(UTC))
        return conninfo.make_conninfo(self._url, password=token)

    def token(self, credentials: Credentials, at: datetime) -> str:
        """Return the password of this login at a moment."""
        return Signer(credentials, self._region, "rds-db", at).login_token(self._host, self._user)
