"""The house rules that a machine can see: sizes, docstrings, bounds with units, nothing leaked."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70
# A decision record must stand behind anything that is put off.
PUT_OFF = re.compile(r"#.*\b(TO" r"DO|FIX" r"ME|HA" r"CK)\b(?!.*\bADR\b)")
# Written in pieces, so that this file does not hold what it forbids.
MACHINE_PATHS = re.compile(r"/wor" r"k/|/roo" r"t/|/hom" r"e/\w")
INDEX_URLS = re.compile(r"^\s*(--)?(extra-)?index-url|--find-lin" r"ks http", re.MULTILINE)
DURATION = re.compile(r"(TIMEOUT|INTERVAL|DELAY|PAUSE|DEADLINE)")
UNITS = re.compile(r"(_S|_MS|_MIN|_AFTER_S)$")


def tracked() -> list[Path]:
    git = shutil.which("git")
    assert git
    listed = subprocess.run(
        [git, "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [ROOT / line for line in listed.stdout.splitlines() if (ROOT / line).is_file()]


def python_files() -> list[Path]:
    return [path for path in tracked() if path.suffix == ".py"]


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@pytest.mark.parametrize("path", python_files(), ids=named)
def test_a_module_is_small_and_says_what_it_is_for(path: Path) -> None:
    text = path.read_text()
    tree = ast.parse(text)
    assert text.count("\n") <= MODULE_LINES_MAX
    assert not tree.body or ast.get_docstring(tree), "no module docstring"
    long = [
        node.name
        for node in functions(tree)
        if (node.end_lineno or 0) - node.lineno >= FUNCTION_LINES_MAX
    ]
    assert [] == long
    assert not PUT_OFF.search(text)


@pytest.mark.parametrize(
    "path", [p for p in python_files() if named(p).startswith("src/")], ids=named
)
def test_every_public_name_is_documented(path: Path) -> None:
    tree = ast.parse(path.read_text())
    holders: list[ast.Module | ast.ClassDef] = [tree]
    holders += [node for node in tree.body if isinstance(node, ast.ClassDef)]
    silent = [
        node.name
        for holder in holders
        for node in holder.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and not ast.get_docstring(node)
        and not _is_inside_private(holder)
    ]
    assert [] == silent


@pytest.mark.parametrize(
    "path", [p for p in python_files() if named(p).startswith("src/")], ids=named
)
def test_a_duration_names_its_unit_last(path: Path) -> None:
    constants = [
        node.target.id
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    ]
    # A timedelta carries its unit itself.
    typed = {
        name
        for name in constants
        if re.search(rf"^{name}: Final(\[.*\])? = timedelta", path.read_text(), re.MULTILINE)
    }
    vague = [n for n in constants if DURATION.search(n) and not UNITS.search(n) and n not in typed]
    assert [] == vague


def test_no_file_names_a_machine_or_a_package_index() -> None:
    leaky = []
    for path in tracked():
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        if path != Path(__file__) and (MACHINE_PATHS.search(text) or INDEX_URLS.search(text)):
            leaky.append(named(path))
    assert [] == leaky


def test_every_lint_exception_gives_its_reason() -> None:
    bare = [
        f"{named(path)}: {line.strip()}"
        for path in python_files()
        for line in path.read_text().splitlines()
        if re.search(r"#\s*(noqa|type: ignore)", line)
        and not re.search(r"(noqa: [A-Z0-9, ]+|ignore\[[a-z-, ]+\])\s*(#|-)\s*\S+", line)
        and "re." not in line
    ]
    assert [] == bare


def test_sql_stands_in_sql_files() -> None:
    statement = re.compile(r"[\"'](INSERT INTO|UPDATE \w+ SET|DELETE FROM|SELECT .* FROM) ")
    found = [
        f"{named(path)}: {line.strip()}"
        for path in python_files()
        if named(path).startswith(("src/evertill/service", "src/evertill/client"))
        for line in path.read_text().splitlines()
        if statement.search(line)
    ]
    assert [] == found


def test_every_decision_is_listed_in_the_index() -> None:
    folder = ROOT / "docs" / "decisions"
    index = (folder / "README.md").read_text()
    missing = [p.name for p in folder.glob("0*.md") if p.name not in index]
    assert [] == missing


def _is_inside_private(holder: ast.Module | ast.ClassDef) -> bool:
    return isinstance(holder, ast.ClassDef) and holder.name.startswith("_")
