"""The templates of a cloud assembly, as far as an estimate needs them.

It is separate because the estimate is about resources, and this about files.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

STACK = "aws:cloudformation:stack"


class UnreadableAssembly(Exception):
    """The folder holds no cloud assembly; `make synth` writes one."""


class Resource(msgspec.Struct, frozen=True):
    """One resource: where it is, what it is, and its neighbours in the same template."""

    region: str
    stack: str
    logical_id: str
    type: str
    properties: Mapping[str, Any]
    template: Mapping[str, Any]

    def referred(self, value: object) -> Mapping[str, Any] | None:
        """Return the properties of the resource that `value` refers to, None when elsewhere."""
        if not isinstance(value, Mapping):
            return None
        target = value.get("Ref") or (value.get("Fn::GetAtt") or [None])[0]
        found = self.template["Resources"].get(target)
        return None if found is None else found.get("Properties", {})


def read_resources(folder: Path) -> Iterator[Resource]:
    """Return every resource of the assembly in `folder`; raise UnreadableAssembly if none is."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        message = f"{folder} holds no cloud assembly; `make synth` writes one."
        raise UnreadableAssembly(message) from error
    for name, artifact in sorted(manifest.get("artifacts", {}).items()):
        if artifact.get("type") != STACK:
            continue
        file = folder / artifact["properties"]["templateFile"]
        region = artifact["environment"].rpartition("/")[2]
        template = json.loads(file.read_text(encoding="utf-8"))
        for logical_id, resource in template.get("Resources", {}).items():
            properties = resource.get("Properties", {})
            yield Resource(region, name, logical_id, resource["Type"], properties, template)
