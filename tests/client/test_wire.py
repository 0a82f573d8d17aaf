"""The client's shapes beside the service's: what one sends, the other must accept."""

from __future__ import annotations

import re

import msgspec

from evertill.client import lines, wire
from evertill.service import models


def test_a_batch_item_of_the_client_is_one_of_the_service() -> None:
    item = wire.BatchItem(
        amount=1,
        currency="USD",
        source="tok_1",
        capture=False,
        reference="r",
        description="d",
        idempotency_key="k",
    )
    encoded = msgspec.json.encode(item)
    assert msgspec.json.encode(msgspec.json.decode(encoded, type=models.BatchItem)) == encoded


def test_the_client_knows_the_services_bounds() -> None:
    properties = msgspec.json.schema(models.NewPayment)["$defs"]["NewPayment"]["properties"]
    assert models.BATCH_ITEMS_MAX == wire.BATCH_ITEMS_MAX
    assert properties["source"]["maxLength"] == wire.SOURCE_LENGTH_MAX
    for name, most in (
        ("reference", wire.REFERENCE_LENGTH_MAX),
        ("description", wire.DESCRIPTION_LENGTH_MAX),
    ):
        bounds = properties[name]["anyOf"]
        assert [most] == [bound["maxLength"] for bound in bounds if "maxLength" in bound]


def test_the_client_checks_texts_by_the_services_patterns() -> None:
    properties = msgspec.json.schema(models.NewPayment)["$defs"]["NewPayment"]["properties"]
    for name, ours in (("source", lines._SOURCE), ("reference", lines._TEXT)):
        shape = properties[name]
        theirs = re.compile(shape.get("pattern") or shape["anyOf"][0]["pattern"])
        for code in range(0x250):
            text = f"a{chr(code)}a"
            assert bool(theirs.search(text)) == bool(ours.fullmatch(text)), (name, code)
