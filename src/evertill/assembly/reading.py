"""Reads a cloud assembly, or a folder of templates, into raw stacks.

It is separate because it is all that touches the disk: it finds the templates, holds the bounds on
what other people's files may be, and says in a sentence what is wrong with one. The manifest's form
is https://github.com/aws/aws-cdk/tree/main/packages/aws-cdk-lib/cloud-assembly-schema.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from evertill.assembly.errors import AssemblyUnreadable, TemplateMalformed
from evertill.assembly.limits import (
    ASSEMBLY_DEPTH_MAX,
    FILE_SIZE_MAX_BYTES,
    JSON_DEPTH_MAX,
    RESOURCES_PER_STACK_MAX,
    STACKS_MAX,
)

MANIFEST: Final = "manifest.json"
SUFFIX: Final = ".template.json"
NESTED_SUFFIX: Final = ".nested.template.json"
ASSETS_SUFFIX: Final = ".assets.json"
ASSET_HASH: Final = re.compile(r"[0-9a-f]{64}")
REGION: Final = re.compile(r"\b[a-z]{2}(?:-gov|-iso[a-z]?)?-(?:[a-z]+)-\d\b")
ZONE: Final = re.compile(rf"{REGION.pattern[:-2]}[a-z]")
ENVIRONMENT: Final = re.compile(r"aws://([^/]+)/([^/]+)")
SECTIONS: Final = ("Parameters", "Mappings", "Conditions", "Resources", "Outputs")


class Template(msgspec.Struct, frozen=True):
    """The sections of a template that a model is made from, each by name."""

    parameters: dict[str, Any]
    mappings: dict[str, Any]
    conditions: dict[str, Any]
    resources: dict[str, Any]
    outputs: dict[str, Any]


class RawStack(msgspec.Struct, frozen=True):
    """A stack before its intrinsics are resolved.

    `stack_id` is unique in the assembly; `name` is what CloudFormation calls the stack, and two
    regions may hold one each of the same name. `parent` is the stack that a nested stack stands in
    and its logical id there. `file` is the template that it was read from.
    """

    stack_id: str
    name: str
    region: str | None
    account: str | None
    template: Template
    dependencies: tuple[str, ...] = ()
    parent: tuple[str, str] | None = None
    file: Path | None = None


def read_stacks(path: Path) -> tuple[RawStack, ...]:
    """Return the stacks at `path`, those of stages and nested stacks included."""
    if not path.is_dir():
        raise AssemblyUnreadable(f"{path} is not a folder. Name a cdk.out or a template folder.")
    folder = path.resolve()
    found = _assembly(folder) if (folder / MANIFEST).is_file() else _plain_folder(folder)
    stacks: dict[str, RawStack] = {}
    for stack in found:
        if stack.stack_id in stacks:
            raise AssemblyUnreadable(f"{path} holds two stacks with the id {stack.stack_id}.")
        stacks[stack.stack_id] = stack
        if len(stacks) > STACKS_MAX:
            raise AssemblyUnreadable(f"{path} holds more than {STACKS_MAX} stacks.")
    if not stacks:
        raise AssemblyUnreadable(f"{path} holds no stack: no {MANIFEST} with one, no *{SUFFIX}.")
    if not any(stack.template.resources for stack in stacks.values()):
        # Nothing to look at must not pass for nothing to complain of.
        raise AssemblyUnreadable(f"{path} holds no resource in any of its stacks.")
    return tuple(stacks.values())


def parse_template(document: object, where: str, *, may_be_empty: bool = False) -> Template:
    """Return the sections of a template; raise TemplateMalformed when they cannot be one.

    `cdk synth` writes stacks without resources, which `cdk deploy` passes over.
    """
    if not isinstance(document, dict):
        raise TemplateMalformed(f"{where} is not a template: it is no JSON object.")
    sections = {section: document.get(section, {}) for section in SECTIONS}
    for section, content in sections.items():
        if not isinstance(content, dict):
            raise TemplateMalformed(f"{where} is not a template: {section} is no JSON object.")
    resources = sections["Resources"]
    if not resources and not may_be_empty:
        raise TemplateMalformed(f"{where} is not a template: it has no Resources.")
    if len(resources) > RESOURCES_PER_STACK_MAX:
        raise TemplateMalformed(f"{where} has more than {RESOURCES_PER_STACK_MAX} resources.")
    for logical_id, resource in resources.items():
        if not isinstance(resource, dict) or not isinstance(resource.get("Type"), str):
            raise TemplateMalformed(f"{where}: the resource {logical_id} has no Type.")
        for part in ("Properties", "Metadata"):
            if not isinstance(resource.get(part, {}), dict):
                raise TemplateMalformed(f"{where}: {part} of {logical_id} is no JSON object.")
    return Template(*(sections[section] for section in SECTIONS))


def _assembly(folder: Path, depth: int = 0) -> Iterator[RawStack]:
    if depth > ASSEMBLY_DEPTH_MAX:
        raise AssemblyUnreadable(f"{folder} nests assemblies deeper than {ASSEMBLY_DEPTH_MAX}.")
    manifest = _json(folder / MANIFEST)
    artifacts = manifest.get("artifacts", {}) if isinstance(manifest, dict) else None
    if not isinstance(artifacts, dict):
        raise AssemblyUnreadable(f"{folder / MANIFEST} is not the manifest of a cloud assembly.")
    for artifact_id, artifact in artifacts.items():
        if not isinstance(artifact, dict):
            raise AssemblyUnreadable(f"{folder / MANIFEST}: {artifact_id} is no JSON object.")
        properties = artifact.get("properties")
        if not isinstance(properties, dict):
            continue
        if artifact.get("type") == "aws:cloudformation:stack":
            yield from _stack(folder, artifact_id, artifact, properties)
        elif artifact.get("type") == "cdk:cloud-assembly":
            inner = _inside(folder, properties.get("directoryName"))
            yield from _assembly(inner, depth + 1)


def _stack(
    folder: Path, artifact_id: str, artifact: Mapping[str, Any], properties: Mapping[str, Any]
) -> Iterator[RawStack]:
    file = _inside(folder, properties.get("templateFile"))
    account, region = _environment(artifact.get("environment"))
    dependencies = artifact.get("dependencies", [])
    if not isinstance(dependencies, list):
        raise AssemblyUnreadable(f"{folder / MANIFEST}: dependencies of {artifact_id} are no list.")
    stack = RawStack(
        artifact_id,
        str(properties.get("stackName") or artifact.get("displayName") or artifact_id),
        region,
        account,
        parse_template(_json(file), file.name, may_be_empty=True),
        tuple(map(str, dependencies)),
        file=file,
    )
    yield stack
    yield from _nested(folder, stack)


def _plain_folder(folder: Path) -> Iterator[RawStack]:
    for file in sorted(folder.glob(f"*{SUFFIX}")):
        if file.name.endswith(NESTED_SUFFIX):
            continue
        name = file.name.removesuffix(SUFFIX)
        template = parse_template(_json(file), file.name)
        stack = RawStack(name, name, _region_of(name, template), None, template, file=file)
        yield stack
        yield from _nested(folder, stack)


def _region_of(name: str, template: Template) -> str | None:
    """Return the region that a lone template tells of itself: in its name, or by its zones."""
    named = REGION.search(name)
    if named:
        return named[0]
    zones = [
        resource.get("Properties", {}).get("AvailabilityZone")
        for resource in template.resources.values()
    ]
    regions = {zone[:-1] for zone in zones if isinstance(zone, str) and ZONE.fullmatch(zone)}
    return regions.pop() if len(regions) == 1 else None


def _nested(folder: Path, stack: RawStack, depth: int = 0) -> Iterator[RawStack]:
    """Give the nested stacks whose templates the CDK wrote beside their parent's."""
    if depth > ASSEMBLY_DEPTH_MAX:
        raise AssemblyUnreadable(f"{stack.stack_id} nests stacks deeper than {ASSEMBLY_DEPTH_MAX}.")
    for logical_id, resource in stack.template.resources.items():
        if resource["Type"] != "AWS::CloudFormation::Stack":
            continue
        asset = resource.get("Metadata", {}).get("aws:asset:path")
        if not isinstance(asset, str):
            asset = _asset_of(folder, resource.get("Properties", {}).get("TemplateURL"))
        file = _inside(folder, asset) if asset else None
        if file is None or not file.is_file():
            continue
        nested = RawStack(
            f"{stack.stack_id}/{logical_id}",
            f"{stack.name}-{logical_id}",
            stack.region,
            stack.account,
            parse_template(_json(file), file.name),
            parent=(stack.stack_id, logical_id),
            file=file,
        )
        yield nested
        yield from _nested(folder, nested, depth + 1)


def _asset_of(folder: Path, url: object) -> str | None:
    """Return the file of a template by its hash in a URL; only the CLI notes paths in metadata."""
    hashes = set(ASSET_HASH.findall(str(url)))
    for listing in sorted(folder.glob(f"*{ASSETS_SUFFIX}")) if hashes else []:
        document = _json(listing)
        files = document.get("files", {}) if isinstance(document, dict) else {}
        for key in hashes & set(files if isinstance(files, dict) else ()):
            source = files[key].get("source") if isinstance(files[key], dict) else None
            path = source.get("path") if isinstance(source, dict) else None
            if isinstance(path, str):
                return path
    return None


def _environment(environment: object) -> tuple[str | None, str | None]:
    matched = ENVIRONMENT.fullmatch(environment) if isinstance(environment, str) else None
    account, region = matched.groups() if matched else (None, None)
    return (
        None if account == "unknown-account" else account,
        None if region == "unknown-region" else region,
    )


def _inside(folder: Path, name: object) -> Path:
    """Return the file or folder that a manifest names; raise when it lies outside `folder`."""
    if not isinstance(name, str) or not name or "\0" in name:
        raise AssemblyUnreadable(f"{folder / MANIFEST} names no file where it must.")
    inner = (folder / name).resolve()
    if not inner.is_relative_to(folder):
        raise AssemblyUnreadable(f"{folder / MANIFEST} leads outside its folder: {name}.")
    return inner


def _json(file: Path) -> Any:  # noqa: ANN401 - JSON of any form; the callers look
    try:
        if file.stat().st_size > FILE_SIZE_MAX_BYTES:
            raise AssemblyUnreadable(f"{file} is larger than {FILE_SIZE_MAX_BYTES} bytes.")
        document = msgspec.json.decode(file.read_bytes())
    except OSError as error:
        raise AssemblyUnreadable(f"{file} cannot be read: {error.strerror}.") from error
    except RecursionError as error:
        raise TemplateMalformed(f"{file} is nested deeper than {JSON_DEPTH_MAX}.") from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise TemplateMalformed(f"{file} is not JSON: {error}") from error
    if _is_deeper_than(document, JSON_DEPTH_MAX):
        raise TemplateMalformed(f"{file} is nested deeper than {JSON_DEPTH_MAX}.")
    return document


def _is_deeper_than(document: object, depth_max: int) -> bool:
    """Tell whether a value is nested deeper; level by level, as it is not yet safe to recurse."""
    level = [document]
    for _ in range(depth_max):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return False
    return True
