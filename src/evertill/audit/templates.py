"""The templates of one cloud assembly, with the path of every construct.

It is separate because every linter needs the files and names resources by their logical ids, and a
reader knows constructs by their paths.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from evertill.audit.findings import AuditError

PATH_KEY = "aws:cdk:path"


class Template(msgspec.Struct, frozen=True):
    """One stack's template on disk, and what it holds."""

    environment: str
    stack: str
    region: str
    file: Path
    body: Mapping[str, Any]

    def resources(self) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
        """Return every resource: its logical id, its type and its properties."""
        for logical_id, resource in self.body.get("Resources", {}).items():
            yield logical_id, resource["Type"], resource.get("Properties", {})

    def place(self, logical_id: str) -> str:
        """Return the path of the construct behind a logical id; the id where there is none."""
        resource = self.body.get("Resources", {}).get(logical_id, {})
        path = resource.get("Metadata", {}).get(PATH_KEY)
        return str(path) if path else f"{self.stack}/{logical_id}"


def read_assembly(folder: Path, environment: str) -> list[Template]:
    """Return the templates of the cloud assembly in `folder`, which is `environment`'s."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
    except (OSError, ValueError) as error:
        message = f"{folder} holds no cloud assembly; make one with `make synth`."
        raise AuditError(message) from error
    found = []
    for name, artifact in sorted(manifest.get("artifacts", {}).items()):
        if artifact.get("type") != "aws:cloudformation:stack":
            continue
        file = folder / artifact["properties"]["templateFile"]
        region = artifact["environment"].rpartition("/")[2]
        found.append(Template(environment, name, region, file, json.loads(file.read_text())))
    return found
