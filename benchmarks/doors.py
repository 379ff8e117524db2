"""What each door of the package costs: megabytes that pip installs for it, CPU seconds to import it.

    python -m benchmarks.doors      in an environment with all of them; writes the table into benchmarks/README.md

Megabytes are those of the files of all packages that pyproject.toml asks for, and that these ask for, as they lie in
the environment that runs this; so a build of torch for CUDA counts with what it brings.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from fasa import atomic

ROOT = Path(__file__).parents[1]
README = Path(__file__).with_name("README.md")
BEGIN, END = "<!-- doors: made by python -m benchmarks.doors -->", "<!-- doors end -->"
MB = 1e6
NAMED = 3  # packages of the core that the table names, the largest
SAME = {"opencv-python": "opencv-python-headless"}  # what install.sh has in its place


class Door(NamedTuple):
    """An extra of the package, what it is for, and what a program of its users imports."""

    extra: str
    purpose: str
    imports: str


DOORS = (
    Door("", "`import fasa`, `fasa score`, `fasa plan`, classifiers", "import fasa; fasa.FASA"),
    Door("verify", "`fasa score --verify`", "import lvis, tidecv"),
    Door("repro", "tables, figures, the workflow", "import snakemake.api, pandas, matplotlib.pyplot, jinja2"),
    Door("mmdet", "detectors", "import fasa.mmdet"),
)
EVALUATOR = "import fasa.evaluation; fasa.evaluation.average_precision"  # of the core alone, and it loads no torch


def closure(requirements: Iterable[str], found: dict[str, Distribution]) -> dict[str, Distribution]:
    """``found`` and what ``requirements`` ask for, each with what it asks for in turn, by name."""
    for requirement in map(Requirement, requirements):
        name = canonicalize_name(requirement.name)
        if name not in found and (requirement.marker is None or requirement.marker.evaluate({"extra": ""})):
            try:
                found[name] = distribution(SAME.get(name, name))
            except PackageNotFoundError:
                print(f"{name} is not installed here, so it is not counted.", file=sys.stderr)
                continue
            closure(found[name].requires or (), found)
    return found


def megabytes(package: Distribution) -> float:
    """Of all files of an installed package."""
    places = (Path(str(package.locate_file(file))) for file in package.files or ())
    return sum(place.stat().st_size for place in places if place.exists()) / MB


def seconds(code: str) -> float:
    """CPU seconds of a process that runs ``code``."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def table() -> str:
    """All doors, as Markdown."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    core = closure(project["dependencies"], {})
    sizes = {name: megabytes(package) for name, package in core.items()}
    largest = sorted(sizes, key=lambda name: -sizes[name])[:NAMED]
    told = ", ".join(f"{name} {sizes[name]:,.0f}" for name in largest)
    lines = ["| `pip install` | for | packages | MB | import, CPU s |", "|---|---|---:|---:|---:|"]
    for door in DOORS:
        took = f"{seconds(door.imports):.1f}"
        if not door.extra:
            lines.append(f"| `fasa` | {door.purpose} | {len(core)} | {sum(sizes.values()):,.0f} ({told}) | {took} |")
            continue
        more = closure(project["optional-dependencies"][door.extra], dict(core))
        added = [megabytes(package) for name, package in more.items() if name not in core]
        lines.append(f"| `fasa[{door.extra}]` | {door.purpose} | +{len(added)} | +{sum(added):,.0f} | {took} |")
    versions = f"torch {core['torch'].version}, Python {sys.version_info[0]}.{sys.version_info[1]}"
    alone = f"The evaluator alone is imported in {seconds(EVALUATOR):.2f} s; it loads no torch."
    return "\n".join([*lines, "", f"`doors.py`: {versions}. {alone}"])


def main() -> None:
    """Print the table, and put it into benchmarks/README.md."""
    made, text = table(), README.read_text()
    before, after = text[: text.index(BEGIN) + len(BEGIN)], text[text.index(END) :]
    atomic.write_text(README, f"{before}\n{made}\n{after}")
    print(made)


if __name__ == "__main__":
    main()
