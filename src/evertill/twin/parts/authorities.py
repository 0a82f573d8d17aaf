"""The certificate authority of a twin, whose certificates everything here that speaks TLS shows.

It is separate because a client needs one file to trust all of it. The authority is new in every
run: its key is never written down.
"""

from __future__ import annotations

import functools
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import trustme

# Names beyond those of the templates, so that a browser on this machine is content.
LOCAL_NAMES: Final = ("localhost", "127.0.0.1", "::1")


class Authority:
    """Issues certificates."""

    def __init__(self) -> None:
        """Make a new one."""
        self._authority = trustme.CA(organization_name="Evertill twin")

    @property
    def pem(self) -> bytes:
        """Return the authority's own certificate, for clients to trust."""
        return self._authority.cert_pem.bytes()

    def write(self, file: Path) -> Path:
        """Write the authority's certificate into `file` and return it."""
        file.write_bytes(self.pem)
        return file

    def certificate(self, names: Sequence[str]) -> bytes:
        """Return key, certificate and chain for `names` and for this machine's own names."""
        return _certificate(self._authority, tuple(dict.fromkeys((*names, *LOCAL_NAMES))))

    def client_context(self) -> ssl.SSLContext:
        """Return what a client needs that trusts this authority alone."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._authority.configure_trust(context)
        return context


@functools.lru_cache(maxsize=256)
def _certificate(authority: trustme.CA, names: tuple[str, ...]) -> bytes:
    """Issue once for the same names: the nodes of a balancer show one certificate."""
    return authority.issue_cert(*names).private_key_and_cert_chain_pem.bytes()
