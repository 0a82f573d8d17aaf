"""What a figure was measured on: without it, a figure means nothing."""

from __future__ import annotations

import os
import platform
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


def describe(settings: dict[str, str]) -> dict[str, Any]:
    """Return the machine, its software, the server's settings and the date."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "cpu": _first("/proc/cpuinfo", r"model name\s*: (.*)") or platform.processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(_memory_bytes() / 2**30, 1),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "postgresql": settings.get("server_version", ""),
        "settings": settings,
    }


def _memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _first(path: str, pattern: str) -> str:
    try:
        found = re.search(pattern, Path(path).read_text())
    except OSError:
        return ""
    return found[1] if found else ""
