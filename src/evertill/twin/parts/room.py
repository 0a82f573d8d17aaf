"""What a container believes about where it is, put into terms of this machine.

It is separate because it is pure text: a task's own address for "every interface" and for the
loopback one, real paths for those of the image, moved ports for those that need root.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import quote

from evertill.twin.addresses import local_port

EVERY_INTERFACE: Final = "0.0.0.0"  # noqa: S104 - it is what is replaced
LOOPBACK: Final = re.compile(r"(?<![\w.-])(localhost|127\.0\.0\.1|0\.0\.0\.0)(:\d{1,5})?(?![\w.-])")
PORT_OF_SCHEME: Final = {"http://": ":80", "https://": ":443"}


class Room:
    """The words of one task: its address, and the real path of each path in its image."""

    def __init__(self, address: str, paths: Mapping[str, Path]) -> None:
        """Replace by `address` and by `paths`, the longest first."""
        self._address: Final = address
        self._paths: Final = [
            (re.compile(rf"(?<![\w./-]){re.escape(path)}(?![\w.-])"), real)
            for path, real in sorted(paths.items(), key=lambda item: -len(item[0]))
        ]

    def text(self, text: str) -> str:
        """Return a variable or an argument as it must read here."""
        if text == EVERY_INTERFACE:
            return self._address
        for pattern, real in self._paths:
            # In an address of the form scheme://... a path may hold no space, for instance.
            shown = quote(str(real)) if "://" in text else str(real)
            text = pattern.sub(lambda _, shown=shown: shown, text)  # type: ignore[misc] # mypy#15459
        return text

    def check(self, text: str) -> str:
        """Return a word of a health check, which asks the container itself at a loopback name."""
        return LOOPBACK.sub(lambda found: self._own(text, found), self.text(text))

    def _own(self, text: str, found: re.Match[str]) -> str:
        port = found[2] or next(
            (
                port
                for scheme, port in PORT_OF_SCHEME.items()
                if text[: found.start()].endswith(scheme)
            ),
            "",
        )
        return f"{self._address}:{local_port(int(port[1:]))}" if port else self._address
