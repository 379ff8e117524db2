"""The whole examination, a file for each heading."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from fasa.doctor import data, disk, environment, gpu, runs, slurm, torch_probe
from fasa.doctor.check import Check, Section
from fasa.doctor.chosen import choose
from fasa.study import Study

HEADINGS = ("Environment", "Data", "First weights", "GPU", "Slurm", "Disk", "Runs")


def examine(study: Study, names: Sequence[str]) -> list[Section]:
    """Check all that the tables, figures and recipes ``names`` need; nothing is changed, started or downloaded.

    Raises:
        UserError: one of the names is none of the three.
    """
    chosen = choose(study, names)
    with ThreadPoolExecutor(len(HEADINGS)) as pool:  # most of it waits: for torch, a network, a cluster, a disk
        asked = pool.submit(torch_probe.ask_torch, study.root, chosen.mmdet)
        sinfo = slurm.look()
        nodes = slurm.parse(sinfo.text) if sinfo else []
        waiting: dict[str, Iterator[Check]] = {
            "Data": data.checks(chosen),
            "First weights": data.first_weights(chosen),
            "Slurm": slurm.checks(chosen, sinfo, os.environ),
            "Disk": disk.checks(chosen, here=not nodes),
            "Runs": runs.checks(chosen),
        }
        found = dict(zip(waiting, pool.map(tuple[Check, ...], waiting.values()), strict=True))
        torch = asked.result()
    found["Environment"] = tuple(environment.checks(chosen, torch))
    found["GPU"] = tuple(gpu.checks(chosen, torch, max((one.size.gpus for one in nodes), default=0)))
    return [Section(title, found[title]) for title in HEADINGS if found[title]]
