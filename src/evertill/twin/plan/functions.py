"""From the templates' functions to what is run: the asset, its environment, limits and callers.

Only Python runs: the official runtime interface client that is on PyPI is that of Python. A
function in another language is refused by its name, unless nobody calls it while the app runs.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import msgspec

from evertill.assembly import Model, Resource, Value
from evertill.assembly.model import as_text, child
from evertill.twin.errors import TwinError
from evertill.twin.plan.bindings import Bindings
from evertill.twin.plan.consumers import FUNCTION, consumer_name
from evertill.twin.plan.identity import arn_of, physical_name
from evertill.twin.plan.places import Places

PERMISSION: Final = "AWS::Lambda::Permission"
LOG_GROUP: Final = "AWS::Logs::LogGroup"
ASSET: Final = re.compile(r"([0-9a-f]{64})(?:\.zip)?$")
# What AWS sets where a template says nothing.
TIMEOUT_S: Final = 3.0
MEMORY_MB: Final = 128


class FunctionUnsupported(TwinError):
    """The twin cannot run a function of the templates."""

    code = "function_unsupported"


class Permission(msgspec.Struct, frozen=True):
    """Who else may invoke a function: a service, from one source where that is named."""

    principal: str
    source_arn: str = ""


class FunctionSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A function; `environments` are its variables in each zone that it may run in."""

    region: str
    name: str
    arn: str
    handler: str
    runtime: str
    asset: Path | None
    timeout_s: float
    memory_mb: int
    role: str
    log_group: str
    environments: dict[str, dict[str, str]]
    permissions: tuple[Permission, ...] = ()
    concurrency_max: int | None = None
    # The text of a function that is written in its template, which AWS puts into index.py.
    inline: str = ""


def function_spec(
    model: Model, resource: Resource, places: Places, bindings: Bindings, assembly: Path
) -> FunctionSpec:
    """Return what runs for a function of the assembly in that folder; raise FunctionUnsupported."""
    name = physical_name(resource)
    runtime = resource.text("Runtime") or ""
    if not runtime.startswith("python"):
        raise FunctionUnsupported(f"The twin runs functions in Python; {name} is {runtime}.")
    zones = places.zones(resource.items("VpcConfig.SubnetIds")) or (str(resource.region),)
    inline = resource.text("Code.ZipFile") or ""
    reserved = resource.number("ReservedConcurrentExecutions")
    return FunctionSpec(
        region=str(resource.region),
        name=name,
        arn=str(arn_of(resource)),
        handler=resource.text("Handler") or "",
        runtime=runtime,
        asset=None if inline else _asset(resource, name, assembly),
        inline=inline,
        timeout_s=resource.number("Timeout", TIMEOUT_S) or TIMEOUT_S,
        memory_mb=int(resource.number("MemorySize", MEMORY_MB) or MEMORY_MB),
        role=bindings.text(resource.get("Role")),
        log_group=_log_group(resource, name, bindings),
        environments={zone: _environment(resource, zone, bindings) for zone in zones},
        permissions=_permissions(model, resource, bindings),
        concurrency_max=None if reserved is None else int(reserved),
    )


def _asset(resource: Resource, name: str, assembly: Path) -> Path:
    """Return the folder of the built asset, by the hash in its key."""
    noted = resource.metadata.get("aws:asset:path")
    found = ASSET.search(resource.text("Code.S3Key") or "")
    folder = f"asset.{found[1]}" if found else str(noted or "")
    path = (assembly / folder).resolve()
    if not folder or not path.is_dir() or not path.is_relative_to(assembly.resolve()):
        raise FunctionUnsupported(f"The asset of {name} is not in {assembly}: build it first.")
    return path


def _log_group(resource: Resource, name: str, bindings: Bindings) -> str:
    named = resource.get("LoggingConfig.LogGroup")
    return f"/aws/lambda/{name}" if named is None else bindings.text(named)


def _environment(resource: Resource, zone: str, bindings: Bindings) -> dict[str, str]:
    variables = resource.get("Environment.Variables")
    consumer = consumer_name(str(resource.region), zone, physical_name(resource))
    items: dict[str, Value] = variables if isinstance(variables, dict) else {}
    return {key: bindings.text(value, consumer) for key, value in items.items()}


def _permissions(model: Model, resource: Resource, bindings: Bindings) -> tuple[Permission, ...]:
    return tuple(
        Permission(
            principal=as_text(item.get("Principal")) or "",
            source_arn=bindings.text(item.get("SourceArn") or ""),
        )
        for item in model.resources_of(PERMISSION)
        if item.region == resource.region
        and model.find(child(item.properties, "FunctionName"), FUNCTION) is resource
    )
