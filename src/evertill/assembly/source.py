"""From a path to a model, in one call.

It is separate so that reading and building do not know each other: a test can build a model from
templates that never were on a disk.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from evertill.assembly.build import build
from evertill.assembly.model import Model
from evertill.assembly.reading import read_stacks


def read(path: Path, zones: Mapping[str, Sequence[str]] | None = None) -> Model:
    """Return the model of the assembly or folder of templates at `path`.

    `zones` gives the availability zones by region, for `Fn::GetAZs`. Raises AssemblyUnreadable for
    a path that holds no assembly and TemplateMalformed for a template that cannot be one.
    """
    return build(read_stacks(path), zones or {})
