"""The intrinsic functions that compute with values alone, one small function each.

They are separate from the resolver because they need no stack: each takes its resolved arguments
and returns a value, an Unknown when an argument is one. The names are CloudFormation's.
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/intrinsic-function-reference.html
"""

from __future__ import annotations

import base64
import ipaddress
import json
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Final

from evertill.assembly.errors import TemplateMalformed
from evertill.assembly.limits import SUBNETS_MAX, TEXT_LENGTH_MAX
from evertill.assembly.values import Piece, Reference, Text, Unknown, Value, joined, unknown


def as_piece(value: Value, where: str) -> Piece:
    """Return a scalar as part of a string; raise when `value` is none."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, str | Reference | Unknown | Text):
        return value
    raise TemplateMalformed(f"{where} needs a string where it finds a list, an object or nothing.")


def concatenated(pieces: list[Piece], where: str) -> Piece:
    """Return the pieces as one string, within the bound on its length."""
    if sum(len(str(piece)) for piece in pieces) > TEXT_LENGTH_MAX:
        raise TemplateMalformed(f"{where} makes more than {TEXT_LENGTH_MAX} characters.")
    return joined(pieces)


def _listed(argument: Value, name: str, *lengths: int) -> list[Value]:
    if not isinstance(argument, list) or len(argument) not in lengths:
        raise TemplateMalformed(f"{name} takes a list of {' or '.join(map(str, lengths))}.")
    return argument


def join(argument: Value) -> Value:
    """Join a list with a separator."""
    separator, items = _listed(argument, "Fn::Join", 2)
    if not isinstance(separator, str):
        raise TemplateMalformed("Fn::Join takes a string and a list.")
    if not isinstance(items, list):
        return unknown(f"{items} joined", items)
    pieces: list[Piece] = []
    for item in items:
        pieces += [separator, as_piece(item, "Fn::Join")]
    return concatenated(pieces[1:], "Fn::Join")


def select(argument: Value) -> Value:
    """Take one item of a list."""
    index, items = _listed(argument, "Fn::Select", 2)
    if not isinstance(items, list) or isinstance(index, Unknown | Reference | Text):
        return unknown(f"item {index} of {items}", items, index)
    try:
        number = int(str(index))
    except ValueError as error:
        raise TemplateMalformed(f"Fn::Select takes a number, not {index!r}.") from error
    if not 0 <= number < len(items):
        raise TemplateMalformed(f"Fn::Select asks for item {number} of {len(items)}.")
    return items[number]


def split(argument: Value) -> Value:
    """Cut a string into a list."""
    separator, text = _listed(argument, "Fn::Split", 2)
    if not isinstance(separator, str) or not separator:
        raise TemplateMalformed("Fn::Split takes a separator and a string.")
    if isinstance(text, str):
        return list(text.split(separator))
    # What is behind a reference may hold the separator too, so positions are not known.
    return unknown(f"{text} split at {separator!r}", text)


def encode_base64(argument: Value) -> Value:
    """Encode a string."""
    if isinstance(argument, str):
        return base64.b64encode(argument.encode()).decode()
    return unknown(f"Base64 of {argument}", argument)


def cidr(argument: Value) -> Value:
    """Cut a block of addresses into subnets."""
    block, count, *bits = _listed(argument, "Fn::Cidr", 2, 3)
    if any(isinstance(part, Unknown | Reference | Text) for part in (block, count, *bits)):
        return unknown(f"subnets of {block}", argument)
    try:
        network = ipaddress.ip_network(str(block))
        wanted = int(str(count))
        prefix = network.max_prefixlen - int(str(bits[0])) if bits else network.prefixlen + 8
        if not 1 <= wanted <= SUBNETS_MAX:
            raise TemplateMalformed(f"Fn::Cidr gives 1 to {SUBNETS_MAX} subnets, not {wanted}.")
        subnets = list(islice(network.subnets(new_prefix=prefix), wanted))
    except ValueError as error:
        raise TemplateMalformed(f"Fn::Cidr cannot cut {block}: {error}.") from error
    if len(subnets) < wanted:
        raise TemplateMalformed(f"Fn::Cidr finds no {wanted} subnets in {block}.")
    return [str(subnet) for subnet in subnets]


def length(argument: Value) -> Value:
    """Count the items of a list."""
    return (
        len(argument) if isinstance(argument, list) else unknown(f"length of {argument}", argument)
    )


def to_json(argument: Value) -> Value:
    """Write a value as a JSON string, when all of it is known."""
    try:
        return json.dumps(argument, separators=(",", ":"))
    except TypeError:
        return unknown("a JSON string", argument)


PURE: Final[Mapping[str, Callable[[Value], Value]]] = {
    "Fn::Join": join,
    "Fn::Select": select,
    "Fn::Split": split,
    "Fn::Base64": encode_base64,
    "Fn::Cidr": cidr,
    "Fn::Length": length,
    "Fn::ToJsonString": to_json,
}
