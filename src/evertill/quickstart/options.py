"""The settings that every embedded cluster starts with.

They are separate so that the benchmarks, the twin and a reader see in one place what the server
promises: durability is stated and never left to a default.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from evertill.quickstart.ports import LISTEN_HOST

DURABILITY: Mapping[str, str] = MappingProxyType(
    {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
)

DEFAULTS: Mapping[str, str] = MappingProxyType(
    {
        **DURABILITY,
        "max_connections": "100",
        # Partitions and the locks of a large batch need more than the default of 64.
        "max_locks_per_transaction": "512",
        # More than this made no difference when it was measured (FINDINGS).
        "shared_buffers": "192MB",
        "max_wal_size": "4GB",
        # Log files are used again rather than made anew: making one stops every commit for as long
        # as 16 MB take to reach the disk.
        "min_wal_size": "1GB",
        "checkpoint_timeout": "15min",
        # Hot accounts leave dead rows quickly.
        "autovacuum_vacuum_scale_factor": "0.05",
        # Compiling a plan costs more than any of our short statements takes.
        "jit": "off",
        "password_encryption": "scram-sha-256",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_line_prefix": "%m [%p] ",
        "log_checkpoints": "off",
        "logging_collector": "off",
    }
)

SUPERUSER = "postgres"

# Anyone who can log in locally must know the password, over the socket as over TCP.
INITDB_ARGUMENTS = (
    f"--username={SUPERUSER}",
    "--auth=scram-sha-256",
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--no-instructions",
)


def server_arguments(
    settings: Mapping[str, str], *, port: int, socket_directory: Path
) -> list[str]:
    """Return the server's arguments: the defaults, then `settings`, then what is not negotiable."""
    merged = {
        **DEFAULTS,
        **settings,
        "listen_addresses": LISTEN_HOST,
        "port": str(port),
        "unix_socket_directories": f'"{socket_directory}"',
        "unix_socket_permissions": "0700",
    }
    return [word for name, value in merged.items() for word in ("-c", f"{name}={value}")]
