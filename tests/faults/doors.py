"""Every door that a file of others comes in by, behind which a malicious one may crash: opened in a process of its own.

Each line of the standard input is a door and a path; each line of the output is a JSON object: ``said``, what refused
the file, or null; ``grown``, MiB of memory that it took at most.
"""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fasa.errors import UserError


def cifar(path: Path) -> None:
    from fasa.datasets.cifar import read_cifar100

    read_cifar100(path)


def coco_lt(path: Path) -> None:
    from fasa.datasets.coco_lt import read_index

    read_index(path)


def pack(path: Path) -> None:
    from fasa.datasets import load_pack

    load_pack(path)


def weights(path: Path) -> None:
    from fasa import torch_files

    torch_files.read(path, "train again")


def checkpoint(path: Path) -> None:
    from fasa.mmdet.checkpoints import load_from_training

    load_from_training(str(path))


def bundle(path: Path) -> None:
    from fasa.study.bundle import unpack

    unpack(path, path.with_suffix(".study"))


def run_file(path: Path) -> None:
    from fasa import sealed

    sealed.read(path, {"kind": "cost"}, "train that run again")


def annotations(path: Path) -> None:
    from fasa.evaluation import load_ground_truth

    load_ground_truth(path)


def detections(path: Path) -> None:
    from fasa.evaluation import load_detections

    load_detections(path)


def manifest(path: Path) -> None:
    from fasa.datasets import read_manifest

    read_manifest(path)


def scenes(path: Path) -> None:
    from fasa.datasets.glyphs import verify

    verify(path.parent)


DOORS: dict[str, Callable[[Path], None]] = {
    door.__name__: door
    for door in (cifar, coco_lt, pack, weights, checkpoint, bundle, run_file, annotations, detections, manifest, scenes)
}


def opened(door: str, path: Path) -> dict[str, Any]:
    Path("/proc/self/clear_refs").write_text("5")  # the peak from here on
    before = _kilobytes("VmRSS")
    said = None
    try:
        DOORS[door](path)
    except UserError as error:
        said = str(error)
    return {"said": said, "grown": (_kilobytes("VmHWM") - before) // 1024}


def _kilobytes(name: str) -> int:
    return int(Path("/proc/self/status").read_text().partition(f"{name}:")[2].split()[0])


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (16 << 30, 16 << 30))
    import fasa.mmdet.checkpoints  # noqa: F401  # what it takes is no file's doing

    for line in sys.stdin:
        name, path = line.rstrip("\n").split("\t")
        print("doors:", json.dumps(opened(name, Path(path))), flush=True)
