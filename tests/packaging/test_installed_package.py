"""What `pip install fasa` gives, used outside a clone: the evaluator, the method, plans and trainings in any folder."""

from __future__ import annotations

import json
import re
import tarfile
import zipfile
from pathlib import Path

import pytest

import fasa

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
METHOD = """
import fasa, torch
counts, head = [40, 8, 2], torch.nn.Linear(16, 3)
backbone = torch.nn.Linear(5, 16)
augment = fasa.FASA(counts, feature_dim=16)
criterion = torch.nn.CrossEntropyLoss(reduction="none")
x, y = torch.randn(50, 5), torch.arange(50) % 3
features = backbone(x)
augment.observe(features, y)
loss = criterion(head(features), y).mean() + augment.loss(head, criterion)
loss.backward()
print(type(loss).__name__, tuple(augment.probabilities.shape))
"""
SQUARE = {"image_id": 1, "category_id": 1, "bbox": [2, 2, 8, 8]}
TRUTH = {
    "images": [{"id": 1, "width": 20, "height": 20}],
    "categories": [{"id": 1, "name": "one"}],
    "annotations": [{"id": 1, "area": 64, "iscrowd": 0, **SQUARE}],
}


@pytest.fixture
def fasa_in(installed, tmp_path):
    """``fasa_in(line)``: a command line of fasa in an empty folder; what it prints."""

    def run(line: str, status: int = 0) -> str:
        done = installed(tmp_path, "fasa", *line.split())
        assert done.returncode == status, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr

    return run


def test_the_source_distribution_is_whole(distributions):
    with tarfile.open(distributions[0]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for part in ("configs", "workflow", "slurm", "profiles", "requirements", "tests", "benchmarks", "docs"):
        files = [path for path in (ROOT / part).rglob("*") if path.is_file() and "__pycache__" not in path.parts]
        assert not {str(path.relative_to(ROOT)) for path in files} - names, part
    assert {
        "Snakefile",
        "Makefile",
        "environment.yml",
        "CHANGELOG.md",
        "LICENSE",
        "fasa/evaluation/native/json.h",
    } <= names
    assert not [name for name in names if name.endswith((".so", ".pyc"))]


def test_the_wheel_is_whole_and_has_nothing_else(distributions):
    with zipfile.ZipFile(distributions[1]) as archive:
        names = {*archive.namelist()}
    shipped = {name.removeprefix("fasa/") for name in names if name.startswith("fasa/configs/")}
    files = [path for path in (ROOT / "configs").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert shipped == {str(path.relative_to(ROOT)) for path in files}
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "fasa").rglob("*.py")}
    assert modules <= names
    data = ("*.html", "*.css", "*.js", "*.j2", "*.csv", "*.txt", "py.typed")
    assert {str(path.relative_to(ROOT)) for kind in data for path in (ROOT / "fasa").rglob(kind)} <= names
    assert [name for name in names if name.startswith("fasa/evaluation/_native")]
    assert {name.partition("/")[0] for name in names} == {"fasa", f"fasa-{fasa.__version__}.dist-info"}
    assert not [name for name in names if name.endswith((".cpp", ".h"))]


def test_an_index_can_show_the_readme(distributions):
    with zipfile.ZipFile(distributions[1]) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith("METADATA")]
        head, _, readme = archive.read(name).decode().partition("\n\n")
    assert "Description-Content-Type: text/markdown" in head and f"Version: {fasa.__version__}\n" in head
    assert "https://arxiv.org/abs/2102.12867" in head
    links = re.findall(r"\]\(([^)\s]+)\)", readme)
    assert links and not [link for link in links if not link.startswith(("https://", "#"))]


def test_its_version_and_help(fasa_in):
    assert fasa_in("--version") == f"fasa {fasa.__version__}\n"
    assert "doctor" in fasa_in("--help")
    assert "_shtab_fasa" in fasa_in("--print-completion bash")


def test_nothing_is_there_but_what_it_asks_for(installed, tmp_path):
    for absent in ("pandas", "matplotlib", "snakemake", "mmdet", "lvis", "tidecv", "pytest"):
        assert installed(tmp_path, "python", "-c", f"import {absent}").returncode == 1, absent


def test_it_scores_a_file(fasa_in, tmp_path):
    (tmp_path / "truth.json").write_text(json.dumps(TRUTH))
    (tmp_path / "found.json").write_text(json.dumps([{**SQUARE, "score": 0.9}]))
    printed = fasa_in("score truth.json found.json --iou-type bbox --tide --lrp --bootstrap 5 --page page.html")
    assert re.search(r"AP +100\.00", printed)
    assert (tmp_path / "page.html").stat().st_size > 10_000
    refused = fasa_in("score truth.json found.json --iou-type bbox --verify --tide", status=2)
    assert "tidecv, which --verify compares with, is not installed: pip install 'fasa[verify]'" in refused


def test_the_method_joins_a_classifier(installed, tmp_path):
    done = installed(tmp_path, "python", "-c", METHOD)
    assert done.stdout == "Tensor (3,)\n", done.stderr


def test_it_plans_in_an_empty_folder(fasa_in, tmp_path):
    assert "│ cifar_lt" in fasa_in("plan cifar_lt --scale paper")
    assert "ablation" in fasa_in("status")
    assert not list(tmp_path.iterdir())
    said = fasa_in("doctor cifar_lt --scale smoke")
    assert f"fasa {fasa.__version__} of " in said
    assert "All packages for the method, the evaluator and planning are there." in said
    assert "pip install 'fasa[repro]'" in said


def test_it_trains_and_measures_a_classifier_there(fasa_in, tmp_path):
    for step in ("data", "train", "evaluate"):
        fasa_in(f"{step} ldam_fasa --scale smoke" + (" --seed 0" if step != "data" else ""))
    assert (tmp_path / "results/smoke/runs/ldam_fasa/seed-0/metrics.json").exists()


@pytest.mark.parametrize(
    ("line", "extra"),
    [("render cifar_lt --scale smoke", "repro"), ("train rfs --seed 0 --scale smoke", "mmdet")],
)
def test_what_a_door_lacks_is_told_with_its_extra(fasa_in, line, extra):
    beside_torch = "--no-build-isolation " if extra == "mmdet" else ""
    assert f"is not installed: pip install {beside_torch}'fasa[{extra}]'" in fasa_in(line, status=2)
