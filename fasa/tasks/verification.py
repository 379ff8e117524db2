"""Whether what a run left, or reads, is whole: every byte against its checksum, and nothing is made of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from fasa import sealed
from fasa.errors import UserError
from fasa.tasks.records import MEASURED, TRAINED, identity
from fasa.tasks.task import Job

Progress = Callable[[int, int], None]


def run_faults(job: Job) -> Iterator[str]:
    """A sentence for each file of a run that is damaged or another run's; one that is not there is no fault."""
    arguments = f"{job.run.recipe} --seed {job.run.seed} --scale {job.scale_name}"
    train, evaluate = f"train that run again: fasa train {arguments}", f"make it again: fasa evaluate {arguments}"
    for folder, names, mend in ((job.work_dir, TRAINED, train), (job.metrics.parent, MEASURED, evaluate)):
        for path in (folder / name for name in names):
            if path.exists():
                yield from _fault(sealed.read, path, identity(job.run, job.scale_name, path.stem), mend)
    for path in [job.weights, *sorted((job.work_dir / "checkpoints").glob("*/epoch*.pt*"))]:
        if path.exists():
            yield from weights_faults(path, train)
    for path in sorted(job.work_dir.glob("*.npz")):
        from fasa.evaluation import load_detections

        yield from _fault(load_detections, path)


def data_faults(path: Path, progress: Progress) -> Iterator[str]:
    """The same of a prepared data set, its images included; ``progress(done, total)`` counts them."""
    from fasa.datasets import load_pack, manifest

    if path.suffix == ".npz":
        yield from _fault(load_pack, path)
        return
    try:
        yield from manifest.faults(path, progress=progress)
    except UserError as error:
        yield str(error)


def weights_faults(path: Path, mend: str) -> Iterator[str]:
    """The same of a file of torch: its parts' checksums, and the digits of a SHA-256 where its name ends in them."""
    from fasa import torch_files
    from fasa.datasets.download import fits, named_checksum

    if not re.search(r"-[0-9a-f]{8,64}$", path.stem):
        yield from _fault(torch_files.check_sums, path, mend)
    elif not fits(path, named_checksum(path)):
        yield f"{path} has another SHA-256 than its name says; {mend}."


def _fault(check: Callable[..., object], *arguments: object) -> Iterator[str]:
    try:
        check(*arguments)
    except UserError as error:
        yield str(error)
