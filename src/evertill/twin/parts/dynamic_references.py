"""References to secrets inside of texts, as CloudFormation resolves them when it deploys.

They are separate because a container's variables and a database's password may hold them alike.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Final

# A secret and, if any, the key in it.
# https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/dynamic-references-secretsmanager.html
DYNAMIC: Final = re.compile(
    r"\{\{resolve:secretsmanager:(.+?)(?::SecretString(?::([^:}]*))?[^}]*)?\}\}"
)

# Reads a secret, named as ECS's `ValueFrom` does; may raise a TwinError.
ReadSecret = Callable[[str], Awaitable[str]]


async def resolved(text: str, read: ReadSecret) -> str:
    """Return `text` with the secrets in it that it refers to."""
    for found in DYNAMIC.finditer(text):
        text = text.replace(found[0], await read(f"{found[1]}:{found[2] or ''}::"))
    return text
