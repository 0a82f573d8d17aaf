"""Runs cfn-lint and checkov as programs and reads what they print.

It is separate from `policies` because these two look at whole templates, and from the table because
their output is theirs to change.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from evertill.assembly import Model, Stack
from evertill.audit.findings import AuditError, Finding

LINT_ENVIRONMENT: Final = Path(__file__).resolve().parents[3] / ".venv-lint"
TOOL_TIMEOUT_S: Final = 600
TAIL_LINES: Final = 3


def run_tool(command: Sequence[str | Path], *, given: str | None = None) -> Any:  # noqa: ANN401 - JSON.
    """Run a linter and return the JSON that it prints, whatever it found."""
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words, input=given, capture_output=True, text=True, check=False, timeout=TOOL_TIMEOUT_S
        )
    except FileNotFoundError as error:
        message = f"{words[0]} is missing; `make lint-infra` installs it."
        raise AuditError(message) from error
    except subprocess.TimeoutExpired as error:
        message = f"{Path(words[0]).name} took longer than {TOOL_TIMEOUT_S} s."
        raise AuditError(message) from error
    try:
        return json.loads(done.stdout)
    except ValueError as error:
        said = " ".join((done.stderr or done.stdout).strip().splitlines()[-TAIL_LINES:])
        message = f"{Path(words[0]).name} failed with status {done.returncode}: {said}"
        raise AuditError(message) from error


def cfn_lint(models: Mapping[str, Model]) -> Iterator[Finding]:
    """Return the errors and warnings of cfn-lint over the assemblies of some environments.

    Each template is checked for its own region.
    """
    program = Path(sys.executable).with_name("cfn-lint")
    stacks = _stacks_by_file(models)
    for region in sorted({str(stack.region) for _, stack in stacks.values()}):
        files = [file for file, (_, stack) in stacks.items() if str(stack.region) == region]
        options = ("--format", "json", "--regions", region)
        for match in run_tool([program, *options, "--", *files]):
            environment, stack = stacks[Path(match["Filename"])]
            path = (match["Location"].get("Path") or [])[:2]
            is_resource = len(path) > 1 and path[0] == "Resources"
            place = stack.path(path[1]) if is_resource else stack.id
            yield Finding(environment, "cfn-lint", match["Rule"]["Id"], place, match["Message"])


def checkov(models: Mapping[str, Model]) -> Iterator[Finding]:
    """Return the failed checks of checkov; raise AuditError if it could not read a template."""
    stacks = _stacks_by_file(models)
    options = ("--framework", "cloudformation", "--output", "json", "--compact", "--quiet")
    report = run_tool(
        [LINT_ENVIRONMENT / "bin" / "checkov", *options, "--skip-download", "-f", *stacks]
    )
    if report.get("summary", {}).get("parsing_errors"):
        message = "checkov could not read all templates."
        raise AuditError(message)
    for check in report.get("results", {}).get("failed_checks", []):
        environment, stack = stacks[Path(check["file_abs_path"]).resolve()]
        place = stack.path(check["resource"].partition(".")[2])
        yield Finding(environment, "checkov", check["check_id"], place, check["check_name"])


def _stacks_by_file(models: Mapping[str, Model]) -> dict[Path, tuple[str, Stack]]:
    return {
        stack.file: (environment, stack)
        for environment, model in models.items()
        for stack in model.stacks
        if stack.file is not None
    }
