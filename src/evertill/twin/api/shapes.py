"""Values on the wire and in Python, by botocore's shapes: form fields, JSON and XML, both ways.

botocore itself only writes requests and reads answers; a server needs the other two halves. They
are here, apart from the protocols that wrap them, because each is one walk over a shape.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final
from xml.etree import ElementTree as ET

from botocore.utils import parse_timestamp

Shape = Any
Tree = dict[str, Any]

FLATTENED: Final = "flattened"
TRUE: Final = "true"


def wire_name(shape: Shape, default: str) -> str:
    """Return the name that a member has on the wire."""
    return str(shape.serialization.get("name", default))


def form_tree(fields: Mapping[str, str]) -> Tree:
    """Return form fields such as `Dimensions.member.1.Name` as nested objects."""
    tree: Tree = {}
    for key, text in fields.items():
        node = tree
        *path, last = key.split(".")
        for step in path:
            inner = node.setdefault(step, {})
            # A field that is given as a text and as an object as well cannot be read.
            node = inner if isinstance(inner, dict) else {}
        node[last] = text
    return tree


def from_form(shape: Shape, node: Any) -> Any:  # noqa: ANN401 - the shape tells the type
    """Return what a form holds for `shape`; `node` is its part of the tree."""
    match shape.type_name:
        case "structure":
            return {
                name: from_form(member, node[wire])
                for name, member in shape.members.items()
                if (wire := wire_name(member, name)) in node
            }
        case "list":
            return [from_form(shape.member, item) for item in _numbered(_list_node(shape, node))]
        case "map":
            entries = node if FLATTENED in shape.serialization else node.get("entry", {})
            key, value = wire_name(shape.key, "key"), wire_name(shape.value, "value")
            return {
                entry[key]: from_form(shape.value, entry[value]) for entry in _numbered(entries)
            }
        case _:
            return from_text(shape, node)


def from_json(shape: Shape, value: Any) -> Any:  # noqa: ANN401 - the shape tells the type
    """Return what JSON holds for `shape`."""
    match shape.type_name:
        case "structure":
            return {
                name: from_json(member, value[wire])
                for name, member in shape.members.items()
                if value.get(wire := wire_name(member, name)) is not None
            }
        case "list":
            return [from_json(shape.member, item) for item in value]
        case "map":
            return {key: from_json(shape.value, item) for key, item in value.items()}
        case "timestamp":
            return parse_timestamp(value)
        case "blob":
            return base64.b64decode(value)
        case _:
            return value


def from_xml(shape: Shape, node: ET.Element) -> Any:  # noqa: ANN401 - the shape tells the type
    """Return what an XML element holds for `shape`."""
    match shape.type_name:
        case "structure":
            return {
                name: _member_from_xml(member, wire_name(member, name), node)
                for name, member in shape.members.items()
                if _children(node, wire_name(member, name))
            }
        case "list":
            items = _children(node, wire_name(shape.member, "member"))
            return [from_xml(shape.member, item) for item in items]
        case _:
            return from_text(shape, node.text or "")


def from_text(shape: Shape, text: str) -> Any:  # noqa: ANN401 - the shape tells the type
    """Return a scalar that is written as text, as in forms, XML, headers and addresses."""
    match shape.type_name:
        case "integer" | "long":
            return int(text)
        case "float" | "double":
            return float(text)
        case "boolean":
            return text.lower() == TRUE
        case "timestamp":
            return parse_timestamp(text)
        case "blob":
            return base64.b64decode(text)
        case _:
            return text


def to_json(shape: Shape, value: Any) -> Any:  # noqa: ANN401 - the shape tells the type
    """Return `value` as JSON holds it."""
    match shape.type_name:
        case "structure":
            return {
                wire_name(member, name): to_json(member, value[name])
                for name, member in shape.members.items()
                if value.get(name) is not None
            }
        case "list":
            return [to_json(shape.member, item) for item in value]
        case "map":
            return {key: to_json(shape.value, item) for key, item in value.items()}
        case "timestamp":
            is_text = shape.serialization.get("timestampFormat") == "iso8601"
            return _iso(value) if is_text else value.timestamp()
        case "blob":
            return base64.b64encode(value).decode()
        case _:
            return value


def to_xml(shape: Shape, value: Any, parent: ET.Element, name: str) -> None:  # noqa: ANN401 - as above
    """Append `value` to `parent` as elements with `name`."""
    match shape.type_name:
        case "structure":
            node = ET.SubElement(parent, name)
            members_to_xml(shape, value, node)
        case "list":
            is_flat = FLATTENED in shape.serialization
            node = parent if is_flat else ET.SubElement(parent, name)
            for item in value:
                inner = wire_name(shape.member, name if is_flat else "member")
                to_xml(shape.member, item, node, inner)
        case "map":
            node = ET.SubElement(parent, name)
            for key, item in value.items():
                entry = ET.SubElement(node, "entry")
                to_xml(shape.key, key, entry, wire_name(shape.key, "key"))
                to_xml(shape.value, item, entry, wire_name(shape.value, "value"))
        case _:
            ET.SubElement(parent, name).text = to_text(shape, value)


def members_to_xml(shape: Shape, value: Mapping[str, Any], node: ET.Element) -> None:
    """Append the members of a structure to `node`."""
    for name, member in shape.members.items():
        if value.get(name) is not None:
            to_xml(member, value[name], node, wire_name(member, name))


def to_text(shape: Shape, value: Any) -> str:  # noqa: ANN401 - the shape tells the type
    """Return a scalar as text."""
    if shape.type_name == "boolean":
        return TRUE if value else "false"
    if isinstance(value, datetime):
        return _iso(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return str(value)


def local_name(node: ET.Element) -> str:
    """Return an element's name without its namespace."""
    return node.tag.rpartition("}")[2]


def _list_node(shape: Shape, node: Tree) -> Tree:
    if FLATTENED in shape.serialization or not isinstance(node, dict):
        return node
    # Some lists name their items, and older clients write `member` all the same.
    named = node.get(wire_name(shape.member, "member"), node.get("member", {}))
    return named if isinstance(named, dict) else {}


def _numbered(node: Any) -> list[Any]:  # noqa: ANN401 - a subtree or an empty text
    if not isinstance(node, dict):
        return []
    order: Callable[[tuple[str, Any]], int] = lambda item: int(item[0])  # noqa: E731 - its type
    return [item for _, item in sorted(node.items(), key=order)]


def _children(node: ET.Element, name: str) -> list[ET.Element]:
    return [child for child in node if local_name(child) == name]


def _member_from_xml(shape: Shape, name: str, node: ET.Element) -> Any:  # noqa: ANN401 - as above
    found = _children(node, name)
    if shape.type_name == "list" and FLATTENED in shape.serialization:
        return [from_xml(shape.member, child) for child in found]
    return from_xml(shape, found[0])


def _iso(value: datetime) -> str:
    return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
