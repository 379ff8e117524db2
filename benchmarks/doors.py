"""What each door costs: megabytes installed, seconds to install and to import, in environments of their own.

    python -m benchmarks.doors [core] [verify] [repro] [mmdet]      builds the wheel, installs it, measures
    python -m benchmarks.doors --table                              the table again, of what was measured

Versions are those of requirements/lock.txt. mmcv is built from source, or taken as install.sh has built it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path
from typing import Any, NamedTuple

from fasa import atomic

ROOT = Path(__file__).parents[1]
MEASURED = Path(__file__).with_name("doors.json")
README = Path(__file__).with_name("README.md")
BEGIN, END = "<!-- doors: made by python -m benchmarks.doors -->", "<!-- doors end -->"
BUILT = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "fasa-wheels"
REPEATS = 5
MB = 1e6


class Door(NamedTuple):
    """An extra of the package, what it is for, and what a program of its users imports."""

    extra: str
    purpose: str
    imports: str


DOORS = {
    "core": Door("", "`import fasa`, `fasa score`, `fasa plan`, classifiers", "import fasa; fasa.FASA"),
    "verify": Door("verify", "`fasa score --verify`", "import lvis, tidecv"),
    "repro": Door("repro", "tables, figures, the workflow", "import snakemake.api, pandas, matplotlib.pyplot, jinja2"),
    "mmdet": Door("mmdet", "detectors", "import fasa.mmdet"),
}
EVALUATOR = "import fasa.evaluation; fasa.evaluation.average_precision"  # of core alone, which loads no torch


def measure(name: str, wheel: Path) -> dict[str, Any]:
    """One door, installed into a new environment."""
    door = DOORS[name]
    with tempfile.TemporaryDirectory(prefix="fasa_door_") as folder:
        venv.create(folder, with_pip=True)
        python, (site,) = Path(folder, "bin/python"), Path(folder).glob("lib/python3*/site-packages")
        lock = ROOT / "requirements" / "lock.txt"
        constraint = Path(folder, "constraint.txt")
        constraint.write_text(lock.read_text().replace("\nsetuptools==", "\n# setuptools=="))
        pip = [python, "-m", "pip", "install", "--quiet", "--no-cache-dir", "--constraint", constraint]
        before = size(site)
        started = time.monotonic()
        if name == "mmdet":  # what builds mmcv needs torch there first
            subprocess.run([*pip, "setuptools", "wheel", "ninja", "Cython", "psutil", f"{wheel}"], check=True)
            pip += ["--no-build-isolation", *(f"--find-links={built}" for built in BUILT.glob("*"))]
        subprocess.run([*pip, f"{wheel}[{door.extra}]" if door.extra else f"{wheel}"], check=True)
        installed = time.monotonic() - started
        large = {one.name: size(one) / MB for one in site.iterdir() if one.is_dir()}
        large = dict(sorted(large.items(), key=lambda item: -item[1])[:4])
        found = {
            "megabytes": (size(site) - before) / MB,
            "largest": large,
            "install_seconds": installed,
            "import_seconds": seconds(python, door.imports),
        }
        if name == "core":
            found["evaluator_seconds"] = seconds(python, EVALUATOR)
            found["torch"] = said(python, "import torch; print(torch.__version__)")
        return found


def size(folder: Path) -> int:
    """Bytes of the files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def seconds(python: Path, code: str) -> float:
    """Median seconds of a process that runs ``code``, compiled once before."""
    took = []
    for _ in range(REPEATS + 1):
        started = time.monotonic()
        said(python, code)
        took.append(time.monotonic() - started)
    return statistics.median(took[1:])


def said(python: Path, code: str) -> str:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    done = subprocess.run(
        [python, "-c", code], env=environment, cwd=python.parent, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def table(measured: dict[str, Any]) -> str:
    """The doors that were measured, as Markdown."""
    core = measured["core"]
    lines = ["| `pip install` | for | MB | of it | installing | importing |", "|---|---|---:|---|---:|---:|"]
    for name, door in DOORS.items():
        if name in measured:
            row, added = measured[name], name != "core"
            much = row["megabytes"] - (core["megabytes"] if added else 0)
            extra = f"[{door.extra}]" if added else ""
            told = ", ".join(f"{package} {mb:,.0f}" for package, mb in core["largest"].items()) if not added else ""
            took = f"{row['install_seconds']:.0f} s", f"{row['import_seconds']:.1f} s"
            lines.append(f"| `fasa{extra}` | {door.purpose} | {'+' * added}{much:,.0f} | {told} | {' | '.join(took)} |")
    alone = f"The evaluator alone is imported in {core['evaluator_seconds']:.2f} s; it loads no torch."
    return "\n".join([*lines, "", f"torch {core['torch']}. {alone}"])


def update() -> None:
    """Put the table into benchmarks/README.md."""
    text = README.read_text()
    before, after = text[: text.index(BEGIN) + len(BEGIN)], text[text.index(END) :]
    atomic.write_text(README, f"{before}\n{table(json.loads(MEASURED.read_text()))}\n{after}")


def main() -> None:
    """Measure the doors that are named, or all, and make the table anew."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("doors", nargs="*", metavar="DOOR", help=f"of {', '.join(DOORS)} (default: all)")
    parser.add_argument("--table", action="store_true", help="only make the table again")
    options = parser.parse_args()
    if unknown := {*options.doors} - {*DOORS}:
        parser.error(f"there is no door {', '.join(unknown)}")
    if not options.table:
        measured = json.loads(MEASURED.read_text()) if MEASURED.exists() else {}
        with tempfile.TemporaryDirectory(prefix="fasa_wheel_") as folder:
            build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
            subprocess.run([*build, "--wheel-dir", folder, str(ROOT)], check=True)
            (wheel,) = Path(folder).glob("*.whl")
            for name in options.doors or DOORS:
                measured[name] = measure(name, wheel)
                atomic.write_json(MEASURED, measured)
    update()


if __name__ == "__main__":
    main()
