"""How far the command is, on the error stream; silent where that is not a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

Advance = Callable[[int, int], None]  # done, total


class Display:
    """Bars that vanish when their stage is over; a context manager."""

    def __init__(self, console: Console | None = None):
        self.progress: Progress | None = None
        if console is None and not sys.stderr.isatty():
            return  # and rich's bars, which take a while, are not imported
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.table import Column

        console = console or Console(stderr=True)
        self.progress = Progress(
            TextColumn("{task.description}", markup=False, table_column=Column(max_width=30, no_wrap=True)),
            BarColumn(),
            TextColumn("{task.fields[amount]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> Display:
        if self.progress:
            self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.progress:
            self.progress.stop()

    @contextmanager
    def stage(self, description: str) -> Iterator[None]:
        """A stage of unknown length."""
        with self._task(description, str):
            yield

    def bytes(self, description: str) -> AbstractContextManager[Advance]:
        """A stage measured in bytes: yields a function to call with the bytes done and in all."""
        from rich.filesize import decimal

        return self._task(description, decimal)

    def count(self, description: str) -> AbstractContextManager[Advance]:
        """A stage measured in steps."""
        return self._task(description, str)

    @contextmanager
    def _task(self, description: str, show: Callable[[int], str]) -> Iterator[Advance]:
        if not (progress := self.progress):
            yield lambda done, total: None
            return
        task = progress.add_task(description, total=None, amount="")

        def advance(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total, amount=f"{show(done)} of {show(total)}")

        try:
            yield advance
        finally:
            progress.remove_task(task)
