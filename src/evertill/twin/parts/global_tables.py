"""Makes the global tables in the emulator that they share, and keeps their items on disk.

The emulator writes tables down only when it ends, and a lease that a killed twin forgets could be
given away twice. So every change of a global table is written to a file of ours before it is
answered, and read again at the start. Such tables are small: a lease, a flag.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from evertill.twin.api.errors import ApiError
from evertill.twin.api.tables import SHARED_REGION
from evertill.twin.errors import PartFailed
from evertill.twin.parts.storage import client_of, make_table
from evertill.twin.plan.storage import TableSpec

# More than a table that is written down as a whole at every change should have.
ITEMS_MAX: Final = 1_000
SERVER_ERROR: Final = 500


class GlobalTables:
    """The tables of `specs` at `url`, written down below `folder`."""

    def __init__(self, url: str, folder: Path, specs: Sequence[TableSpec]) -> None:
        """Prepare; the emulator must run before the start."""
        self._url: Final = url
        self._folder: Final = folder
        self.specs: Final = tuple(specs)
        self._saving: Final = asyncio.Lock()

    @property
    def name(self) -> str:
        """Return the part's name."""
        return "global/tables/dynamodb"

    async def start(self) -> None:
        """Make the tables and put their items back."""
        try:
            await asyncio.to_thread(self._make_all)
        except (ClientError, BotoCoreError) as error:
            raise PartFailed(f"{self.name} did not start: {error}") from error

    async def stop(self) -> None:
        """Leave everything where it is."""

    def status(self) -> dict[str, Any]:
        """Return the tables and their members."""
        return {
            spec.name: {"replicas": list(spec.regions), "witnesses": list(spec.witnesses)}
            for spec in self.specs
        }

    def kept(self, table: str) -> list[dict[str, Any]]:
        """Return the items of a table as they were last written down, in DynamoDB's JSON."""
        try:
            items: list[dict[str, Any]] = msgspec.json.decode(self._path(table).read_bytes())
        except (OSError, msgspec.DecodeError):
            return []
        return items

    async def save(self, table: str) -> None:
        """Write a table down; raise ApiError when that is not possible."""
        try:
            # One after the other: what is read later must not be overwritten by what was earlier.
            async with self._saving:
                await asyncio.to_thread(self._save, table)
        except (ClientError, BotoCoreError, OSError) as error:
            message = f"{table} could not be written down: {error}"
            raise ApiError("InternalServerError", message, SERVER_ERROR) from error

    @cached_property
    def _client(self) -> Any:  # noqa: ANN401 - boto3 has no types
        return client_of("dynamodb", SHARED_REGION, self._url)

    def _make_all(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        for spec in self.specs:
            make_table(self._client, spec)
            path = self._path(spec.name)
            items = msgspec.json.decode(path.read_bytes()) if path.exists() else []
            kept = [_keys_of(item, spec) for item in items]
            for item in self._items(spec.name):
                if _keys_of(item, spec) not in kept:
                    self._client.delete_item(TableName=spec.name, Key=_keys_of(item, spec))
            for item in items:
                self._client.put_item(TableName=spec.name, Item=item)

    def _save(self, table: str) -> None:
        new = self._path(table).with_suffix(".new")
        with new.open("wb") as file:
            file.write(msgspec.json.encode(self._items(table), enc_hook=_encoded))
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._path(table))

    def _items(self, table: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        pages = self._client.get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
        for page in pages:
            found += page["Items"]
            if len(found) > ITEMS_MAX:
                message = f"{table} has more than {ITEMS_MAX} items, the most a global table holds."
                raise ApiError("LimitExceededException", message)
        return found

    def _path(self, table: str) -> Path:
        return self._folder / f"{table}.json"


def _keys_of(item: dict[str, Any], spec: TableSpec) -> dict[str, Any]:
    return {name: item[name] for name, _ in spec.keys}


def _encoded(value: Any) -> Any:  # noqa: ANN401 - what JSON has no form for
    raise ApiError("ValidationException", f"A global table here holds no {type(value).__name__}.")
