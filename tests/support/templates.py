"""Writes small cloud assemblies to a folder, as `cdk synth` would."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ACCOUNT = "111111111111"


@dataclass(frozen=True)
class StackFile:
    """A stack to be: its sections, and where it is deployed (None: left open)."""

    resources: dict[str, Any]
    id: str = "App"
    region: str | None = "us-east-1"
    account: str | None = ACCOUNT
    name: str | None = None
    dependencies: tuple[str, ...] = ()
    sections: dict[str, Any] = field(default_factory=dict)

    @property
    def template(self) -> dict[str, Any]:
        """Return the template."""
        return {"Resources": self.resources, **self.sections}


def write_assembly(folder: Path, *stacks: StackFile) -> Path:
    """Write a cloud assembly and return its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    artifacts: dict[str, Any] = {}
    for stack in stacks:
        file = f"{stack.id}.template.json"
        (folder / file).write_text(json.dumps(stack.template))
        place = f"{stack.account or 'unknown-account'}/{stack.region or 'unknown-region'}"
        artifacts[stack.id] = {
            "type": "aws:cloudformation:stack",
            "environment": f"aws://{place}",
            "dependencies": list(stack.dependencies),
            "properties": {"templateFile": file, "stackName": stack.name or stack.id},
        }
    manifest = {"version": "48.0.0", "artifacts": artifacts}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def resource(resource_type: str, /, **properties: Any) -> dict[str, Any]:
    """Return a resource of a template."""
    return {"Type": resource_type, "Properties": properties}
