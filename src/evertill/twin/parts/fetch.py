"""`wget` and `curl` as images have them: enough for a health check, run as a program by path.

It is separate because it runs in a container's place, where a machine without these programs must
not fail a check that the image would pass. It knows the few options that checks use; with any
other it ends as the real programs do with an option they do not know.
"""

from __future__ import annotations

import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Final

TIMEOUT_DEFAULT_S: Final = 30.0
ANSWER_MAX_BYTES: Final = 16 * 1024 * 1024
EXIT_USAGE: Final = 2
EXIT_WGET_REFUSED: Final = 1
EXIT_CURL_REFUSED: Final = 22
EXIT_CURL_UNREACHABLE: Final = 7
# Options that take a value, and those that take none and change nothing for a check.
TAKING: Final = {
    "wget": ("-O", "-T", "-t", "--timeout", "--tries", "--output-document"),
    "curl": ("-o", "-m", "--max-time", "--connect-timeout", "--output", "--retry"),
}
PLAIN: Final = {
    "wget": ("-q", "-qO-", "--quiet", "--spider", "-nv", "--no-verbose", "--no-check-certificate"),
    "curl": ("-f", "--fail", "-s", "--silent", "-S", "--show-error", "-fs", "-sf", "-fsS", "-sS"),
}


def main(program: str, arguments: Sequence[str]) -> int:
    """Fetch a page as `program` would, and return its exit status."""
    options, urls = _read(program, list(arguments))
    if options is None or len(urls) != 1:
        print(f"{program}: unrecognized option", file=sys.stderr)  # noqa: T201 - a program's words
        return EXIT_USAGE
    seconds = options.get("-T") or options.get("--timeout") or options.get("-m")
    seconds = seconds or options.get("--max-time") or str(TIMEOUT_DEFAULT_S)
    url = urls[0] if "://" in urls[0] else f"http://{urls[0]}"
    if not url.startswith(("http://", "https://")):
        return EXIT_USAGE
    try:
        with urllib.request.urlopen(url, timeout=float(seconds)) as answer:  # noqa: S310 - checked
            body = answer.read(ANSWER_MAX_BYTES)
    except urllib.error.HTTPError as error:
        print(f"server returned error: HTTP {error.code}", file=sys.stderr)  # noqa: T201 - the same
        is_told = program == "wget" or any("f" in name.lstrip("-")[:3] for name in options)
        return (EXIT_WGET_REFUSED if program == "wget" else EXIT_CURL_REFUSED) if is_told else 0
    except (OSError, ValueError) as error:
        print(f"can't connect: {error}", file=sys.stderr)  # noqa: T201 - the same
        return EXIT_WGET_REFUSED if program == "wget" else EXIT_CURL_UNREACHABLE
    _write(program, options, body)
    return 0


def _read(program: str, arguments: list[str]) -> tuple[dict[str, str] | None, list[str]]:
    options: dict[str, str] = {}
    urls: list[str] = []
    while arguments:
        item = arguments.pop(0)
        name, equals, value = item.partition("=")
        if not item.startswith("-"):
            urls.append(item)
        elif name in TAKING[program]:
            options[name] = value if equals or not arguments else arguments.pop(0)
        elif item in PLAIN[program]:
            options[item] = ""
        else:
            return None, urls
    return options, urls


def _write(program: str, options: dict[str, str], body: bytes) -> None:
    target = options.get("-O") or options.get("--output-document") or options.get("-o")
    if "--spider" in options:
        return
    if target and target != "-":
        Path(target).write_bytes(body)
    elif program == "curl" or target == "-" or "-qO-" in options:
        sys.stdout.buffer.write(body)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
