"""What can stop the twin, as errors whose docstrings are their default messages.

They are separate because every part raises them and none may import another only for that.
"""

from __future__ import annotations

from evertill.domain.errors import EvertillError


class TwinError(EvertillError):
    """The twin cannot do that."""

    code = "twin"


class PartFailed(TwinError):
    """A part of the twin did not start."""

    code = "part_failed"


class AddressesTaken(TwinError):
    """Every block of loopback addresses for a twin is in use: other twins run on this machine."""

    code = "addresses_taken"


class AddressesMissing(TwinError):
    """This machine has no loopback address but 127.0.0.1, and the twin needs one for each task.

    `make up-lite` runs the payment service alone, here too.
    """

    code = "addresses_missing"
