"""Gives the twin its templates: the committed ones where they are current, else a fresh synth.

    python -m scripts.assembly dev     into build/assemblies/dev, as `make up` runs them
    python -m scripts.assembly prod    the same for prod, with stand-ins for its owner's values
    python -m scripts.assembly --renew write deploy/assemblies/dev anew, as `make assembly` does

The committed templates spare a newcomer the CDK and its Node. They hold a digest of all that they
were synthesized from, so a change of the infrastructure runs at once, and is synthesized first.

Templates name the validation function's code by a digest only. Here that is the digest of a
stand-in, always the same, in whose place the function's code as it is now is laid out for a run:
so templates change with the infrastructure and not with each line of the domain.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from scripts.environment import CHECKOUT

from scripts import validation_asset

COMMITTED: Final = CHECKOUT / "deploy" / "assemblies"
BUILD: Final = CHECKOUT / "build" / "assemblies"
ENVIRONMENTS: Final = ("dev", "prod")
MANIFEST: Final = "manifest.json"
# Beside the templates: of what inputs they were synthesized.
DIGEST: Final = "synthesized-from.sha256"
STAMP: Final = "laid-out-from.sha256"
STAND_IN: Final = {"README": "Stands for the function's code.\n"}
SYNTH_TIMEOUT_S: Final = 300


class AssemblyError(Exception):
    """The templates could not be had; the message says why."""


def main(arguments: list[str] | None = None) -> int:
    """Lay out an environment's assembly, or renew the committed one; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("environment", nargs="?", choices=ENVIRONMENTS, default="dev")
    parser.add_argument("--renew", action="store_true", help="write deploy/assemblies/dev anew")
    options = parser.parse_args(arguments)
    try:
        if options.renew:
            synthesize("dev", COMMITTED / "dev")
            print(f"Written: {(COMMITTED / 'dev').relative_to(CHECKOUT)}.")
        else:
            print(f"The templates are in {lay_out(options.environment).relative_to(CHECKOUT)}.")
    except (AssemblyError, validation_asset.AssetError) as error:
        print(f"evertill: {error}", file=sys.stderr)
        return 1
    return 0


def lay_out(environment: str) -> Path:
    """Return a folder with an environment's templates and the function's code as it is now."""
    source = current(environment)
    target = BUILD / environment
    stamp = _digest([*sorted(source.iterdir()), *_code()])
    if _read(target / STAMP) == stamp:
        return target
    with tempfile.TemporaryDirectory(dir=BUILD) as temporary:
        draft = Path(temporary) / environment
        shutil.copytree(source, draft)
        for folder in draft.glob("asset.*"):
            validation_asset.build(folder, is_local=True)
        (draft / STAMP).write_text(stamp)
        shutil.rmtree(target, ignore_errors=True)
        draft.replace(target)
    return target


def current(environment: str) -> Path:
    """Return the folder of templates that are current: the committed one, or one of a synth."""
    BUILD.mkdir(parents=True, exist_ok=True)
    digest = inputs_digest()
    synthesized = BUILD / f"{environment}-synthesized"
    for folder in (COMMITTED / environment, synthesized):
        if _read(folder / DIGEST) == digest:
            return folder
    print(f"Synthesizing the templates of {environment}: the CDK and its Node are needed once.")
    bootstrap()
    synthesize(environment, synthesized)
    return synthesized


def bootstrap() -> None:
    """Install the CDK where it is missing; raise AssemblyError."""
    command = ["sh", str(CHECKOUT / "scripts" / "bootstrap"), "infra"]
    if subprocess.run(command, check=False).returncode != 0:
        raise AssemblyError("The CDK could not be installed, so nothing was synthesized.")


def synthesize(environment: str, folder: Path) -> None:
    """Write an environment's templates to `folder`, anew; raise AssemblyError."""
    with tempfile.TemporaryDirectory() as temporary:
        draft = Path(temporary)
        program = f"from scripts.assembly import write; write({environment!r}, {str(draft)!r})"
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=CHECKOUT,
            check=False,
            capture_output=True,
            text=True,
            timeout=SYNTH_TIMEOUT_S,
        )
        if done.returncode != 0:
            detail = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise AssemblyError(f"The templates could not be synthesized: {detail}")
        keep(draft / "assembly", folder)


def write(environment: str, folder: str) -> None:
    """Synthesize by the CDK, in a process of its own: its Node stays as long as the process."""
    from evertill.infrastructure import node  # noqa: PLC0415 - only here the CDK is needed
    from evertill.infrastructure.settings import read_environment  # noqa: PLC0415 - see above

    node.provide()
    from evertill.infrastructure.app import build  # noqa: PLC0415 - only now is there a Node

    settings = read_environment(environment, rehearsal=environment == "prod")
    asset = stand_in(Path(folder) / "asset")
    build(settings, Path(folder) / "assembly", asset=asset).synth()


def stand_in(folder: Path) -> Path:
    """Fill `folder` with what stands for the function's code in a synth, and return it."""
    folder.mkdir(parents=True)
    for name, text in STAND_IN.items():
        (folder / name).write_text(text)
    return folder


def keep(assembly: Path, folder: Path) -> None:
    """Fill `folder`, anew, with what of a CDK's assembly is read: templates and their order."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    manifest = trimmed(json.loads((assembly / MANIFEST).read_text()))
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")
    for template in sorted(assembly.glob("*.template.json")):
        (folder / template.name).write_text(template.read_text().rstrip("\n") + "\n")
    for asset in sorted(assembly.glob("asset.*")):
        if {path.name for path in asset.iterdir()} == set(STAND_IN):
            shutil.copytree(asset, folder / asset.name)
    (folder / DIGEST).write_text(inputs_digest() + "\n")


def trimmed(manifest: dict[str, Any]) -> dict[str, Any]:
    """Return a manifest with its stacks alone, each with where it goes and what it needs."""
    stacks = {
        name: artifact
        for name, artifact in sorted(manifest["artifacts"].items())
        if artifact["type"] == "aws:cloudformation:stack"
    }
    return {
        "version": manifest["version"],
        "artifacts": {name: _stack(artifact, set(stacks)) for name, artifact in stacks.items()},
    }


def inputs_digest() -> str:
    """Return the digest of everything that decides what the templates say."""
    infrastructure = CHECKOUT / "src" / "evertill" / "infrastructure"
    return _digest(
        [
            *sorted(infrastructure.rglob("*.py")),
            *sorted((CHECKOUT / "deploy" / "environments").glob("*.toml")),
            CHECKOUT / "cdk.json",
            CHECKOUT / "requirements" / "infra.txt",
        ]
    )


def _stack(artifact: dict[str, Any], stacks: set[str]) -> dict[str, Any]:
    properties = artifact["properties"]
    kept = {name: properties[name] for name in ("templateFile", "stackName") if name in properties}
    return {
        "type": artifact["type"],
        "environment": artifact["environment"],
        "properties": kept,
        "dependencies": sorted(stacks.intersection(artifact.get("dependencies", []))),
        "displayName": artifact.get("displayName", ""),
    }


def _code() -> Iterator[Path]:
    """Return what decides what the function's code is."""
    source = CHECKOUT / "src" / "evertill"
    yield validation_asset.LOCK
    for room in validation_asset.ROOMS:
        yield from validation_asset.files(source / room)
    yield from (source / "journal" / name for name in validation_asset.JOURNAL)


def _digest(files: Iterable[Path]) -> str:
    seen = hashlib.sha256()
    for path in files:
        if path.is_file():
            seen.update(f"{path.name}\0{path.stat().st_size}\0".encode() + path.read_bytes())
    return seen.hexdigest()


def _read(file: Path) -> str | None:
    return file.read_text().strip() if file.is_file() else None


if __name__ == "__main__":
    sys.exit(main())
