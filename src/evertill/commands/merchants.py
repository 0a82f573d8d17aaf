"""`merchants` and `keys`: who may charge, on which terms, and with which key.

They are together because both change the directory of merchants, as its administrator.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Final

import click
import msgspec

from evertill.commands.admin import admin_url
from evertill.domain.errors import EvertillError, NotFound, UsageError
from evertill.domain.money import exponent
from evertill.domain.rules import MerchantTerms
from evertill.storage import directory, provisioning

NAME_LENGTH_MAX: Final = 100
FEE_BASIS_POINTS_MAX: Final = 10_000

json_option = click.option("--json", "is_json", is_flag=True, help="Print the result as JSON.")


@click.group("merchants")
def merchants_group() -> None:
    """Create merchants and change their terms."""


@merchants_group.command("save")
@click.argument("name")
@click.option(
    "--terms",
    "terms_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="JSON; what it leaves out is as by default. Without it, terms stay as they are.",
)
@click.option("--inactive", is_flag=True, help="Decline every payment from now on.")
@json_option
def save_command(name: str, terms_file: Path | None, *, inactive: bool, is_json: bool) -> None:
    """Create the merchant NAME, or change it.

    The terms are fields of a JSON object: accepted_currencies, amount_limits_minor,
    fee_basis_points, fees_fixed_minor, attempts_max, approved_sum_limits_minor, blocked_sources,
    authorization_lifetime_s, payments_per_s_max. Amounts are minor units, by currency.
    """
    if not 1 <= len(name) <= NAME_LENGTH_MAX:
        message = f"A merchant's name has 1 to {NAME_LENGTH_MAX} characters."
        raise UsageError(message)
    terms = None if terms_file is None else read_terms(terms_file)
    url = admin_url(os.environ)
    if terms is None:
        terms = provisioning.find_terms(url, name) or MerchantTerms()
    number = directory.save_merchant(url, name, terms, active=not inactive)
    told = {"merchant": name, "id": number, "active": not inactive}
    state = "inactive" if inactive else "active"
    click.echo(json.dumps(told) if is_json else f"The merchant {name} is saved; it is {state}.")


@click.group("keys")
def keys_group() -> None:
    """Create and revoke API keys."""


@keys_group.command("create", short_help="Create a key and print it, once.")
@click.argument("merchant")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice(directory.SCOPES),
    multiple=True,
    required=True,
    help="What the key may do; repeat it for more.",
)
@json_option
def create_command(merchant: str, scopes: tuple[str, ...], *, is_json: bool) -> None:
    """Create a key for MERCHANT and print it: it is not stored and cannot be shown again."""
    chosen = sorted(set(scopes))
    api_key = directory.create_key(admin_url(os.environ), merchant, chosen)
    told = {"merchant": merchant, "key": api_key, "scopes": chosen}
    click.echo(json.dumps(told) if is_json else api_key)


@keys_group.command(
    "revoke",
    short_help="Revoke keys by their last characters.",
    # One key in sixty-four has a dash there, which is no option.
    context_settings={"ignore_unknown_options": True},
)
@click.argument("merchant")
@click.argument("hint")
@json_option
def revoke_command(merchant: str, hint: str, *, is_json: bool) -> None:
    """Revoke the keys of MERCHANT that end in HINT, their last 4 characters or the whole key."""
    revoked = directory.revoke_key(admin_url(os.environ), merchant, hint[-directory.HINT_LENGTH :])
    if revoked == 0:
        message = f"The merchant {merchant} has no key in use that ends so."
        raise NotFound(message)
    told = json.dumps({"merchant": merchant, "revoked": revoked})
    click.echo(told if is_json else f"Revoked keys of {merchant}: {revoked}.")


def read_terms(file: Path) -> MerchantTerms:
    """Return the terms in a JSON file; raise UsageError for what cannot be a merchant's terms."""
    try:
        terms = msgspec.json.decode(file.read_bytes(), type=MerchantTerms)
        _check_terms(terms)
    except OSError as error:
        message = f"{file} cannot be read: {error.strerror}."
        raise UsageError(message) from error
    except (msgspec.MsgspecError, UnicodeDecodeError, EvertillError) as error:
        message = f"{file} does not hold terms: {error}"
        raise UsageError(message) from error
    return terms


def _check_terms(terms: MerchantTerms) -> None:
    """Raise an EvertillError for values that no payment could be held against."""
    tables = (terms.amount_limits_minor, terms.fees_fixed_minor, terms.approved_sum_limits_minor)
    currencies = {code for table in tables for code in table}
    for currency in currencies | (terms.accepted_currencies or frozenset()):
        exponent(currency)
    if not 0 <= terms.fee_basis_points <= FEE_BASIS_POINTS_MAX:
        message = f"fee_basis_points must be 0 to {FEE_BASIS_POINTS_MAX}."
        raise UsageError(message)
    amounts = [
        *terms.amount_limits_minor.values(),
        *terms.fees_fixed_minor.values(),
        *(limit for limits in terms.approved_sum_limits_minor.values() for limit in limits),
        *terms.attempts_max,
    ]
    if any(amount < 0 for amount in amounts):
        message = "Amounts and counts must not be negative."
        raise UsageError(message)
    if min(terms.authorization_lifetime_s, terms.payments_per_s_max) < 1:
        message = "authorization_lifetime_s and payments_per_s_max must be at least 1."
        raise UsageError(message)


commands: list[click.Command] = [merchants_group, keys_group]
