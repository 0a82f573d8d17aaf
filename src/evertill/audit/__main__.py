"""`make lint-infra`: synthesizes dev and prod, runs every linter and prints a table of counts.

It is a program of its own and no subcommand of `evertill`, because it needs the tools of
`.venv-lint`, which nobody needs who only runs the service. The exit status is 0 when nothing is
open and no acknowledgement is without a finding, else 1; 2 when the audit itself failed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from evertill.assembly import AssemblyUnreadable, Model, TemplateMalformed, read
from evertill.audit import display, programs
from evertill.audit.accepted import accepted
from evertill.audit.findings import TOOLS, AuditError, Finding, sort_out
from evertill.audit.policies import check_policies
from evertill.infrastructure import node
from evertill.infrastructure.errors import SettingsError
from evertill.infrastructure.settings import ENVIRONMENTS, Settings, read_environment

PRODUCTION: Final = "prod"
# Those that `make test` has too; the others are in .venv-lint.
TOOLS_OF_OURS: Final = ("cfn-lint", "cdk-nag")
EXIT_OPEN: Final = 1
EXIT_FAILED: Final = 2


def main(arguments: Sequence[str]) -> int:
    """Audit the environments that are named, both by default; return the exit status."""
    options = _parser().parse_args(arguments)
    environments = options.environments or list(ENVIRONMENTS)
    try:
        settings = {name: read_environment(name, rehearsal=True) for name in environments}
        node.provide()
        with tempfile.TemporaryDirectory(prefix="evertill-audit-") as folder:
            found = audit(settings, Path(folder), is_quick=options.is_quick)
        outcome = sort_out(found, {name: accepted(one) for name, one in settings.items()})
        ran = TOOLS_OF_OURS if options.is_quick else TOOLS
        if PRODUCTION in environments:
            outcome = outcome.without_unneeded_of(set(TOOLS) - set(ran))
        else:
            # Production is what acknowledgements are for; it alone says which are needed.
            outcome = outcome.without_unneeded_of(set(TOOLS))
    except (AuditError, SettingsError, AssemblyUnreadable, TemplateMalformed) as error:
        print(f"evertill: {error}", file=sys.stderr)  # noqa: T201 - The program's own words.
        return EXIT_FAILED
    if options.is_json:
        lines = [json.dumps(display.as_json(outcome, environments), indent=2)]
    else:
        lines = [*display.table(outcome, environments)]
        lines += [*display.details(outcome)] if options.details else []
    sys.stdout.write("\n".join(lines) + "\n")
    if not outcome.is_clean and not (options.details or options.is_json):
        sys.stdout.write("Which ones: make lint-infra ARGS=--details\n")
    return 0 if outcome.is_clean else EXIT_OPEN


def audit(environments: Mapping[str, Settings], folder: Path, *, is_quick: bool) -> list[Finding]:
    """Synthesize the environments below `folder` and return what all tools find."""
    found: list[Finding] = []
    models: dict[str, Model] = {}
    for environment, settings in environments.items():
        found += synthesize(environment, settings, folder / environment)
        models[environment] = read(folder / environment)
        found += [] if is_quick else check_policies(models[environment], environment)
    found += programs.cfn_lint(models)
    return found if is_quick else [*found, *programs.checkov(models)]


def synthesize(environment: str, settings: Settings, out: Path) -> list[Finding]:
    """Write an environment's assembly to `out` and return what cdk-nag finds in its tree."""
    # The CDK's own validation has its test; here it would double the time.
    os.environ.setdefault("CDK_VALIDATION", "false")
    # jsii starts on import, so a mistake on the command line is told before it.
    from evertill.audit import nag  # noqa: PLC0415 - Starts jsii.
    from evertill.infrastructure.app import build  # noqa: PLC0415 - The same.

    tree = build(settings, out, acknowledged=False)
    tree.synth()
    return list(nag.validate(tree, environment))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="make lint-infra", description="Run every linter over the synthesized templates."
    )
    parser.add_argument("environments", nargs="*", choices=[[], *ENVIRONMENTS], help="dev, prod")
    parser.add_argument("--details", action="store_true", help="name every open finding")
    parser.add_argument(
        "--quick", dest="is_quick", action="store_true", help="run cfn-lint and cdk-nag only"
    )
    parser.add_argument("--json", dest="is_json", action="store_true", help="print JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
