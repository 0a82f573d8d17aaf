"""Runs cfn-lint and checkov as programs and reads what they print.

It is separate from `policies` because these two look at whole templates, and from the table because
their output is theirs to change.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from evertill.audit.findings import AuditError, Finding
from evertill.audit.templates import Template

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


def cfn_lint(templates: Sequence[Template]) -> Iterator[Finding]:
    """Return the errors and warnings of cfn-lint, each template checked for its own region."""
    program = Path(sys.executable).with_name("cfn-lint")
    by_file = {str(template.file): template for template in templates}
    for region in sorted({template.region for template in templates}):
        files = [template.file for template in templates if template.region == region]
        options = ("--format", "json", "--regions", region)
        for match in run_tool([program, *options, "--", *files]):
            template = by_file[match["Filename"]]
            path = (match["Location"].get("Path") or [])[:2]
            is_resource = len(path) > 1 and path[0] == "Resources"
            place = template.place(path[1]) if is_resource else template.stack
            rule = match["Rule"]["Id"]
            yield Finding(template.environment, "cfn-lint", rule, place, match["Message"])


def checkov(templates: Sequence[Template]) -> Iterator[Finding]:
    """Return the failed checks of checkov, and the templates that it could not read."""
    by_file = {template.file.resolve(): template for template in templates}
    options = ("--framework", "cloudformation", "--output", "json", "--compact", "--quiet")
    report = run_tool(
        [LINT_ENVIRONMENT / "bin" / "checkov", *options, "--skip-download", "-f", *by_file]
    )
    if report.get("summary", {}).get("parsing_errors"):
        message = "checkov could not read all templates."
        raise AuditError(message)
    for check in report.get("results", {}).get("failed_checks", []):
        template = by_file[Path(check["file_abs_path"]).resolve()]
        place = template.place(check["resource"].partition(".")[2])
        yield Finding(
            template.environment, "checkov", check["check_id"], place, check["check_name"]
        )
