"""TLS in front of the test's PostgreSQL, whose build has none: certificates as a test wants them.

It speaks the first words of the protocol (the request for TLS and its answer) and then passes bytes
on, so the client's side is the real thing.
"""

from __future__ import annotations

import contextlib
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import trustme

TLS_REQUEST = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"
CHUNK_SIZE = 1 << 16
HANDSHAKE_TIMEOUT_S = 10.0


class Front(socketserver.ThreadingTCPServer):
    """A port that speaks TLS for the server behind it; `authorities` is the file to trust."""

    daemon_threads = True

    def __init__(self, behind: tuple[str, int], folder: Path, name: str) -> None:
        """Show a certificate for `name`."""
        authority = trustme.CA()
        self.authorities = folder / "authorities.pem"
        authority.cert_pem.write_to_path(str(self.authorities))
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(name).configure_cert(self.context)
        self.behind = behind
        super().__init__(("127.0.0.1", 0), _Visit)


class _Visit(socketserver.BaseRequestHandler):
    server: Front

    def handle(self) -> None:
        self.request.settimeout(HANDSHAKE_TIMEOUT_S)
        if self.request.recv(len(TLS_REQUEST), socket.MSG_WAITALL) != TLS_REQUEST:
            return
        self.request.sendall(b"S")
        try:
            client = self.server.context.wrap_socket(self.request, server_side=True)
        except (ssl.SSLError, OSError):
            # The client did not like the certificate, which is what some tests are about.
            return
        client.settimeout(None)
        with client, socket.create_connection(self.server.behind) as server:
            back = threading.Thread(target=_pass_on, args=(server, client), daemon=True)
            back.start()
            _pass_on(client, server)


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(CHUNK_SIZE):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def running_front(behind: tuple[str, int], folder: Path, name: str) -> Iterator[Front]:
    """Run a front for a while."""
    with Front(behind, folder, name) as front:
        threading.Thread(target=front.serve_forever, daemon=True).start()
        try:
            yield front
        finally:
            front.shutdown()
