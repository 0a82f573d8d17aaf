"""How an import shows that it moves: a bar on a terminal, a plain line now and then elsewhere.

It is separate so that the pipeline knows nothing of screens. Everything here goes to standard
error; standard output is for results.
"""

from __future__ import annotations

import sys
import time
from typing import Final, Self

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from evertill.client.totals import Totals

PLAIN_INTERVAL_S: Final = 5.0


class Display:
    """Shows progress through a file of `size` bytes, of which `offset` are done already."""

    def __init__(self, size: int, offset: int) -> None:
        """Prepare for either kind of screen."""
        self._size = size
        self._shown_s = self._began_s = time.monotonic()
        self._lines_before: int | None = None
        self._bar: Progress | None = None
        if sys.stderr.isatty():
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TaskProgressColumn(),
                TimeRemainingColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._task = self._bar.add_task("importing", total=size, completed=offset)

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, offset: int, totals: Totals) -> None:
        """Show that the file is done up to `offset`."""
        now_s = time.monotonic()
        rejected = sum(totals.rejected.values())
        text = f"{totals.lines:,} lines, {rejected:,} rejected"
        if self._bar is not None:
            self._bar.update(self._task, completed=offset, description=text)
        elif now_s - self._shown_s >= PLAIN_INTERVAL_S:
            self._shown_s = now_s
            percent = 100 * offset // max(1, self._size)
            click.echo(f"{percent} %: {text}", err=True)
