"""A cloud assembly as data: what `cdk synth` wrote to disk, read, resolved and typed.

`read(path)` takes a `cdk.out` (or any folder of `*.template.json`) of any app and returns a
`Model`. The rules in `evertill.checks` ask it questions; whatever else wants to know what a
deployment would be made of starts here too. It is separate because it knows CloudFormation's
language and nothing about what good infrastructure is, nor about the app that wrote it.
"""

from __future__ import annotations

from evertill.assembly.build import build
from evertill.assembly.errors import AssemblyUnreadable, TemplateMalformed
from evertill.assembly.model import Model, Output, Resource, Stack
from evertill.assembly.reading import read_stacks
from evertill.assembly.source import read
from evertill.assembly.values import Reference, Text, Unknown, Value, references_in

__all__ = [
    "AssemblyUnreadable",
    "Model",
    "Output",
    "Reference",
    "Resource",
    "Stack",
    "TemplateMalformed",
    "Text",
    "Unknown",
    "Value",
    "build",
    "read",
    "read_stacks",
    "references_in",
]
