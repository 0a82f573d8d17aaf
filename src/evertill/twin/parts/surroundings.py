"""What tasks find around them: their role's keys, their region's AWS API, secrets and files.

It is separate from the tasks because each of these belongs to another part of the twin, and a task
needs to know none of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from evertill.twin.errors import TwinError
from evertill.twin.parts.storage import client_of

KEYS_VARIABLE: Final = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
ENDPOINT_VARIABLE: Final = "AWS_ENDPOINT_URL"
# The fields of a secret's ARN up to its name; what may follow is a key, a stage and a version.
ARN_FIELDS: Final = 6
PARAMETERS: Final = ":ssm:"


class SecretMissing(TwinError):
    """A container asks for a secret that is not there."""

    code = "secret_missing"


class SecretSource(msgspec.Struct, frozen=True):
    """What `ValueFrom` of a container's secret names; `key` is empty for all of it."""

    secret: str
    key: str = ""
    stage: str = ""
    version: str = ""


class Around:
    """The surroundings of all tasks of a twin."""

    def __init__(
        self,
        endpoints: Mapping[str, str],
        keys_uri: Callable[[str], str],
        files: Mapping[str, Path],
        variables: Mapping[str, str],
        clock: Callable[[str, str], Mapping[str, str]] = lambda _, __: {},
    ) -> None:
        """Know the AWS API by region, where a role's keys are, an image's files by their supply.

        `variables` are for every task, such as how fast time goes here; `clock` gives those that
        let the clock of one jump, by its region and its name.
        """
        self._endpoints: Final = dict(endpoints)
        self._keys_uri: Final = keys_uri
        self._files: Final = dict(files)
        self._variables: Final = dict(variables)
        self._clock: Final = clock

    def environment(self, region: str, role: str, task: str) -> Mapping[str, str]:
        """Return where a task's keys and its region's AWS API are; no keys without a role."""
        keys = {KEYS_VARIABLE: self._keys_uri(role)} if role else {}
        clock = self._clock(region, task)
        return {**self._variables, ENDPOINT_VARIABLE: self._endpoints[region], **keys, **clock}

    async def secret(self, region: str, value_from: str) -> str:
        """Return what a secret, or one key of it, holds; raise SecretMissing."""
        source = source_of(value_from)
        text = await asyncio.to_thread(self._read, region, source)
        if not source.key:
            return text
        try:
            fields = msgspec.json.decode(text)
            return str(fields[source.key])
        except (msgspec.DecodeError, KeyError, TypeError) as error:
            message = f"The secret {source.secret} has no key {source.key}."
            raise SecretMissing(message) from error

    def file(self, supply: str) -> Path | None:
        """Return the file that stands for one of an image's, None when there is none."""
        return self._files.get(supply)

    def _read(self, region: str, source: SecretSource) -> str:
        client = client_of("secretsmanager", region, self._endpoints[region])
        more = {"VersionStage": source.stage, "VersionId": source.version}
        given = {name: value for name, value in more.items() if value}
        try:
            return str(client.get_secret_value(SecretId=source.secret, **given)["SecretString"])
        except (BotoCoreError, ClientError, KeyError) as error:
            message = f"The secret {source.secret} cannot be read: {error}"
            raise SecretMissing(message) from error


def source_of(value_from: str) -> SecretSource:
    """Return what `ValueFrom` names: a name or an ARN, and perhaps `:key:stage:version`.

    Raises SecretMissing for a parameter of Systems Manager, which the twin does not keep.
    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/secrets-envvar-secrets-manager.html
    """
    if PARAMETERS in value_from:
        message = f"{value_from} is a parameter of Systems Manager, which the twin does not keep."
        raise SecretMissing(message)
    if not value_from.startswith("arn:"):
        name, *more = value_from.split(":")
        return SecretSource(name, *more[:3])
    *head, rest = value_from.split(":", ARN_FIELDS)
    name, *more = rest.split(":")
    return SecretSource(":".join([*head, name]), *more[:3])
