"""What a task asks of AWS: who it is, and one secret by name.

It is separate from `domain.signing`, which is pure, and from `login`, which decides when to ask.
Every question has a bound, and every failure is one sentence without anything secret in it.
"""

from __future__ import annotations

import http.client
import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

import msgspec

from evertill.domain.errors import EvertillError
from evertill.domain.signing import Credentials

# ECS hands a task's keys out at this address, below the path that the variable names:
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-iam-roles.html
TASK_ADDRESS: Final = "http://169.254.170.2"
PATH_VARIABLE: Final = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
ADDRESS_VARIABLE: Final = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
_NOBODY: Final = f"Neither {PATH_VARIABLE} nor {ADDRESS_VARIABLE} names this process's role."
ASK_TIMEOUT_S: Final = 2.0
CALL_TIMEOUT_S: Final = 10.0
# ECS renews keys in good time; these are asked for again while the old ones still work.
RENEW_BEFORE: Final = timedelta(minutes=5)


class NoCredentials(EvertillError):
    """AWS gives this process no credentials: it has no task role, or cannot reach it."""

    code = "no_credentials"


class SecretUnreadable(EvertillError):
    """The secret with the administrator's login cannot be read."""

    code = "secret_unreadable"


class AdminLogin(msgspec.Struct, frozen=True):
    """What the administrator's secret holds of interest."""

    username: str
    password: str


class Identity:
    """The task's role: its keys, asked for when they are needed and remembered while they last."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        """Find the role where `environment` says."""
        path = environment.get(PATH_VARIABLE)
        self._address = TASK_ADDRESS + path if path else environment.get(ADDRESS_VARIABLE)
        self._credentials: Credentials | None = None

    def credentials(self) -> Credentials:
        """Return keys that are valid for a while; raise NoCredentials. This may wait for AWS."""
        known = self._credentials
        if known is None or _ends_soon(known):
            known = self._credentials = self._ask()
        return known

    def _ask(self) -> Credentials:
        if self._address is None:
            raise NoCredentials(_NOBODY)
        address = urlsplit(self._address)
        connection = http.client.HTTPConnection(address.netloc, timeout=ASK_TIMEOUT_S)
        try:
            connection.request("GET", address.path)
            # Whatever is not the keys, such as an error's page, does not decode to them.
            return msgspec.json.decode(connection.getresponse().read(), type=Credentials)
        except (OSError, http.client.HTTPException, msgspec.MsgspecError) as failure:
            raise NoCredentials from failure
        finally:
            connection.close()


def read_admin_login(name: str, region: str) -> AdminLogin:
    """Return the login in the secret `name`, asked for as this task.

    Raise NoCredentials or SecretUnreadable.
    """
    # Only a migration asks, and loading the SDK takes a third of a second.
    import boto3  # noqa: PLC0415 - see above
    from botocore.config import Config  # noqa: PLC0415 - see above
    from botocore.exceptions import (  # noqa: PLC0415 - see above
        BotoCoreError,
        ClientError,
        NoCredentialsError,
    )

    config = Config(connect_timeout=ASK_TIMEOUT_S, read_timeout=CALL_TIMEOUT_S)
    try:
        # A session of its own: the SDK's default one remembers who asked first in this process.
        session = boto3.session.Session()
        client = session.client("secretsmanager", region_name=region, config=config)
        secret = client.get_secret_value(SecretId=name)["SecretString"]
        return msgspec.json.decode(secret, type=AdminLogin)
    except NoCredentialsError as failure:
        raise NoCredentials(_NOBODY) from failure
    except (BotoCoreError, ClientError, msgspec.MsgspecError, KeyError) as failure:
        message = f"The secret {name} in {region} cannot be read, or holds no login."
        raise SecretUnreadable(message) from failure


def _ends_soon(credentials: Credentials) -> bool:
    end = credentials.expiration
    return end is not None and end - datetime.now(UTC) < RENEW_BEFORE
