"""Who a command logs in as when it changes the schema or the directory of merchants.

It is a module of its own because every such command asks, and all of them must log in alike, here
and in AWS.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from psycopg.conninfo import make_conninfo

from evertill.service.cloud import read_admin_login
from evertill.storage import provisioning

# Settings of the service that a command reads without being one (see service/settings.py).
REGION_VARIABLE: Final = "EVERTILL_REGION"
SECRET_VARIABLE: Final = "EVERTILL_ADMIN_SECRET"  # noqa: S105 - a variable's name


def admin_url(environment: Mapping[str, str]) -> str:
    """Return the administrator's connection string, its login from a secret where one is named."""
    url = provisioning.read_url(
        environment, provisioning.ADMIN_URL_VARIABLE, provisioning.URL_VARIABLE
    )
    name = environment.get(SECRET_VARIABLE)
    if not name:
        return url
    login = read_admin_login(name, environment.get(REGION_VARIABLE, ""))
    return make_conninfo(url, user=login.username, password=login.password)
