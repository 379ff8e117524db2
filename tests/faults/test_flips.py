"""One flipped bit, at several places of every file that a later step reads: refused by that step, or without effect."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fault_table import record
from outcomes import same

from fasa import sealed, torch_files
from fasa.datasets import check_files, load_pack
from fasa.errors import UserError
from fasa.evaluation import load_detections
from fasa.study import Run, Study
from fasa.tasks.records import read_trained, why_failed, write_trained
from fasa.tasks.verification import data_faults, run_faults

pytestmark = pytest.mark.slow
PLACES = 12
Reader = Callable[[], Any]


def files(study: Study, recipe: str) -> dict[str, tuple[Path, Reader]]:
    """Every kind of file that a run left or reads, and how the next step reads it."""
    job = study.job(Run(recipe, 0))
    work, results = job.work_dir, job.metrics.parent
    write_trained(job, "failed.json", {"message": "the loss is nan"})
    found: dict[str, tuple[Path, Reader]] = {
        name: (work / name, lambda name=name: read_trained(job, name)) for name in ("cost.json", "history.json")
    }
    found["failed.json"] = work / "failed.json", lambda: told(why_failed(work, job.run, job.scale_name))
    found["metrics.json"] = job.metrics, lambda: measured(study, recipe)
    for kind in ("provenance", "examples"):
        path = results / f"{kind}.json"
        if path.exists():
            of = study.identity(recipe, 0, kind)
            found[path.name] = path, lambda path=path, of=of: sealed.read(path, of, "make it again")
    allowed = {}
    if job.data.suffix != ".npz":
        from fasa.mmdet.checkpoints import ALLOWED as allowed
    for path in (job.weights, max(job.checkpoints.glob("epoch*.pt*"))):
        name = "model.pt" if path == job.weights else "a checkpoint"
        found[name] = path, lambda path=path: numbers(torch_files.read(path, "train again", allowed))
    if job.data.suffix == ".npz":
        found["the data's pack"] = job.data, lambda: vars(load_pack(job.data))
        return found
    found["detections.npz"] = work / "detections.npz", lambda: vars(load_detections(work / "detections.npz"))
    data = job.data.parent
    lists = ("manifest.json", "instance_counts.json", "frequencies.json", "images.sha256")
    scenes = ("train.json", "val.json", "dataset.json", "train/000001.jpg")
    for path in (*(data / name for name in lists), *(data / "scenes" / name for name in scenes)):
        found[f"data: {path.name}"] = path, lambda: check_files(job.data)
    return found


def told(message: str) -> str:
    if "does not say why" in message:
        raise UserError(message)
    return message


def measured(study: Study, recipe: str) -> dict:
    metrics = study.load_metrics(recipe, 0)
    if metrics is None:
        raise UserError("not used: measured again")
    return metrics


def numbers(content: Any) -> Any:
    """Tensors and plain values of a checkpoint; of a log, its numbers."""
    if isinstance(content, dict):
        return {key: numbers(value) for key, value in content.items()}
    return numbers(vars(content)) if hasattr(content, "_log_history") else content


def equal(ours: Any, expected: Any) -> bool:
    if isinstance(expected, np.ndarray):
        return ours.dtype == expected.dtype and np.array_equal(ours, expected)
    if isinstance(expected, dict):
        return ours.keys() == expected.keys() and all(equal(ours[key], expected[key]) for key in expected)
    return same(ours, expected)


@pytest.mark.parametrize("kind", ["classifier", "detector"])
def test_no_flipped_bit_is_used(kind, request, tmp_path):
    run = request.getfixturevalue(kind)
    study = run.again(tmp_path / "flipped", "work_dirs", "results")
    (study.root / "resources").unlink()
    shutil.copytree(run.study.root / "resources", study.root / "resources")
    job = study.job(Run(run.recipe, 0))
    for name, (path, read) in files(study, run.recipe).items():
        whole, expected = path.read_bytes(), read()
        outcomes = {"recovered": 0, "refused": 0}
        for number, place in enumerate(np.linspace(0, len(whole) - 1, PLACES).astype(int)):
            content = bytearray(whole)
            content[place] ^= 1 << number % 8
            path.write_bytes(content)
            faults = [*run_faults(job), *data_faults(job.data, lambda done, total: None)]
            try:
                assert equal(read(), expected), f"{name}: the bit at {place} is read silently"
                outcomes["recovered"] += 1
            except UserError as error:
                assert "\n" not in str(error)
                outcomes["refused"] += 1
                assert len(faults) == 1 and path.name in faults[0], (name, place, faults)  # fasa verify finds it, too
        path.write_bytes(whole)
        assert read() is None or equal(read(), expected)
        record(f"{run.recipe}: a bit flipped in {name}", PLACES, **outcomes)
