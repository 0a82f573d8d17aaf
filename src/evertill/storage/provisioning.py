"""What is done to a database beside its schema: whether it will do, and who may use it.

It is separate from `migrate` because a deployment migrates with one role and serves with another,
and because these questions are asked by commands, before there is a service or a pool.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
import psycopg
from psycopg import conninfo, sql

from evertill.domain.errors import EvertillError, UsageError
from evertill.domain.rules import MerchantTerms
from evertill.storage.directory import digest
from evertill.storage.migrate import SERVICE_ROLE
from evertill.storage.statements import STATEMENTS

URL_VARIABLE: Final = "EVERTILL_DATABASE_URL"
ADMIN_URL_VARIABLE: Final = "EVERTILL_ADMIN_DATABASE_URL"
VALIDATION_USER_VARIABLE: Final = "EVERTILL_VALIDATION_USER"
CONNECT_TIMEOUT_S: Final = 10
# Whoever is a member of it logs in by IAM and by nothing else.
IAM_ROLE: Final = "rds_iam"
SERVER_VERSION_MIN: Final = 15
_VERSION_UNIT: Final = 10_000


class ServerTooOld(EvertillError):
    """The PostgreSQL server is too old: Evertill needs PostgreSQL 15 or later."""

    code = "server_too_old"


class NoIamLogins(EvertillError):
    """This server knows no logins by IAM (it has no role rds_iam); only RDS and Aurora do."""

    code = "no_iam_logins"


class RoleNotGranted(EvertillError):
    """A login may not act as the role that the schema grants its rights to."""

    code = "role_not_granted"


def read_url(environment: Mapping[str, str], *names: str) -> str:
    """Return the connection string in the first of the variables `names` that is set.

    Raise UsageError, which never repeats it, when none is set or it is not readable.
    """
    name = next((name for name in names if environment.get(name)), None)
    if name is None:
        message = f"Set {names[-1]} to postgresql://user:password@host:port/database first."
        raise UsageError(message)
    try:
        return conninfo.make_conninfo(environment[name], connect_timeout=CONNECT_TIMEOUT_S)
    except psycopg.ProgrammingError:
        message = (
            f"{name} is not a connection string; write it as "
            "postgresql://user:password@host:port/database."
        )
        raise UsageError(message) from None


def service_user(environment: Mapping[str, str]) -> str | None:
    """Return the login that the service's connection string names, None when it names none."""
    if not environment.get(URL_VARIABLE):
        return None
    user = conninfo.conninfo_to_dict(read_url(environment, URL_VARIABLE)).get("user")
    return None if user is None else str(user)


def check_server(url: str) -> str:
    """Return the user that `url` logs in as.

    Raise ServerTooOld, or psycopg.OperationalError when the server cannot be reached.
    """
    with psycopg.connect(url) as connection:
        version = connection.info.server_version // _VERSION_UNIT
        if version < SERVER_VERSION_MIN:
            message = (
                f"{URL_VARIABLE} points at PostgreSQL {version}; Evertill needs "
                f"PostgreSQL {SERVER_VERSION_MIN} or later."
            )
            raise ServerTooOld(message)
        return connection.info.user


def create_iam_login(admin_url: str, user: str) -> None:
    """Create the login `user`, which has no password and logs in by IAM; it is safe to repeat.

    Raise NoIamLogins where the server is none of Amazon's.
    https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/UsingWithRDS.IAMDBAuth.DBAccounts.html
    """
    with psycopg.connect(admin_url) as connection:
        if not _has_role(connection, IAM_ROLE):
            raise NoIamLogins
        verb = "ALTER" if _has_role(connection, user) else "CREATE"
        login = sql.Identifier(user)
        connection.execute(sql.SQL("{} ROLE {} LOGIN").format(sql.SQL(verb), login))
        connection.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(IAM_ROLE), login))


def _has_role(connection: psycopg.Connection, role: str) -> bool:
    found = connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [role]).fetchone()
    return found is not None


def allow_login(admin_url: str, user: str, role: str = SERVICE_ROLE) -> None:
    """Let the login `user` act as `role`; raise RoleNotGranted when we may not."""
    with psycopg.connect(admin_url) as connection:
        if connection.execute(STATEMENTS["is_superuser"], {"user": user}).fetchone() == (True,):
            return
        grant = sql.SQL("GRANT {} TO {}").format(sql.Identifier(role), sql.Identifier(user))
        try:
            connection.execute(grant)
        except psycopg.Error as error:
            message = (
                f"The login {user} may not act as {role}. Run this in the database as an "
                f"administrator: {grant.as_string()}"
            )
            raise RoleNotGranted(message) from error


def knows_key(url: str, api_key: str) -> bool:
    """Tell whether the database knows an API key that was not revoked."""
    with psycopg.connect(url, options="-c search_path=evertill") as connection:
        row = {"key_digests": [digest(api_key)]}
        return connection.execute(STATEMENTS["find_principals"], row).fetchone() is not None


def find_terms(url: str, name: str) -> MerchantTerms | None:
    """Return the terms of the merchant `name`, None when there is none."""
    with psycopg.connect(url) as connection:
        row = connection.execute(STATEMENTS["find_terms"], {"name": name}).fetchone()
    return None if row is None else msgspec.json.decode(row[0], type=MerchantTerms)
