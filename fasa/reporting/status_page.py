"""The state of a study as one small HTML file that reloads itself, for a browser or a phone."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from fasa import atomic
from fasa.reporting import fill_template
from fasa.study.status import STATES

if TYPE_CHECKING:
    from fasa.study import Study
    from fasa.study.status import Snapshot

SHOWN_FAILURES = 20
RELOAD = 15  # seconds after which a browser reads the file again


def write_status(study: Study, snapshot: Snapshot) -> Path:
    """Write the page of ``snapshot`` and return its path.

    Raises:
        UserError: the disk is full or the folder cannot be written.
    """
    path = study.results / "status.html"
    atomic.write_text(path, render_status(study, snapshot))
    return path


def render_status(study: Study, snapshot: Snapshot) -> str:
    """The page of ``snapshot`` as HTML; everything that comes from a file is escaped."""
    return fill_template(
        "status.html.j2",
        snapshot=snapshot,
        description=study.descriptions(dict.fromkeys(run.recipe for run in snapshot.states)),
        states=STATES,
        reload=RELOAD,
        made=time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(snapshot.at)),
        counts=snapshot.counts(),
        users={user: snapshot.counts(user) for user in snapshot.users},
        failures=snapshot.failures[:SHOWN_FAILURES],
        recipes=_by_recipe(snapshot),
        span=span,
    )


def span(seconds: float | None) -> str:
    """A length of time in at most seven characters, as 45 s, 12 min, 3 h 05, 2 d 4 h; a dash for None."""
    if seconds is None:
        return "—"
    if seconds < 60:
        return f"{max(0, round(seconds))} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d}" if hours < 24 else f"{hours // 24} d {hours % 24} h"


def _by_recipe(snapshot: Snapshot) -> dict[str, dict[str, list[int]]]:
    """The seeds of each recipe, by their state."""
    recipes: dict[str, dict[str, list[int]]] = {}
    for run, state in sorted(snapshot.states.items()):
        recipes.setdefault(run.recipe, {}).setdefault(state, []).append(run.seed)
    return recipes
