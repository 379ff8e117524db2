"""The state of a study on a terminal: once, or again and again until nothing is left to run."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from fasa.reporting.status_page import span, write_status
from fasa.study.status import STATES, Watch

if TYPE_CHECKING:
    from fasa.study import Study
    from fasa.study.status import Snapshot

STYLES = {
    "done": "green",
    "trained": "cyan",
    "running": "bold blue",
    "stopped": "yellow",
    "stale": "magenta",
    "failed": "bold red",
    "missing": "dim",
}
SHOWN_FAILURES = 3


def summary(snapshot: Snapshot) -> Table:
    """How many runs of each table and figure, and of all, are in which state."""
    grid = Table("table or figure", title=f"scale {snapshot.scale}")
    for state in STATES:
        grid.add_column(state, justify="right", style=STYLES[state])
    for user in (*snapshot.users, None):
        if user is None:
            grid.add_section()
        counts = snapshot.counts(user)
        grid.add_row(user or "all", *(str(counts[state]) if counts[state] else "·" for state in STATES))
    return grid


def failures(snapshot: Snapshot, most: int | None = None) -> list[Text]:
    """The sentence of each failed run, the last one first."""
    shown = [Text(f"{f.run.recipe} seed {f.run.seed}: {f.message}") for f in snapshot.failures[:most]]
    hidden = len(snapshot.failures) - len(shown)
    return [*shown, Text(f"… and {hidden} more failed.")] if hidden else shown


def screen(snapshot: Snapshot, rows: int | None = None) -> RenderableType:
    """The whole page: header, states, failures, tables that are not whole yet, and as many ``rows`` of what runs."""
    counts, total = snapshot.counts(), len(snapshot.states)
    header = Text.assemble(
        (f"FASA, scale {snapshot.scale}", "bold"),
        f"  {counts['done']} of {total} done, {counts['running']} running, {counts['failed']} failed",
    )
    if snapshot.beats:
        header.append(f"; running ends in {span(snapshot.running_ends)}, all in about {span(snapshot.remaining)}")
    parts: list[RenderableType] = [
        header,
        Padding(ProgressBar(total=total, completed=counts["done"], width=60), 0),  # of its own it ends no line
        Text("  ").join(Text(f"{counts[state]} {state}", style=STYLES[state]) for state in STATES),
    ]
    if snapshot.failures:
        parts += [Text("Failed", style="bold red"), *failures(snapshot, SHOWN_FAILURES)]
    parts.append(_tables(snapshot))
    if snapshot.beats:
        parts.append(_running(snapshot, rows))
    return Group(*parts)


def watch(study: Study, every: float, console: Console) -> None:
    """Show the page of ``study`` every so many seconds until nothing is left to run, and write the HTML page, too.

    Where the output is no terminal, it is printed once. Ctrl-C ends it quietly.

    Raises:
        UserError: the HTML page cannot be written.
    """
    looking = Watch(study)
    snapshot = looking.look()
    write_status(study, snapshot)
    if not console.is_terminal:
        console.print(screen(snapshot))
        return
    rows = max(3, console.height - 24)  # what is longer than a terminal is cut off by it
    try:
        with Live(screen(snapshot, rows), console=console, auto_refresh=False) as live:
            while not snapshot.over:
                time.sleep(every)
                snapshot = looking.look()
                live.update(screen(snapshot, rows), refresh=True)
                write_status(study, snapshot)
    except KeyboardInterrupt:
        pass


def _running(snapshot: Snapshot, rows: int | None) -> Table:
    """The trainings that end first, ``rows`` of them."""
    grid = Table(box=None, pad_edge=False, header_style="bold underline")
    grid.add_column("running", no_wrap=True, min_width=24, overflow="ellipsis")
    # On 80 columns only the last one is cut.
    for heading, width in {"seed": 4, "epoch": 7, "": 8, "loss": 5, "ends in": 9, "heard": 5}.items():
        grid.add_column(heading, justify="left" if heading == "" else "right", no_wrap=True, min_width=width)
    grid.add_column("where", no_wrap=True, overflow="ellipsis")
    by_end = sorted(snapshot.beats.items(), key=lambda item: item[1].remaining() or 0.0)
    for run, beat in by_end[:rows]:
        grid.add_row(
            run.recipe,
            str(run.seed),
            f"{beat.epoch:.1f}/{beat.epochs}",
            ProgressBar(total=beat.epochs, completed=beat.epoch, width=8),
            "—" if beat.loss is None else f"{beat.loss:.3f}",
            span(beat.remaining()),
            span(beat.age(snapshot.at)),
            f"{beat.slurm_job} on {beat.host}" if beat.slurm_job else beat.host,
        )
    if rows is not None and len(by_end) > rows:
        grid.add_row(f"… and {len(by_end) - rows} more")
    return grid


def _tables(snapshot: Snapshot) -> Text:
    """How far tables and figures are; those that are whole in one word, so that the page stays a page."""
    line = Text("Tables and figures: ", style="bold")
    whole = 0
    for user, runs in snapshot.users.items():
        done = snapshot.counts(user)["done"]
        whole += done == len(runs)
        if done < len(runs):
            line.append(f"{user} {done}/{len(runs)}  ", style="not bold")
    return line.append(f"{whole} of {len(snapshot.users)} whole", style="green")
