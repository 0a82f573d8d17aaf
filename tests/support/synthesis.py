"""Writes every assembly that the tests read: `python -m tests.support.synthesis FOLDER`.

It is a program of its own, because one process synthesizes all of them for little more than the
first: starting Node and loading the CDK is what takes the time. CDK's own validation is left to
one test, which runs the real command.

`dev`, `prod`   both environments, production with stand-ins for its owner's values
`single`        development without a standby
`first`         development as it is deployed first, without replication, to a stated account
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Final

from scripts.assembly import stand_in

from evertill.infrastructure import node
from evertill.infrastructure.settings import FOLDER, read_environment, read_settings

ACCOUNT: Final = "123456789012"


def single_region() -> str:
    """Return the settings of development without a standby."""
    text = (FOLDER / "dev.toml").read_text().replace('witness_region = "us-west-2"', "")
    return 'standby = "none"\n' + re.sub(r"\[standby\]\n(.+\n)+", "", text)


def main(folder: Path) -> None:
    """Write the assemblies, each to a folder with its name."""
    node.provide()
    from evertill.infrastructure.app import build  # noqa: PLC0415 - only now is there a Node

    single = folder / "single.toml"
    single.write_text(single_region())
    first = folder / "first.toml"
    first.write_text(f'account = "{ACCOUNT}"\n' + (FOLDER / "dev.toml").read_text())
    # Templates hold no more of the function's code than its digest, and tests fetch no packages.
    asset = stand_in(folder / "asset")
    build(read_environment("dev"), folder / "dev", asset=asset).synth()
    build(read_environment("prod", rehearsal=True), folder / "prod", asset=asset).synth()
    build(read_settings(single), folder / "single", asset=asset).synth()
    build(read_settings(first), folder / "first", replication=False, asset=asset).synth()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
