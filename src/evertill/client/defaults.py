"""Which service a command talks to, and as whom, when it is not told.

It is separate so that every command finds the same one: what was given, else the environment, else
the demonstration that `make up` left in the current directory.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import msgspec

from evertill.client.faults import ServiceUnknown

URL_VARIABLE: Final = "EVERTILL_URL"
KEY_VARIABLE: Final = "EVERTILL_API_KEY"
# Of `make up-lite`, and of `make up`: the newer one is of what runs.
DEMO_FILES: Final = (Path(".evertill/demo.json"), Path(".evertill/twin/demo.json"))


class Access(msgspec.Struct, frozen=True):
    """A service's address and an API key for it; a file of authorities if they are not public."""

    url: str
    key: str
    authorities: str = ""


def find_access(url: str | None, key: str | None) -> Access:
    """Return the address and key to use; raise ServiceUnknown when one of them is nowhere to find.

    A part that is given goes before the environment, and that before the demonstration's file.
    """
    url = url or os.environ.get(URL_VARIABLE)
    key = key or os.environ.get(KEY_VARIABLE)
    if url and key:
        return Access(url, key)
    demo = _read_demo()
    # The demonstration's key is of use at its own address only, and may go nowhere else.
    if demo is not None and url in {None, "", demo.url}:
        return Access(demo.url, key or demo.key, demo.authorities)
    lack = f"There is no API key for {url}." if url else "It is not known which service to use."
    message = (
        f"{lack} Start one here with `make up`, or give --url and --key (or set {URL_VARIABLE} "
        f"and {KEY_VARIABLE})."
    )
    raise ServiceUnknown(message)


def _read_demo() -> Access | None:
    files = sorted(filter(Path.is_file, DEMO_FILES), key=lambda file: file.stat().st_mtime)
    try:
        return msgspec.json.decode(files[-1].read_bytes(), type=Access) if files else None
    except (OSError, msgspec.MsgspecError):
        return None
