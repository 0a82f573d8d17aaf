"""What can be wrong with an assembly, each as one sentence for the user."""

from __future__ import annotations

from typing import ClassVar

from evertill.domain.errors import UsageError


class AssemblyUnreadable(UsageError):
    """The path holds no cloud assembly and no folder of *.template.json files."""

    code: ClassVar[str] = "assembly_unreadable"


class TemplateMalformed(UsageError):
    """A template holds what CloudFormation would not take."""

    code: ClassVar[str] = "template_malformed"
