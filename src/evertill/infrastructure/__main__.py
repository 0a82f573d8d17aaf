"""The command that writes the templates: by hand, by `make synth`, and by the CDK's command line.

It is separate from `app` because it checks the settings before anything of the CDK is imported.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from evertill.infrastructure import node, rollout
from evertill.infrastructure.asset import ASSET, AUTHORITIES, find_asset
from evertill.infrastructure.errors import SettingsError
from evertill.infrastructure.settings import (
    ENVIRONMENTS,
    FOLDER,
    REHEARSAL,
    Settings,
    read_environment,
    read_settings,
)

EXIT_USAGE: Final = 2
# The CDK's command line tells the program its context and its folder in these variables.
CONTEXT_VARIABLE: Final = "CDK_CONTEXT_JSON"
FOLDER_VARIABLE: Final = "CDK_OUTDIR"


def main(arguments: Sequence[str] | None = None, variables: Mapping[str, str] = os.environ) -> int:
    """Synthesize an environment and return the exit status."""
    context = json.loads(variables.get(CONTEXT_VARIABLE) or "{}")
    asked = _parser(context).parse_args(arguments)
    try:
        settings = _settings(asked)
        if asked.order:
            print(rollout.script(settings, _source(asked)), end="")  # noqa: T201 - for the user
            return 0
        asset = find_asset(settings)
        _warn(asset)
        node.provide()
    except SettingsError as error:
        print(f"evertill: {error}", file=sys.stderr)  # noqa: T201 - this speaks to the user
        return EXIT_USAGE
    # The CDK starts Node on import, which a mistake in the settings shall not have to wait for.
    from evertill.infrastructure.app import build  # noqa: PLC0415 - see above

    given = variables.get(FOLDER_VARIABLE)
    folder = asked.out or Path(given or "cdk.out")
    if given is None:
        _clear(folder)
    build(settings, folder, replication=asked.replication, asset=asset).synth()
    return 0


def _settings(asked: argparse.Namespace) -> Settings:
    if asked.settings is not None:
        return read_settings(asked.settings, FOLDER / REHEARSAL if asked.rehearsal else None)
    return read_environment(asked.environment, rehearsal=asked.rehearsal)


def _source(asked: argparse.Namespace) -> str:
    if asked.settings is not None:
        return f"settings={asked.settings}"
    return f"environment={asked.environment}"


def _warn(asset: Path) -> None:
    if asset == ASSET and not (asset / AUTHORITIES).is_file():
        print(  # noqa: T201 - this speaks to the user
            f"evertill: the validation function's code holds no {AUTHORITIES}: deployed like this "
            "it could not trust its database (docs/runbooks/deploy.md).",
            file=sys.stderr,
        )


def _clear(folder: Path) -> None:
    """Remove an earlier assembly: a stack that is no more would stay in it and be linted."""
    if (folder / "manifest.json").is_file():
        shutil.rmtree(folder)


def _parser(context: Mapping[str, Any]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m evertill.infrastructure", description="Write the CloudFormation templates."
    )
    default = context.get("environment", ENVIRONMENTS[0])
    parser.add_argument("environment", nargs="?", default=default, help="dev (default) or prod")
    parser.add_argument("--out", type=Path, help="the folder to write to (default: cdk.out)")
    parser.add_argument(
        "--rehearsal",
        action="store_true",
        default=context.get("rehearsal") in {True, "true"},
        help="let stand-ins fill what only an environment's owner knows",
    )
    parser.add_argument(
        "--without-replication",
        dest="replication",
        action="store_false",
        default=context.get("replication") not in {False, "false"},
        help="leave the log's buckets without rules, as the first deployment begins",
    )
    parser.add_argument(
        "--settings",
        type=Path,
        default=context.get("settings"),
        help="a file of your own instead of deploy/environments/{dev,prod}.toml",
    )
    parser.add_argument(
        "--order", action="store_true", help="print the commands of a first deployment and stop"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
