"""The whole examination: what takes long is begun first, and each heading is a file of its own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from fasa.doctor import data, disk, environment, first_weights, gpu, runs, slurm, torch_here
from fasa.doctor.chosen import choose
from fasa.doctor.finding import Finding, Section
from fasa.study import Study

HEADINGS = ("Environment", "Data", "First weights", "GPU", "Slurm", "Disk", "Runs")


def examine(study: Study, names: Sequence[str]) -> list[Section]:
    """Look at all that the tables, figures and recipes ``names`` need; nothing is changed, started or downloaded.

    Raises:
        UserError: one of the names is none of the three.
    """
    chosen = choose(study, names)
    asked = torch_here.start(study.root, operators=bool(chosen.detectors))
    cluster = slurm.look()
    parts: dict[str, Callable[[], Iterable[Finding]]] = {
        "Data": lambda: data.findings(chosen),
        "First weights": lambda: first_weights.findings(chosen),
        "Slurm": lambda: slurm.findings(chosen, cluster, os.environ),
        "Disk": lambda: disk.findings(chosen, here=not cluster.groups),
        "Runs": lambda: runs.findings(chosen),
    }
    # Side by side: most of it waits, for a network, a cluster, a disk.
    with ThreadPoolExecutor(len(parts)) as pool:
        begun = {title: pool.submit(lambda part=part: tuple(part())) for title, part in parts.items()}
        looked = {title: future.result() for title, future in begun.items()}
    torch = torch_here.finish(asked)
    looked["Environment"] = tuple(environment.findings(chosen, torch))
    looked["GPU"] = tuple(gpu.findings(chosen, torch, cluster.gpus))
    return [Section(title, looked[title]) for title in HEADINGS if looked[title]]
