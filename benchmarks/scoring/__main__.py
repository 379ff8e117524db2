"""FASA's evaluator beside lvis-api, pycocotools, faster-coco-eval, hotcoco and tidecv, in one run.

    python -m benchmarks.scoring --folder FOLDER --images 500 2000 [--kinds lvis-segm …] [--slow 2000] [--write]

Made-up images (`synthetic.py`), 300 detections each. A tool's cost is that of its whole process, from its start to the
figures, files in the page cache. `fasa` has seen the annotations before (it keeps them in its cache), "first time" has
not. Tools take turns, three times each, and the least counts; those in Python, which need minutes, run once, and up to
`--slow` images. `--write` keeps each comparison in `benchmarks/scoring/measured.json` as soon as it is there, in the
place of an earlier one, and makes the tables of README.md and benchmarks/README.md of it.
"""

from __future__ import annotations

import argparse
import shutil
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks.scoring import synthetic, table
from benchmarks.scoring.measure import Cost, cheapest, measure

KINDS = {  # the other tools; the first is the reference
    "lvis-segm": ("lvis-api", "faster-coco-eval", "hotcoco"),
    "lvis-bbox": ("lvis-api", "faster-coco-eval", "hotcoco"),
    "coco-segm": ("pycocotools", "faster-coco-eval", "hotcoco"),
    "coco-bbox": ("pycocotools", "faster-coco-eval", "hotcoco"),
    "tide": ("tidecv",),
}
SLOW = {"lvis-api", "pycocotools", "faster-coco-eval", "tidecv"}
TURNS = 3


def compare(folder: Path, kind: str, images: int, slow: int) -> dict[str, Any]:
    """The costs of every tool on one data set, and how far its figures are from the reference's."""
    annotations = folder / ("coco.json" if kind.startswith("coco") else "lvis.json")
    detections = folder / ("bbox.json" if kind.endswith("bbox") else "segm.json")
    cache = folder / "cache"
    jobs = {tool: (tool, detections) for tool in KINDS[kind] if tool not in SLOW or images <= slow}
    jobs |= {"fasa, first time": ("fasa", detections), "fasa": ("fasa", detections)}
    if kind.endswith("segm") or kind == "tide":
        jobs["fasa, .npz"] = ("fasa", folder / "segm.npz")
    costs: dict[str, list[Cost]] = {name: [] for name in jobs}
    figures = {}
    for turn in range(TURNS):
        for name, (tool, file) in jobs.items():
            if turn and tool in SLOW:
                continue
            if name == "fasa, first time":
                shutil.rmtree(cache, ignore_errors=True)
            cost, figures[name] = measure(tool, kind, annotations, file, cache)
            costs[name].append(cost)
    reference = next(iter(figures.values()))  # without the reference's, which need minutes: hotcoco's
    apart = {
        name: max(abs(figure - (reference[key] or 0)) for key, figure in own.items() if figure is not None)
        for name, own in figures.items()
    }
    best = {name: asdict(cheapest(own)) for name, own in costs.items()}
    return {"kind": kind, "images": images, "costs": best, "apart": apart}


def write(folder: Path, images: int) -> None:
    """The made-up data, by a process of its own: this one stays small (``measure``)."""
    writer = get_context("spawn").Process(target=synthetic.write, args=(folder, images))
    writer.start()
    writer.join()
    if writer.exitcode:
        raise SystemExit(f"{folder} was not written")


def main() -> None:
    """Measure, print, and keep if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]  # it has one
    parser.add_argument("--folder", type=Path, required=True, help="for the made-up data, which are used again")
    parser.add_argument("--images", type=int, nargs="+", default=[500, 2000])
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--slow", type=int, default=2000, help="the most images for tools in Python (default: 2000)")
    parser.add_argument("--write", action="store_true", help="keep the measurement and make the tables of it")
    options = parser.parse_args()
    write(options.folder / "warm", 3)
    measure("fasa", "lvis-segm", options.folder / "warm/lvis.json", options.folder / "warm/segm.json", options.folder)
    for images in options.images:
        write(options.folder / str(images), images)
        for kind in options.kinds:
            if images > options.slow and SLOW.issuperset(KINDS[kind]):
                continue  # nothing to compare with
            found = compare(options.folder / str(images), kind, images, options.slow)
            print("\n".join(table.rows([found])), flush=True)
            if options.write:
                table.keep(found)


if __name__ == "__main__":
    main()
