"""What a container image means here: which program of this machine stands for what it holds.

It is separate because no image is pulled or unpacked: an image is known, with the little that its
container may rely on (its entry point, its programs, its variables, its files), or it is refused by
name before anything starts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from evertill.twin.errors import TwinError

# The repository of our own image. What follows is what deploy/Dockerfile says; a test compares.
OURS: Final = "evertill"
OUR_ENTRY_POINT: Final = ("python", "-P", "-m", "evertill.cli")
OUR_COMMAND: Final = ("serve",)
OUR_ENVIRONMENT: Final[Mapping[str, str]] = {
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONUNBUFFERED": "1",
    "TMPDIR": "/scratch",
}
# Files that an image holds, by what the twin supplies for them.
AUTHORITIES: Final = "authorities"
OUR_FILES: Final[Mapping[str, str]] = {"/etc/evertill/rds-ca.pem": AUTHORITIES}
NODE: Final = "node"
# The official image, by each of the names under which it is pulled.
NODE_REPOSITORIES: Final = (
    "node",
    "library/node",
    "docker.io/node",
    "docker.io/library/node",
    "public.ecr.aws/docker/library/node",
)
# What a shell script finds in such images. The twin takes each from this machine, when it is there.
# BusyBox has wget; only the full Debian images have curl: a check by curl never passes elsewhere.
SHELL: Final = (
    *("sh", "cat", "cut", "date", "dirname", "echo", "env", "expr", "false", "grep", "head"),
    *("hostname", "id", "kill", "ls", "mkdir", "mv", "printf", "ps", "pwd", "rm", "sed", "seq"),
    *("sleep", "sort", "tail", "tee", "test", "timeout", "touch", "tr", "true", "uname", "wc"),
)
WGET: Final = "wget"
CURL: Final = "curl"


class ImageUnknown(TwinError):
    """Nothing here stands for this container image."""

    code = "image_unknown"


class Image(msgspec.Struct, frozen=True):
    """An image as it is run here. `note` says what differs from the real one."""

    reference: str
    kind: str
    entry_point: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = {}
    programs: tuple[str, ...] = SHELL
    files: Mapping[str, str] = {}
    directory: str = "/"
    note: str = ""


def image_of(reference: str) -> Image:
    """Return what stands for an image; raise ImageUnknown for one that nothing stands for."""
    repository, tag = _parts(reference)
    name = repository.rpartition("/")[2]
    if name == OURS:
        return Image(
            reference,
            OURS,
            OUR_ENTRY_POINT,
            OUR_COMMAND,
            OUR_ENVIRONMENT,
            (*SHELL, "python"),
            OUR_FILES,
            "/scratch",
            "this checkout's own code, under its environment's Python",
        )
    if repository in NODE_REPOSITORIES:
        return Image(
            reference,
            NODE,
            command=(NODE,),
            programs=(*SHELL, NODE, *_fetchers(tag)),
            note="Node.js of the installed wheel, whatever version the tag names",
        )
    message = (
        f"Nothing here stands for the image {reference}: the twin runs its own ({OURS}) and {NODE}."
    )
    raise ImageUnknown(message)


def arguments(image: Image, entry_point: tuple[str, ...], command: tuple[str, ...]) -> list[str]:
    """Return the whole command line, of what a definition says and what the image says.

    As in Docker, an entry point of the definition takes the image's command away.
    """
    if entry_point:
        return [*entry_point, *command]
    chosen = list(command or image.command)
    if image.kind == NODE and chosen[0].startswith("-"):
        # The image's docker-entrypoint.sh hands options to node.
        return [NODE, *chosen]
    return [*image.entry_point, *chosen]


def _fetchers(tag: str) -> tuple[str, ...]:
    if "alpine" in tag:
        return (WGET,)
    return () if "slim" in tag else (WGET, CURL)


def _parts(reference: str) -> tuple[str, str]:
    """Return the repository and the tag: `registry:5000/a/b:tag@sha256:...`."""
    named = reference.partition("@")[0]
    head, _, last = named.rpartition("/")
    last, _, tag = last.partition(":")
    return (f"{head}/{last}" if head else last), tag
