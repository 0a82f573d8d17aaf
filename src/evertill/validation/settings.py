"""What the function is told by its environment, typed, and read once when it is loaded.

The names are those of the service where they mean the same (EVERTILL_DATABASE_URL,
EVERTILL_DATABASE_LOGIN, EVERTILL_REGION); they are the contract with the template.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final, Literal, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from evertill.domain.errors import EvertillError, UsageError
from evertill.domain.money import to_minor
from evertill.domain.rules import MerchantTerms
from evertill.domain.signing import Credentials

PORT_DEFAULT: Final = 5432
AMOUNT_LIMITS_MAX: Final = 200

_TLS: Final = ("verify-full", "disable")


class Address(NamedTuple):
    """Where a database is, who logs in, and against which authorities its certificate is checked.

    `is_encrypted` is False only where the address says `sslmode=disable`, which a login by IAM
    refuses. `authorities` is a file, None for the system's.
    """

    host: str
    port: int
    database: str
    user: str
    password: str | None
    is_encrypted: bool
    authorities: str | None


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of the function.

    `database_url` leads to the writer, `database_reader_url` to the readers (the writer when it is
    not set).
    `amount_limits` are limits in major units for callers that name no merchant, such as
    `USD=50000,JPY=5000000`; every other currency has the rules' own.
    """

    database_url: str
    log_bucket: str
    database_reader_url: str = ""
    database_login: Literal["password", "iam"] = "password"
    region: str = "local"
    amount_limits: str = ""

    def writer(self) -> Address:
        """Return where decisions are stored; raise UsageError."""
        return _read_address(self.database_url, "EVERTILL_DATABASE_URL", self.database_login)

    def reader(self) -> Address:
        """Return where histories are read; raise UsageError."""
        url = self.database_reader_url or self.database_url
        return _read_address(url, "EVERTILL_DATABASE_READER_URL", self.database_login)

    def terms(self) -> MerchantTerms:
        """Return the terms for callers that name no merchant; raise UsageError."""
        limits = [limit for limit in self.amount_limits.split(",") if limit.strip()]
        if len(limits) > AMOUNT_LIMITS_MAX:
            raise UsageError(f"EVERTILL_AMOUNT_LIMITS holds up to {AMOUNT_LIMITS_MAX} limits.")
        return MerchantTerms(amount_limits_minor=dict(map(_read_limit, limits)))


_NAMES: Final = {field: f"EVERTILL_{field.upper()}" for field in Settings.__struct_fields__}


def read_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings; raise UsageError, naming the variable, for what cannot be used."""
    given = {field: environment[name] for field, name in _NAMES.items() if environment.get(name)}
    try:
        settings = msgspec.convert(given, Settings)
    except msgspec.ValidationError as failure:
        named = [field for field in _NAMES if f"`{field}`" in str(failure)]
        field = named[0] if named else "database_login"
        raise UsageError(f"{_NAMES[field]} is missing or wrong: {failure}") from None
    # What is wrong is said when the function is deployed, not when it is first called.
    settings.writer()
    settings.reader()
    settings.terms()
    return settings


def read_credentials(environment: Mapping[str, str] = os.environ) -> Credentials:
    """Return the keys of the function's role, where Lambda puts them; raise KeyError without any.

    https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
    """
    return Credentials(
        environment["AWS_ACCESS_KEY_ID"],
        environment["AWS_SECRET_ACCESS_KEY"],
        environment.get("AWS_SESSION_TOKEN") or None,
    )


def _read_address(url: str, variable: str, login: str) -> Address:
    try:
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query))
        port = parts.port or PORT_DEFAULT
    except ValueError:
        raise UsageError(f"{variable} is not a URL.") from None
    mode = options.get("sslmode", "verify-full")
    if parts.scheme not in {"postgresql", "postgres"} or not parts.hostname or not parts.username:
        raise UsageError(f"{variable} must be postgresql://user@host:port/database.")
    if mode not in _TLS or (login == "iam" and mode != "verify-full"):
        raise UsageError(f"{variable} must have sslmode=verify-full.")
    return Address(
        parts.hostname,
        port,
        unquote(parts.path.lstrip("/")),
        unquote(parts.username),
        unquote(parts.password) if parts.password else None,
        mode == "verify-full",
        options.get("sslrootcert"),
    )


def _read_limit(limit: str) -> tuple[str, int]:
    currency, _, amount = limit.strip().partition("=")
    try:
        return currency, to_minor(amount, currency)
    except EvertillError as failure:
        message = f"EVERTILL_AMOUNT_LIMITS must be like USD=50000,JPY=5000000: {failure}"
        raise UsageError(message) from None
