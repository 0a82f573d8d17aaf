"""What RDS makes in a new cluster before its owner sees it: logins, roles, the first database.

It is separate because it happens once in a cluster's life; everything later is replicated.
https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/Appendix.PostgreSQL.CommonDBATasks.Roles.html
"""

from __future__ import annotations

from typing import Final

from psycopg import sql

from evertill.twin.parts.postgres import OWN_DATABASE, REPLICATOR, Instance, Secrets
from evertill.twin.parts.session import Session

# Roles that the first user is a member of on RDS; the other grants follow from CREATEROLE.
OWNERS_ROLES: Final = ("pg_monitor", "pg_signal_backend", "pg_checkpoint", "pg_read_all_data")
FOUND_TIMEOUT_S: Final = 60.0


async def found_own(instance: Instance, secrets: Secrets) -> None:
    """Make RDS's own database, the login for replication, and the heartbeat."""
    first = Session(instance.login("postgres"))
    made = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(OWN_DATABASE))
    await first.ask(made.as_string(), timeout_s=FOUND_TIMEOUT_S)
    first.close()
    statements = (
        sql.SQL("CREATE ROLE {} LOGIN REPLICATION PASSWORD {}").format(
            sql.Identifier(REPLICATOR), sql.Literal(secrets.replicator)
        ),
        sql.SQL("CREATE TABLE heartbeat (id int PRIMARY KEY, at_s float8 NOT NULL)"),
        sql.SQL("INSERT INTO heartbeat VALUES (1, 0)"),
        sql.SQL("CREATE ROLE rds_iam NOLOGIN"),
        sql.SQL("CREATE ROLE rds_superuser NOLOGIN"),
        *(
            sql.SQL("GRANT {} TO rds_superuser WITH ADMIN OPTION").format(sql.Identifier(role))
            for role in OWNERS_ROLES
        ),
        sql.SQL("REVOKE CONNECT ON DATABASE {} FROM PUBLIC").format(sql.Identifier(OWN_DATABASE)),
    )
    await _run(instance, statements)


async def found_owner(instance: Instance, user: str, password: str, database: str) -> None:
    """Make the first user, and the first database where one is named; both are safe to repeat."""
    rows = await instance.ask("SELECT rolname FROM pg_roles WHERE rolname = $1", user)
    name = sql.Identifier(user)
    verb = sql.SQL("ALTER" if rows else "CREATE")
    statements = [
        sql.SQL("{} ROLE {} LOGIN CREATEDB CREATEROLE INHERIT PASSWORD {}").format(
            verb, name, sql.Literal(password)
        ),
        sql.SQL("GRANT rds_superuser TO {}").format(name),
        # May let others log in by IAM, without having to do so itself.
        sql.SQL("GRANT rds_iam TO {} WITH ADMIN OPTION, INHERIT FALSE, SET FALSE").format(name),
    ]
    if database and not await instance.ask(
        "SELECT 1 FROM pg_database WHERE datname = $1", database
    ):
        statements.append(
            sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(database), name)
        )
    await _run(instance, statements)


async def _run(
    instance: Instance, statements: list[sql.Composed] | tuple[sql.Composable, ...]
) -> None:
    for statement in statements:
        await instance.ask(statement.as_string(), timeout_s=FOUND_TIMEOUT_S)
