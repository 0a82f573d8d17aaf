"""How a handler of the AWS API refuses: AWS's own error code, a sentence, and the HTTP status.

It is separate because every service's handler raises it and none needs to know the server, which
alone knows how each protocol writes an error down.
"""

from __future__ import annotations

from typing import Final

from evertill.twin.errors import TwinError

BAD_REQUEST: Final = 400


class ApiError(TwinError):
    """AWS would refuse this request."""

    code = "api"

    def __init__(self, code: str, message: str | None = None, status: int = BAD_REQUEST) -> None:
        """Carry AWS's `code` as its API reference writes it, such as `DBClusterNotFoundFault`."""
        super().__init__(message)
        self.aws_code: Final = code
        self.message: Final = str(self)
        self.status: Final = status
