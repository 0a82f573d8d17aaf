"""The committed templates, which `make up` runs without the CDK: they are what a synth writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from scripts.assembly import COMMITTED, DIGEST, MANIFEST
from tests.support.assembly import shared_assembly

from scripts import assembly

RENEW = "run `make assembly` and commit deploy/assemblies"
DEV = COMMITTED / "dev"


def texts(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.glob("*.template.json")}


def test_the_committed_templates_are_what_a_synth_writes(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    fresh = tmp_path / "fresh"
    assembly.keep(shared_assembly(tmp_path_factory, "dev").folder, fresh)
    assert texts(fresh) == texts(DEV), RENEW
    assert (fresh / MANIFEST).read_text() == (DEV / MANIFEST).read_text(), RENEW


def test_the_committed_templates_are_of_the_infrastructure_as_it_is() -> None:
    assert assembly.inputs_digest() == (DEV / DIGEST).read_text().strip(), RENEW


def test_a_run_finds_the_functions_code_in_place_of_its_stand_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assembly, "BUILD", tmp_path)
    folder = assembly.lay_out("dev")
    (code,) = folder.glob("asset.*")
    assert (code / "evertill" / "validation" / "handler.py").is_file()
    assert not (code / "README").exists()
    assert texts(DEV) == texts(folder)
    laid_out = code.stat().st_ino
    assert laid_out == next(assembly.lay_out("dev").glob("asset.*")).stat().st_ino


def test_changed_code_of_the_function_is_laid_out_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assembly, "BUILD", tmp_path)
    before = next(assembly.lay_out("dev").glob("asset.*")).stat().st_ino
    changed = tmp_path / "handler.py"
    changed.write_text("# another\n")
    monkeypatch.setattr(assembly, "_code", lambda: iter([changed]))
    assert before != next(assembly.lay_out("dev").glob("asset.*")).stat().st_ino


def test_a_changed_infrastructure_is_synthesized_before_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assembly, "BUILD", tmp_path)
    monkeypatch.setattr(assembly, "inputs_digest", lambda: "of what was changed")
    monkeypatch.setattr(assembly, "bootstrap", lambda: None)
    asked: list[str] = []

    def synthesize(environment: str, folder: Path) -> None:
        asked.append(environment)
        folder.mkdir()
        (folder / DIGEST).write_text("of what was changed\n")

    monkeypatch.setattr(assembly, "synthesize", synthesize)
    assert tmp_path / "dev-synthesized" == assembly.current("dev")
    assert tmp_path / "dev-synthesized" == assembly.current("dev")
    assert ["dev"] == asked


def test_a_manifest_keeps_where_stacks_go_and_in_which_order() -> None:
    artifacts = json.loads((DEV / MANIFEST).read_text())["artifacts"]
    assert "aws://unknown-account/us-east-2" == artifacts["data-us-east-2"]["environment"]
    assert "network-us-east-1" in artifacts["data-us-east-1"]["dependencies"]
