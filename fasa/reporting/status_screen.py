"""The state of a study on a terminal: once, or again and again until nothing is left to run."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from fasa.experiments.status import STATES, Watch
from fasa.reporting.status_page import span, write_status

if TYPE_CHECKING:
    from fasa.experiments import Study
    from fasa.experiments.status import Snapshot

STYLES = {
    "done": "green",
    "trained": "cyan",
    "running": "bold blue",
    "stopped": "yellow",
    "stale": "magenta",
    "failed": "bold red",
    "missing": "dim",
}
SHOWN_FAILURES = 5


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


def screen(snapshot: Snapshot) -> RenderableType:
    """The whole page: header, states, what runs, failures, tables that are not whole yet."""
    counts, total = snapshot.counts(), len(snapshot.states)
    header = Text.assemble(
        (f"FASA, scale {snapshot.scale}", "bold"),
        f"  {counts['done']} of {total} done, {counts['running']} running, {counts['failed']} failed",
    )
    if snapshot.beats:
        header.append(f"; running ends in {span(snapshot.running_ends)}, all in about {span(snapshot.remaining)}")
    parts: list[RenderableType] = [
        header,
        ProgressBar(total=total, completed=counts["done"], width=60),
        Text("  ").join(Text(f"{counts[state]} {state}", style=STYLES[state]) for state in STATES),
    ]
    if snapshot.beats:
        parts.append(_running(snapshot))
    if snapshot.failures:
        parts += [Text("Failed", style="bold red"), *failures(snapshot, SHOWN_FAILURES)]
    parts.append(_tables(snapshot))
    return Group(*parts)


def watch(study: Study, every: float, console: Console) -> None:
    """Show the page of ``study`` every so many seconds until nothing is left to run, and write the HTML page, too.

    Where nobody sees it change, on no terminal, it is printed once. Ctrl-C ends it in peace.

    Raises:
        UserError: the HTML page cannot be written.
    """
    looking = Watch(study)
    snapshot = looking.look()
    write_status(study, snapshot)
    if not console.is_terminal:
        console.print(screen(snapshot))
        return
    try:
        with Live(screen(snapshot), console=console, auto_refresh=False) as live:
            while not snapshot.over:
                time.sleep(every)
                snapshot = looking.look()
                live.update(screen(snapshot), refresh=True)
                write_status(study, snapshot)
    except KeyboardInterrupt:
        pass


def _running(snapshot: Snapshot) -> Table:
    grid = Table("recipe", title="running", title_justify="left")
    for heading in ("seed", "epoch", "", "loss", "ends in", "where", "heard"):
        grid.add_column(heading, justify="left" if heading in ("", "where") else "right", no_wrap=True)
    for run, beat in snapshot.beats.items():
        grid.add_row(
            run.recipe,
            str(run.seed),
            f"{beat.epoch:.1f} / {beat.epochs}",
            ProgressBar(total=beat.epochs, completed=beat.epoch, width=12),
            "—" if beat.loss is None else f"{beat.loss:.4f}",
            span(beat.remaining()),
            f"{beat.host} job {beat.slurm_job}" if beat.slurm_job else beat.host,
            f"{span(beat.age(snapshot.at))} ago",
        )
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
