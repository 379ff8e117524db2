"""Seconds and memory of scoring: FASA's metrics beside lvis-api, faster-coco-eval and tidecv, each in its own process.

    python -m benchmarks.scoring [--images 500 2000] [--folder FOLDER]
    python -m benchmarks.scoring --full [--json]            FASA alone, at the size of LVIS's validation set

Made-up images (`synthetic.py`), 300 detections each. Seconds are from the two files to the figures, imports left out:
`load` brings the files into the tool's structures, `evaluate` does the rest. FASA reads detections while it evaluates;
`fasa, detections read first` is the row to set beside the others phase by phase. CPU seconds are those of both phases
over all threads, and of the whole process, the start of Python and the imports included; the peak is the process's.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
HEAD = "load s | evaluate s | both s | CPU s | process CPU s | peak MB"
LVIS_VALIDATION = 20_000  # images; LVIS v1's validation set has 19,809


@dataclass(frozen=True)
class Run:
    """One tool on one data set: wall seconds by phase, CPU seconds of both and of its process, peak memory, figures."""

    load: float
    evaluate: float
    cpu: float
    process_cpu: float
    peak: float  # MB
    figures: dict[str, float | None]

    @property
    def wall(self) -> float:
        return self.load + self.evaluate

    def cells(self) -> str:
        """The first cells of a row."""
        seconds = f"{self.load:.2f} | {self.evaluate:.2f} | {self.wall:.2f} | {self.cpu:.2f} | {self.process_cpu:.2f}"
        return f"{seconds} | {self.peak:,.0f}"


def measure(tool: str, annotations: Path, detections: Path, cache: Path) -> Run:
    """Run `scoring_rivals.py` with ``tool``; this process stays small, for a child's peak begins with its parent's."""
    command = [sys.executable, str(HERE / "scoring_rivals.py"), tool, str(annotations), str(detections)]
    environment = os.environ | ({"FASA_CACHE": str(cache)} if tool.startswith("fasa") else {})
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.stdout.close()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{tool} failed with exit code {process.returncode}")
    found = json.loads(output.splitlines()[-1])
    wall, cpu = found["wall"], sum(found["cpu"].values())
    process_cpu, peak = usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024
    return Run(wall["load"], wall["evaluate"], cpu, process_cpu, peak, found["figures"])


def prepare(folder: Path, images: int, npz: bool = False, results_json: bool = True) -> tuple[Path, Path, Path]:
    """Annotations, detections as JSON, detections as .npz: made unless they are there."""
    paths = folder / "annotations.json", folder / "detections.json", folder / "detections.npz"
    wanted = [paths[0], *([paths[1]] if results_json else []), *([paths[2]] if npz else [])]
    if not all(path.exists() for path in wanted):
        flags = [*(["--npz"] if npz else []), *([] if results_json else ["--no-json"])]
        command = [sys.executable, str(HERE / "synthetic.py"), str(folder), "--images", str(images), *flags]
        subprocess.run(command, check=True)
    return paths


def against_rivals(folder: Path, images: int) -> None:
    """Every tool on ``images`` images from JSON; FASA with its cache of annotations empty, and filled."""
    annotations, detections, _ = prepare(folder / str(images), images)
    cache = folder / str(images) / "cache"
    shutil.rmtree(cache, ignore_errors=True)
    rival = measure("lvis-api", annotations, detections, cache)
    rows = [("lvis-api 0.5.3", rival)]
    rows.append(("faster-coco-eval 1.8.0", measure("faster-coco-eval", annotations, detections, cache)))
    rows.append(("fasa, first time", measure("fasa", annotations, detections, cache)))
    rows.append(("fasa, annotations cached", measure("fasa", annotations, detections, cache)))
    rows.append(("fasa, detections read first", measure("fasa-columns", annotations, detections, cache)))
    rows.append(("fasa, AP-Fixed and AP-Pool", measure("fasa-fixed-pool", annotations, detections, cache)))
    print(f"\n{images} images, LVIS AP; goal: 20 x lvis-api\n")
    table(rows, rival)
    rival = measure("tidecv", annotations, detections, cache)
    rows = [("tidecv 1.0.1", rival), ("fasa", measure("fasa-tide", annotations, detections, cache))]
    print(f"\n{images} images, TIDE; goal: 25 x tidecv\n")
    table(rows, rival)


def table(rows: list[tuple[str, Run]], rival: Run) -> None:
    """Markdown: ratios are the rival's seconds over a row's; the last column is the largest difference of a figure."""
    print(f"| tool | {HEAD} | ratio, both | ratio, evaluate | ratio, CPU | apart |\n|---|{'---|' * 10}")
    for name, run in rows:
        ours = {key: -1 if figure is None else figure for key, figure in run.figures.items()}
        gaps = [abs(ours[key] - figure) for key, figure in rival.figures.items() if key in ours]
        ratios = rival.wall / run.wall, rival.evaluate / run.evaluate, rival.cpu / run.cpu
        apart = "" if "pool AP" in ours else f"{max(gaps):.1g}"  # another metric: nothing to compare
        print(f"| {name} | {run.cells()} | {' | '.join(f'{ratio:.1f}' for ratio in ratios)} | {apart} |")


def full_size(folder: Path, images: int, from_json: bool) -> None:
    """FASA alone at full size, from its own .npz and, if asked for, from JSON."""
    annotations, results, columns = prepare(folder / str(images), images, npz=True, results_json=from_json)
    cache = folder / str(images) / "cache"
    shutil.rmtree(cache, ignore_errors=True)
    jobs = [
        ("LVIS AP, first time", "fasa", columns, ""),
        ("LVIS AP", "fasa", columns, "15 s, 2 GB"),
        ("AP-Fixed and AP-Pool", "fasa-fixed-pool", columns, "15 s"),
        ("TIDE", "fasa-tide", columns, "40 s, 3 GB"),
        *([("LVIS AP, detections from JSON", "fasa", results, "")] if from_json else []),
    ]
    print(f"\n{images:,} images x 300 detections, FASA alone; the first line also reads the annotations' JSON\n")
    print(f"| figures | {HEAD} | goal |\n|---|{'---|' * 7}")
    for name, tool, detections, goal in jobs:
        run = measure(tool, annotations, detections, cache)
        print(f"| {name} | {run.cells()} | {goal} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, nargs="+", default=[500, 2000])
    parser.add_argument("--full", action="store_true", help=f"FASA alone on {LVIS_VALIDATION:,} images")
    parser.add_argument("--json", action="store_true", help="with --full: from the results JSON, too")
    parser.add_argument("--folder", type=Path, help="keep the made-up data here, and use them again")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        annotations, detections, _ = prepare(folder / "warm", 3)
        for tool in ("fasa", "fasa-columns", "fasa-fixed-pool", "fasa-tide"):  # compiles what is not compiled yet
            measure(tool, annotations, detections, folder / "warm/cache")
        print(
            f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
        )
        if options.full:
            full_size(folder, LVIS_VALIDATION, options.json)
        else:
            for images in options.images:
                against_rivals(folder, images)


if __name__ == "__main__":
    main()
