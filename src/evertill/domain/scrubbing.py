"""What no log may hold, taken out of what is about to be logged.

What may hold a secret is never given to a log; this is for what slips through. It is in the domain
because the service and the validation function must agree on it.
"""

from __future__ import annotations

import re
from typing import Final

from evertill.domain.cards import redact

_SECRET: Final = re.compile(r"\bsk_[\w-]+|(?i:bearer\s+)\S+|\btok_[\w-]+")


def scrub(text: str) -> str:
    """Replace keys, tokens and long digit strings."""
    return redact(_SECRET.sub("[redacted]", text))
