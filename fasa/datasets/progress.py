"""A progress bar for a person at a terminal, and silence in a log."""

from __future__ import annotations

from rich.console import Console
from rich.progress import Progress, ProgressColumn


def progress_bar(*columns: ProgressColumn) -> Progress:
    """A bar on standard error with rich's default columns or ``columns``; shows nothing unless that is a terminal."""
    console = Console(stderr=True)
    return Progress(*(columns or Progress.get_default_columns()), console=console, disable=not console.is_terminal)
