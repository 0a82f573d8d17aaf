"""Makes `.venv` from the hashed locks, on first use and whenever a lock has changed.

For the kind `lint` it makes `.venv-lint`: those tools pin other versions than the platform does.

It is separate from `bootstrap`, which only finds a Python, and from the package, which is not
installed yet when this runs: it needs nothing but the standard library.

A stamp inside it says what is in it. It is written last, so an interrupted installation
has none of its own and is redone; an environment that somebody else made is added to, never
deleted. Evertill itself is put on the path by a .pth file, because building it would need a
build backend and the network for nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TextIO

CHECKOUT = Path(__file__).resolve().parent.parent
# One run makes one environment, so which one is known from the start.
LINT = "lint"
ENVIRONMENT = CHECKOUT / (".venv-lint" if sys.argv[1:2] == [LINT] else ".venv")
PYTHON = ENVIRONMENT / "bin" / "python"
STAMP = ENVIRONMENT / "evertill-stamp.json"
LOG = ENVIRONMENT / "evertill-install.log"
LOCKS = {
    "runtime": ("requirements/runtime.txt",),
    "infra": ("requirements/runtime.txt", "requirements/infra.txt"),
    "twin": ("requirements/runtime.txt", "requirements/twin.txt"),
    "dev": (
        "requirements/runtime.txt",
        "requirements/infra.txt",
        "requirements/twin.txt",
        "requirements/dev.txt",
    ),
    "console": (
        "requirements/runtime.txt",
        "requirements/infra.txt",
        "requirements/twin.txt",
        "requirements/dev.txt",
        "requirements/console.txt",
    ),
    LINT: ("requirements/lint.txt",),
}
PIP_PYTHON_OPTION_SINCE = (22, 3)
PROBE_TIMEOUT_S = 60
VENV_TIMEOUT_S = 300
PIP_TAIL_LINES = 6
PIP_OPTIONS = (
    "--require-hashes",
    "--only-binary=:all:",
    "--no-deps",
    # Byte code is written on first import instead: half of it is never imported.
    "--no-compile",
    "--no-input",
    "--disable-pip-version-check",
    "--progress-bar=off",
    "--no-warn-script-location",
)

# Started through sh, because a #! line may be neither long nor hold spaces.
LAUNCHER = """#!/bin/sh
'''exec' "{python}" "$0" "$@"
' '''
import sys

from evertill.cli import main

sys.exit(main())
"""


class SetupError(Exception):
    """The environment could not be made; the message says why and what to do."""


def main(arguments: list[str]) -> int:
    """Bring the environment of a kind up to date; return the exit status."""
    kind = arguments[0] if arguments else "runtime"
    if kind not in LOCKS:
        return complain(f"usage: scripts/bootstrap [{'|'.join(LOCKS)}]")
    if arguments[1:] == ["--check"]:
        return 0 if is_current(kind) else 1
    try:
        if not is_current(kind):
            refuse_elsewhere(kind)
            # The lock files themselves are locked: they exist, and need not be written to.
            with exclusively(CHECKOUT / LOCKS["runtime"][0]):
                if not is_current(kind):
                    build(kind)
    except SetupError as error:
        return complain(str(error))
    except OSError as error:
        return complain(f"cannot write {error.filename or ENVIRONMENT}: {error.strerror}.")
    except KeyboardInterrupt:
        return complain("interrupted; the next run begins the installation again.")
    return 0


def refuse_elsewhere(kind: str) -> None:
    """Raise SetupError where nothing of `kind` could run, before anything is fetched for it."""
    if kind == "twin" and sys.platform != "linux":
        raise SetupError(
            "the twin needs Linux (a load balancer, and an address of its own for each task); "
            "`make up-lite` runs the payment service alone, here too."
        )


def complain(sentence: str) -> int:
    """Print one sentence on standard error and return the exit status of a failure."""
    print(f"evertill: {sentence}", file=sys.stderr)
    return 1


@contextlib.contextmanager
def exclusively(path: Path) -> Iterator[None]:
    """Let one installation work at a time; the kernel frees the lock when we die."""
    with path.open() as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Waiting for another installation of this checkout ...", flush=True)
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def digest(kind: str) -> str:
    """Return what must not have changed for an installation of `kind` to be current."""
    seen = hashlib.sha256(str(ENVIRONMENT).encode())
    for lock in LOCKS[kind]:
        seen.update((CHECKOUT / lock).read_bytes())
    seen.update(Path(__file__).read_bytes())
    return seen.hexdigest()


def read_stamp() -> dict[str, str]:
    """Return what the environment says of itself, nothing when it says nothing readable."""
    try:
        stamp = json.loads(STAMP.read_text())
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def is_current(kind: str) -> bool:
    """Tell whether `kind` was installed completely from the present locks."""
    return read_stamp().get(kind) == digest(kind) and runs(PYTHON)


def build(kind: str) -> None:
    """Make the environment when it is missing, broken or half-made; install; stamp it."""
    began_s = time.monotonic()
    stamp = read_stamp()
    moved = stamp.get("path") not in (None, str(ENVIRONMENT))
    if "building" in stamp or moved or not runs(PYTHON):
        create()
        stamp = {}
    write_stamp({"building": kind, "path": str(ENVIRONMENT)})
    install(kind)
    if kind != LINT:
        put_on_path()
    kept = {name: value for name, value in stamp.items() if name in LOCKS and is_valid(stamp, name)}
    done = {name: digest(name) for name in LOCKS if set(LOCKS[name]) <= set(LOCKS[kind])}
    write_stamp({**kept, **done, "path": str(ENVIRONMENT)})
    print(f"The environment is ready ({time.monotonic() - began_s:.0f} s).", flush=True)


def is_valid(stamp: dict[str, str], kind: str) -> bool:
    """Tell whether what the stamp says of `kind` still holds."""
    return stamp.get(kind) == digest(kind)


def write_stamp(stamp: dict[str, str]) -> None:
    """Replace the stamp at once."""
    draft = STAMP.with_suffix(".new")
    draft.write_text(json.dumps(stamp, indent=2) + "\n")
    draft.replace(STAMP)


def runs(python: Path) -> bool:
    """Tell whether the environment's Python runs, is new enough and is the one it was made for.

    After an upgrade of the system the same link may lead to a newer Python, which looks for
    packages in a directory of its own.
    """
    probe = (
        "import os, sys, sysconfig; "
        "sys.exit(sys.version_info < (3, 11) or not os.path.isdir(sysconfig.get_path('purelib')))"
    )
    command = [str(python), "-S", "-c", probe]
    try:
        done = subprocess.run(command, check=False, timeout=PROBE_TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def create() -> None:
    """Make an empty environment in place of what is there."""
    version = ".".join(map(str, sys.version_info[:3]))
    print(f"Making {ENVIRONMENT.name} with Python {version} ...", flush=True)
    if ENVIRONMENT.is_symlink():
        raise SetupError(f"{ENVIRONMENT} is a link to another place; remove it and run this again.")
    shutil.rmtree(ENVIRONMENT, ignore_errors=True)
    command = [sys.executable, "-m", "venv", str(ENVIRONMENT)]
    if host_pip_is_able() or importlib.util.find_spec("ensurepip") is None:
        command.insert(3, "--without-pip")
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=VENV_TIMEOUT_S
    )
    if done.returncode != 0:
        minor = f"{sys.version_info[0]}.{sys.version_info[1]}"
        detail = (done.stdout + done.stderr).strip().splitlines()
        raise SetupError(
            f"Python {version} could not make an environment; install the package "
            f"python{minor}-venv or name another Python by PYTHON=... "
            f"({detail[-1] if detail else 'it said nothing'})"
        )


def host_pip_is_able() -> bool:
    """Tell whether this Python's pip can install into another environment, saving us a second."""
    if importlib.util.find_spec("pip") is None:
        return False
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--version"],
        check=False,
        capture_output=True,
        text=True,
        timeout=PROBE_TIMEOUT_S,
    )
    version = re.match(r"pip (\d+)\.(\d+)", done.stdout)
    return version is not None and tuple(map(int, version.groups())) >= PIP_PYTHON_OPTION_SINCE


def pip_command() -> list[str]:
    """Return how to run pip on the environment: its own, or this Python's."""
    own = subprocess.run(
        [PYTHON, "-m", "pip", "--version"],
        check=False,
        capture_output=True,
        timeout=PROBE_TIMEOUT_S,
    )
    if own.returncode == 0:
        return [str(PYTHON), "-m", "pip"]
    if host_pip_is_able():
        return [sys.executable, "-m", "pip", f"--python={PYTHON}"]
    raise SetupError(
        f"{sys.executable} has no pip that is recent enough; install its venv package, "
        f"remove {ENVIRONMENT.name} and run this again."
    )


def install(kind: str) -> None:
    """Install what the locks of `kind` name, showing progress, with pip's words kept in a log.

    The index, proxies and certificates are those that the user's own pip uses.
    """
    locks = [CHECKOUT / lock for lock in LOCKS[kind]]
    requirements = [word for lock in locks for word in ("-r", str(lock))]
    total = len({name for lock in locks for name in locked_names(lock)})
    print(f"Installing about {total} packages from the locks ...", flush=True)
    command = [*pip_command(), "install", *PIP_OPTIONS, *requirements]
    with (
        LOG.open("w") as log,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        ) as pip,
    ):
        assert pip.stdout is not None
        show(pip.stdout, log, total)
    if pip.returncode != 0:
        raise SetupError(explain_failure())


def show(lines: Iterable[str], log: TextIO, total: int) -> None:
    """Copy pip's lines to the log, and count on the terminal what it fetches."""
    count = 0
    for line in lines:
        log.write(line)
        log.flush()
        if line.startswith("Installing collected"):
            print(f"\r  unpacking {count} packages ...".ljust(60), flush=True)
        elif line.startswith("Collecting "):
            count += 1
            if sys.stdout.isatty():
                name = re.split(r"[=<>;\s]", line.removeprefix("Collecting "), maxsplit=1)[0]
                print(f"\r  {count}/{total} {name}".ljust(60), end="", flush=True)


def locked_names(lock: Path) -> list[str]:
    """Return the names of the packages that a lock pins."""
    return re.findall(r"^([A-Za-z0-9._-]+)(?:\[.*\])?==", lock.read_text(), re.MULTILINE)


def explain_failure() -> str:
    """Return one sentence about pip's failure, followed by the end of what it said."""
    said = [line.rstrip() for line in LOG.read_text().splitlines() if line.strip()]
    text = "\n".join(said)
    if "No space left on device" in text or "Disk quota exceeded" in text:
        cause = "the disk is full; free some space and run this again"
    elif "DO NOT MATCH THE HASHES" in text:
        cause = "a package is not the one that was locked; check your package index"
    elif re.search(r"NewConnectionError|Max retries|timed out|Temporary failure|SSLError", text):
        cause = "the package index cannot be reached; check the network or your pip settings"
    elif "(from versions: none)" in text:
        cause = "the package index cannot be reached, or lacks a wheel for this Python and platform"
    elif "No matching distribution" in text:
        cause = "the package index lacks a wheel for this Python and platform"
    else:
        cause = "pip failed"
    tail = "\n".join(f"    {line}" for line in said[-PIP_TAIL_LINES:])
    return f"nothing was installed: {cause} (the whole log: {LOG}).\n{tail}"


def put_on_path() -> None:
    """Make `evertill` importable and give it its command."""
    site = subprocess.run(
        [PYTHON, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        check=True,
        capture_output=True,
        text=True,
        timeout=PROBE_TIMEOUT_S,
    )
    (Path(site.stdout.strip()) / "evertill.pth").write_text(f"{CHECKOUT / 'src'}\n")
    launcher = ENVIRONMENT / "bin" / "evertill"
    launcher.write_text(LAUNCHER.format(python=PYTHON))
    launcher.chmod(0o755)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
