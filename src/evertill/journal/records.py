"""The transaction log's format: records in a hash chain, and the objects that hold them.

It is pure and separate from writing and reading, so that both sides agree by sharing it. An object
is gzipped NDJSON: a manifest, then one record a line. A record's hash is the SHA-256 of its line
without the line feed, and each record begins with the hash of the one before it; `sha256sum` is all
that an auditor needs. docs/decisions/0030-transaction-log.md says what a chain is.
"""

from __future__ import annotations

import gzip
import hashlib
import re
import zlib
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec

from evertill.domain import ids
from evertill.domain.outbox import Head, OutboxEvent

FORMAT_VERSION: Final = 1
MEDIA_TYPE: Final = "application/x-ndjson+gzip"
# The fastest level: records are mostly ids and hashes, which no level compresses.
COMPRESSION_LEVEL: Final = 1
# What an object of ours is at most, unpacked; larger ones are not read.
OBJECT_SIZE_MAX_BYTES: Final = 256 * 1024 * 1024
_KEY: Final = re.compile(
    r"(?P<region>[a-z0-9-]+)/(?P<hour>\d{4}/\d\d/\d\d/\d\d)/"
    r"(?P<chain>[0-9a-f]{32})-(?P<sequence>\d{8})\.ndjson\.gz"
)


class Manifest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An object's first line: where it stands in which chain, and what its records hash to.

    `follows` is the object after which this chain began, as far as its writer knew. A chain that is
    `alone` follows none and is followed by none, because its writer knows of no other: a copy of
    the validation function. The hash before a chain's first record covers both.
    """

    manifest: int
    region: str
    chain: str
    sequence: int
    follows: Head | None
    sealed_at: str
    records: int
    previous: str
    first: str
    last: str
    alone: bool = False


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One event in the log; `n` counts the chain's records from 1.

    `payment_id` names what the event is about: a payment, or a validation, which takes none.
    """

    n: int
    prev: str
    id: str
    type: str
    merchant_id: int
    payment_id: str
    created_at: datetime
    data: Any


class Place(NamedTuple):
    """What an object's key says."""

    key: str
    region: str
    hour: str
    chain: str
    sequence: int


def hash_line(line: bytes) -> str:
    """Return a record's hash."""
    return hashlib.sha256(line).hexdigest()


def genesis(region: str, chain: str, follows: Head | None, *, alone: bool = False) -> str:
    """Return the hash before a chain's first record: of its name and of what it follows."""
    parts = [f"evertill log {FORMAT_VERSION}", region, chain]
    if alone:
        parts += ["alone"]
    if follows is not None:
        parts += [follows.region, follows.chain, str(follows.sequence), follows.hash]
    return hash_line("\n".join(parts).encode())


def write_key(region: str, chain: str, sequence: int, at: datetime) -> str:
    """Return the key of an object that was sealed at a time."""
    return f"{region}/{at:%Y/%m/%d/%H}/{chain}-{sequence:08d}.ndjson.gz"


def read_key(key: str) -> Place | None:
    """Return what a key says, None when it is none of ours."""
    found = _KEY.fullmatch(key)
    if found is None:
        return None
    return Place(key, found["region"], found["hour"], found["chain"], int(found["sequence"]))


class Chain:
    """The end of one chain that is being written."""

    def __init__(
        self, region: str, chain: str, follows: Head | None, *, alone: bool = False
    ) -> None:
        """Begin a chain after `follows`, or one that stays alone."""
        self.region = region
        self.chain = chain
        self.follows = follows
        self.alone = alone
        self.sequence = 0
        self.records = 0
        self.hash = genesis(region, chain, follows, alone=alone)


class Sealed(NamedTuple):
    """An object that is ready to be stored, and where the chain stands with it."""

    key: str
    lines: list[bytes]
    head: Head

    def pack(self) -> bytes:
        """Return the object's bytes: the same for the same lines, whenever and wherever it is."""
        return gzip.compress(b"\n".join([*self.lines, b""]), COMPRESSION_LEVEL, mtime=0)


class Draft:
    """An object in the making: records are added in order, then it is sealed."""

    def __init__(self, chain: Chain) -> None:
        """Go on where `chain` ends."""
        self._chain = chain
        self._previous = chain.hash
        self._first: str | None = None
        self._lines: list[bytes] = [b""]

    def add(self, events: Iterable[OutboxEvent], subject: str = ids.PAYMENT) -> None:
        """Append events as records; `subject` is the prefix of what they are about."""
        chain = self._chain
        at, written_at = None, ""
        for event in events:
            if event.created_at is not at:
                at = event.created_at
                written_at = write_time(at)
            chain.records += 1
            line = (
                f'{{"n":{chain.records},"prev":"{chain.hash}","id":"evt_{event.event_id.hex()}",'
                f'"type":"{event.type}","merchant_id":{event.merchant_id},'
                f'"payment_id":"{subject}{event.payment_id.hex()}","created_at":"{written_at}",'
                f'"data":{event.answer}}}'
            ).encode()
            chain.hash = hash_line(line)
            self._first = self._first or chain.hash
            self._lines.append(line)

    def seal(self, at: datetime) -> Sealed:
        """Finish the object, which has at least one record, and move the chain behind it."""
        chain = self._chain
        manifest = Manifest(
            manifest=FORMAT_VERSION,
            region=chain.region,
            chain=chain.chain,
            sequence=chain.sequence,
            follows=chain.follows,
            sealed_at=write_time(at),
            records=len(self._lines) - 1,
            previous=self._previous,
            first=self._first or "",
            last=chain.hash,
            alone=chain.alone,
        )
        self._lines[0] = msgspec.json.encode(manifest)
        key = write_key(chain.region, chain.chain, chain.sequence, at)
        head = Head(chain.region, chain.chain, chain.sequence, chain.hash)
        chain.sequence += 1
        return Sealed(key, self._lines, head)


_manifests: Final = msgspec.json.Decoder(Manifest)
_records: Final = msgspec.json.Decoder(Record)


def unpack(stored: bytes) -> tuple[Manifest, list[bytes]]:
    """Return an object's manifest and its records' lines; raise ValueError for what is none."""
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        text = unpacker.decompress(stored, OBJECT_SIZE_MAX_BYTES)
        if not unpacker.eof:
            raise ValueError("it is cut short, or larger than any object of ours")
        lines = text.split(b"\n")
        manifest = _manifests.decode(lines[0])
    except (zlib.error, msgspec.MsgspecError) as failure:
        raise ValueError(f"it cannot be read: {failure}") from None
    if lines.pop() != b"":
        raise ValueError("its last line is cut short")
    return manifest, lines[1:]


def read_record(line: bytes) -> Record:
    """Return a record; raise ValueError when the line is none."""
    try:
        return _records.decode(line)
    except msgspec.MsgspecError as failure:
        raise ValueError(f"a record cannot be read: {failure}") from None


def write_time(at: datetime) -> str:
    """Write a time as RFC 3339, in UTC."""
    return at.isoformat().replace("+00:00", "Z")
