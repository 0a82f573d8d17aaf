"""`up`, `serve` and `migrate`: what runs the platform, here and in a container.

They are together because they share their options and the environment that they read.
"""

from __future__ import annotations

import json
import os

import click

from evertill.commands.admin import admin_url
from evertill.quickstart.up import up
from evertill.service import supervisor
from evertill.service.settings import read_settings
from evertill.storage import provisioning
from evertill.storage.migrate import SERVICE_ROLE, VALIDATION_ROLE, migrate

PORT_HELP = "Port to listen on; else $EVERTILL_PORT, else 8080."
# A setting of the service that a migration reads without being one (see service/settings.py).
LOGIN_VARIABLE = "EVERTILL_DATABASE_LOGIN"
WORKERS_HELP = "Worker processes; else $EVERTILL_WORKERS, else 2."


@click.command("up")
@click.option("--port", type=click.IntRange(0, 65_535), help=PORT_HELP)
@click.option("--workers", type=int, help=WORKERS_HELP)
@click.pass_context
def up_command(context: click.Context, port: int | None, workers: int | None) -> None:
    """Start PostgreSQL and the service here, with a demo merchant, until Ctrl-C.

    State is kept in .evertill. EVERTILL_DATABASE_URL names another PostgreSQL (15 or later) to use
    instead of the embedded one, EVERTILL_ADMIN_DATABASE_URL the login that may migrate it.
    """
    context.exit(up(port, workers))


@click.command("serve")
@click.option("--port", type=click.IntRange(0, 65_535), help=PORT_HELP)
@click.option("--workers", type=int, help=WORKERS_HELP)
@click.pass_context
def serve_command(context: click.Context, port: int | None, workers: int | None) -> None:
    """Run the service alone, on the database that EVERTILL_DATABASE_URL names.

    It starts without the database, answers /health, and is ready once that is there. Exits with 0
    when SIGTERM found it able to finish every request in hand.
    """
    given = {"EVERTILL_PORT": port, "EVERTILL_WORKERS": workers}
    overrides = {name: str(value) for name, value in given.items() if value is not None}
    provisioning.read_url(os.environ, provisioning.URL_VARIABLE)
    context.exit(supervisor.run(read_settings({**os.environ, **overrides})))


@click.command("migrate")
@click.option("--json", "is_json", is_flag=True, help="Print the version as JSON.")
def migrate_command(*, is_json: bool) -> None:
    """Bring a database to the schema of this release, and let the service's login use it.

    Logs in by EVERTILL_ADMIN_DATABASE_URL where it is set, else by EVERTILL_DATABASE_URL. In AWS
    EVERTILL_ADMIN_SECRET names the secret with the administrator's login, and with
    EVERTILL_DATABASE_LOGIN=iam the logins are created too. EVERTILL_VALIDATION_USER names the
    validation function's, which may then validate only.
    """
    url = admin_url(os.environ)
    admin = provisioning.check_server(url)
    version = migrate(url)
    logins = [(provisioning.service_user(os.environ) or admin, SERVICE_ROLE)]
    if validation_user := os.environ.get(provisioning.VALIDATION_USER_VARIABLE):
        logins.append((validation_user, VALIDATION_ROLE))
    for user, role in logins:
        if os.environ.get(LOGIN_VARIABLE) == "iam":
            provisioning.create_iam_login(url, user)
        provisioning.allow_login(url, user, role)
    click.echo(json.dumps({"version": version}) if is_json else f"The schema is at {version}.")


commands: list[click.Command] = [up_command, serve_command, migrate_command]
