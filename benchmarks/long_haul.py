"""CPU seconds of the commands that look at a whole study, with runs of 500 recipes and of 2,000; goals in README.md.

python -m benchmarks.long_haul [--recipes 500 2000]
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

from fasa import sealed
from fasa.study import load_study

ROOT = Path(__file__).parents[1]
SCALE = "long_haul"  # smoke's, of one seed
MODEL = "ldam_fasa"  # the run that is trained, and that all others are copies of
ROWS = 100  # of a table
FASA = (sys.executable, "-m", "fasa")
SNAKEMAKE = (sys.executable, "-m", "snakemake", "--cores", "2", "--snakefile", str(ROOT / "Snakefile"))
COMMANDS = {  # and the most that each may take with runs of 2,000 recipes
    "fasa plan": ((*FASA, "plan", "--scale", SCALE), 2.0),
    "fasa status": ((*FASA, "status", "--scale", SCALE), 2.0),
    f"a table of {ROWS} rows": ((*FASA, "render", "long_haul_0", "--scale", SCALE), 4.0),
    "the report": ((*FASA, "render", "report", "--scale", SCALE), 15.0),
    "snakemake -n": ((*SNAKEMAKE, "-n", "--quiet", "all", "--config", f"scale={SCALE}"), 10.0),
}


def cpu_seconds(command: tuple[str, ...], folder: Path) -> float:
    """User and system seconds of ``command``, run in ``folder``, and of all that it starts."""
    before = os.times()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def trained(folder: Path) -> Path:
    """A study in ``folder`` with one run, trained and measured."""
    shutil.copytree(ROOT / "configs", folder / "configs")
    scale = {"base": "smoke", "description": "Copies of one run.", "classification": {"seeds": [0]}}
    (folder / f"configs/scales/{SCALE}.yaml").write_text(yaml.safe_dump(scale))
    run = ("--seed", "0", "--scale", SCALE, "--device", "cpu")
    for step in (("data", MODEL, "--scale", SCALE), ("train", MODEL, *run), ("evaluate", MODEL, *run)):
        cpu_seconds((*FASA, *step), folder)
    return folder


def generated(model: Path, folder: Path, number: int) -> Path:
    """The study ``model`` in ``folder`` with ``number`` recipes more, by tables, and copies of its run as theirs."""
    shutil.copytree(model, folder)
    names = [f"long_haul_{n}" for n in range(number)]
    recipes = {
        name: {"base": MODEL, "augmenter": {"name": "fasa", "options": {"draws_per_step": 5 + n / number}}}
        for n, name in enumerate(names)
    }
    (folder / "configs/recipes/long_haul.yaml").write_text(yaml.safe_dump(recipes))
    for table in range(0, number, ROWS):
        rows = [
            {"id": name, "label": name, "recipe": name} | ({"baseline": names[table]} if n else {})
            for n, name in enumerate(names[table : table + ROWS])
        ]
        columns = [{"key": "accuracy.last", "label": "Top-1"}, {"key": "accuracy.few", "label": "Few"}]
        content = {"title": f"Long haul {table // ROWS}", "columns": columns, "rows": rows}
        (folder / f"configs/tables/long_haul_{table // ROWS}.yaml").write_text(yaml.safe_dump(content))
    study = load_study(folder, SCALE)
    work, measured = study.work_dir(MODEL, 0), study.metrics_path(MODEL, 0).parent
    files = [work / "cost.json", work / "history.json", *measured.iterdir()]
    contents = {path: sealed.read(path, study.identity(MODEL, 0, path.stem), "make it again") for path in files}
    for name in names:
        fingerprint = study.fingerprint(name)
        for seed in study.seeds(name):
            said = {"recipe": name, "seed": seed, "fingerprint": fingerprint}
            theirs = {work: study.work_dir(name, seed), measured: study.metrics_path(name, seed).parent}
            for path, content in contents.items():
                copied = content | {key: said[key] for key in said if key in content}
                sealed.write(theirs[path.parent] / path.name, study.identity(name, seed, path.stem), copied)
            shutil.copy(work / "model.pt", theirs[work])
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipes", type=int, nargs=2, default=(500, 2000), metavar=("FEW", "MANY"))
    few, many = parser.parse_args().recipes
    with TemporaryDirectory() as place:
        model = trained(Path(place) / "model")
        folders = [generated(model, Path(place) / str(number), number) for number in (few, many)]
        print(f"| | {few:,} recipes | {many:,} recipes | ratio | goal |\n|---|---:|---:|---:|---:|")
        for name, (command, goal) in COMMANDS.items():
            small, large = (cpu_seconds(command, folder) for folder in folders)
            print(f"| {name} | {small:.2f} s | {large:.2f} s | {large / small:.2f} | {goal:.0f} s |", flush=True)


if __name__ == "__main__":
    main()
