"""Makes a region's buckets, topics, secrets, tables and log groups, and finds them again later.

It is separate from the emulator that holds them, which knows no templates. What is made is the same
at each start; a generated secret is made once and kept in a file of ours, since the database that
it opens outlives any emulator.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets as random_source
import string
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import boto3
import msgspec
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from evertill.twin.errors import PartFailed
from evertill.twin.plan.storage import (
    BucketSpec,
    LogGroupSpec,
    SecretSpec,
    TableSpec,
    TopicSpec,
)

Spec = BucketSpec | TopicSpec | SecretSpec | TableSpec | LogGroupSpec

TIMEOUT_S: Final = 10
ATTEMPTS_MAX: Final = 3
# The emulator asks for no right ones; the SDK wants to sign.
KEY: Final = "twin"
# What a service says of a thing that is already there, or of one that is not.
EXISTS: Final = {
    "BucketAlreadyOwnedByYou", "ResourceInUseException", "ResourceAlreadyExistsException",
    "ResourceExistsException",
}  # fmt: skip
SESSION: Final = boto3.Session()
MAKING: Final = threading.Lock()
LETTERS: Final = string.ascii_letters + string.digits + string.punctuation


class SecretFile:
    """The texts of generated secrets, by name; only its owner may read the file."""

    def __init__(self, path: Path) -> None:
        """Keep them at `path`."""
        self._path: Final = path
        # Regions that have the same secret are made at the same time.
        self._turn: Final = threading.Lock()

    def text(self, spec: SecretSpec) -> str:
        """Return a secret's text, generating it the first time, with its database's address."""
        if spec.text:
            return spec.text
        with self._turn:
            known = self._read()
            if spec.name not in known:
                known[spec.name] = generated(spec)
                self._write(known)
        if not spec.target:
            return known[spec.name]
        fields: dict[str, Any] = msgspec.json.decode(known[spec.name])
        return msgspec.json.encode(fields | spec.target).decode()

    def _read(self) -> dict[str, str]:
        if not self._path.exists():
            return {}
        return msgspec.json.decode(self._path.read_bytes(), type=dict[str, str])

    def _write(self, texts: Mapping[str, str]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        new = self._path.with_suffix(".new")
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(texts))
        new.replace(self._path)


class Storage:
    """What the templates name in `region`, made in the emulator at `url`."""

    def __init__(self, region: str, url: str, specs: Sequence[Spec], secrets: SecretFile) -> None:
        """Prepare; `specs` are those of this region."""
        self._region: Final = region
        self._url: Final = url
        self._specs: Final = tuple(specs)
        self._secrets: Final = secrets
        self._made = 0

    @property
    def name(self) -> str:
        """Return the part's name."""
        return f"{self._region}/storage/resources"

    async def start(self) -> None:
        """Make what is not there."""
        try:
            await asyncio.to_thread(self._make_all)
        except (ClientError, BotoCoreError) as error:
            raise PartFailed(f"{self.name} did not start: {error}") from error

    async def stop(self) -> None:
        """Leave everything where it is."""

    def status(self) -> dict[str, Any]:
        """Return what there is, by kind."""
        kinds: dict[str, type[object]] = {
            "buckets": BucketSpec,
            "topics": TopicSpec,
            "secrets": SecretSpec,
            "tables": TableSpec,
            "log_groups": LogGroupSpec,
        }
        return {
            kind: [spec.name for spec in self._specs if isinstance(spec, type_)]
            for kind, type_ in kinds.items()
        }

    def _make_all(self) -> None:
        clients = _Clients(self._region, self._url)
        for spec in self._specs:
            match spec:
                case BucketSpec():
                    _make_bucket(clients["s3"], spec)
                case TopicSpec():
                    _make_topic(clients["sns"], spec)
                case SecretSpec():
                    _make_secret(clients["secretsmanager"], spec, self._secrets.text(spec))
                case TableSpec():
                    make_table(clients["dynamodb"], spec)
                case LogGroupSpec():
                    with _already_there():
                        clients["logs"].create_log_group(logGroupName=spec.name)


class _Clients(dict[str, Any]):
    """boto3's clients for an emulator, made as they are asked for."""

    def __init__(self, region: str, url: str) -> None:
        super().__init__()
        self._region = region
        self._url = url

    def __missing__(self, service: str) -> Any:  # noqa: ANN401 - boto3 has no types
        self[service] = client_of(service, self._region, self._url)
        return self[service]


def client_of(service: str, region: str, url: str) -> Any:  # noqa: ANN401 - boto3 has no types
    """Return boto3's client for one service of an emulator."""
    config = Config(
        connect_timeout=TIMEOUT_S,
        read_timeout=TIMEOUT_S,
        retries={"total_max_attempts": ATTEMPTS_MAX, "mode": "standard"},
    )
    # Clients may be shared by threads, but not be made by two at a time:
    # https://docs.aws.amazon.com/boto3/latest/guide/clients.html#multithreading-or-multiprocessing-with-clients
    with MAKING:
        return SESSION.client(
            service,
            endpoint_url=url,
            region_name=region,
            aws_access_key_id=KEY,
            aws_secret_access_key=KEY,
            config=config,
        )


def generated(spec: SecretSpec) -> str:
    """Return a new secret, by the rule of the template."""
    letters = [letter for letter in LETTERS if letter not in spec.excluded]
    password = "".join(random_source.choice(letters) for _ in range(spec.length))
    if not spec.key:
        return password
    fields: dict[str, Any] = msgspec.json.decode(spec.template or "{}")
    return msgspec.json.encode({**fields, spec.key: password}).decode()


def make_table(dynamodb: Any, spec: TableSpec) -> None:  # noqa: ANN401 - boto3 has no types
    """Make a table, unless it is there."""
    with _already_there():
        dynamodb.create_table(
            TableName=spec.name,
            KeySchema=[{"AttributeName": name, "KeyType": kind} for name, kind in spec.keys],
            AttributeDefinitions=[
                {"AttributeName": name, "AttributeType": kind} for name, kind in spec.attributes
            ],
            BillingMode="PAY_PER_REQUEST",
        )


def _make_bucket(s3: Any, spec: BucketSpec) -> None:  # noqa: ANN401 - boto3 has no types
    place = {"LocationConstraint": spec.region}
    regional = {} if spec.region == "us-east-1" else {"CreateBucketConfiguration": place}
    with _already_there():
        s3.create_bucket(Bucket=spec.name, ObjectLockEnabledForBucket=spec.has_lock, **regional)
    if spec.is_versioned:
        s3.put_bucket_versioning(Bucket=spec.name, VersioningConfiguration={"Status": "Enabled"})
    if spec.lock:
        mode, days = spec.lock
        rule = {"DefaultRetention": {"Mode": mode, "Days": days}}
        s3.put_object_lock_configuration(
            Bucket=spec.name,
            ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule},
        )


def _make_topic(sns: Any, spec: TopicSpec) -> None:  # noqa: ANN401 - boto3 has no types
    arn = sns.create_topic(Name=spec.name)["TopicArn"]
    for protocol, endpoint in spec.subscriptions:
        sns.subscribe(TopicArn=arn, Protocol=protocol, Endpoint=endpoint)


def _make_secret(secrets: Any, spec: SecretSpec, text: str) -> None:  # noqa: ANN401 - as above
    with _already_there():
        secrets.create_secret(Name=spec.name, SecretString=text)
    # One that was there before has another text: the address of its database may have changed.
    secrets.put_secret_value(SecretId=spec.name, SecretString=text)


@contextlib.contextmanager
def _already_there() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        if error.response["Error"]["Code"] not in EXISTS:
            raise
