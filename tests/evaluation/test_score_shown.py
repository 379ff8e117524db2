"""Every ``fasa score`` that README.md and docs/ show, run on small files of those names."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from evaluation_toys import HEIGHT, WIDTH, disc_problem
from PIL import Image

from fasa.cli import main
from fasa.evaluation import save_detections

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
LINES = [line for page in PAGES for line in re.findall(r"^    fasa (score .+)", page.read_text(), re.MULTILINE)]
SHOWN = sorted({shlex.join(shlex.split(line, comments=True)) for line in LINES})


@pytest.fixture
def files(write, tmp_path, monkeypatch):
    annotations, results = disc_problem("lvis")
    for image in annotations["images"]:
        image["coco_url"] = f"http://images.cocodataset.org/val2017/{image['id']:012}.jpg"
        picture = tmp_path / "coco/val2017" / Path(image["coco_url"]).name
        picture.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (WIDTH, HEIGHT)).save(picture)
    write("lvis_v1_val.json", annotations)
    for name in ("results.segm.json", "results.json", "baseline.json"):
        write(name, results)
    write("new.json", [entry | {"score": entry["score"] / 2} for entry in results])
    write("results.bbox.json", [{key: entry[key] for key in entry if key != "segmentation"} for entry in results])
    save_detections(results, tmp_path / "results.npz")
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("line", SHOWN)
def test_a_command_that_is_shown_prints_figures(line, files, write, capsys):
    if "instances_val2017" in line:
        annotations, results = disc_problem("coco")
        for name, document in {"instances_val2017": annotations, "train_lt": annotations, "results": results}.items():
            write(f"{name}.json", document)
    assert main(shlex.split(line)) == 0
    assert re.search(r"^ AP +\d", capsys.readouterr().out, re.MULTILINE)


def test_most_options_are_shown():
    assert len(SHOWN) > 10 and sum("--" in line for line in SHOWN) > 8
