"""The site of the documentation is built without a warning, and what its tutorials show is run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PLUG_IN = (ROOT / "docs/plug_in.md").read_text()
PYTHON = re.compile(r"<!-- run: python -->\n```python\n(.*?)```", re.DOTALL)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT, capture_output=True, text=True, timeout=300, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert "WARNING" not in done.stderr
    return folder


@pytest.mark.slow
def test_the_site_has_every_page_and_picture(site):
    for page in (*(ROOT / "docs").glob("*.md"), ROOT / "slurm/README.md"):
        name = page.relative_to(ROOT).as_posix().replace("README.md", "index.html").replace(".md", ".html")
        assert (site / name).exists(), name
    home = (site / "index.html").read_text()
    pictures = re.findall(r'<img[^>]+src="([^"]+)"', home)
    assert pictures and all((site / picture).exists() for picture in pictures)


@pytest.mark.slow
def test_commands_keys_and_interfaces_are_made_from_the_code(site):
    commands = (site / "docs/commands.html").read_text()
    assert all(f"fasa {name}" in commands for name in ("plan", "train", "score"))
    keys = (site / "docs/configuration.html").read_text()
    assert all(f"<code>{key}</code>" in keys for key in ("augmenter", "seeds", "published_as"))
    library = (site / "docs/api.html").read_text()
    assert "draws_per_step" in library and "localisation_recall_precision" in library
    assert ":meth:" not in library and ":func:" not in library


@pytest.mark.parametrize("page", ["plug_in.md"])
def test_what_a_page_shows_in_python_runs_as_it_stands(page):
    blocks = PYTHON.findall((ROOT / "docs" / page).read_text())
    assert blocks
    for block in blocks:
        done = subprocess.run([sys.executable, "-c", block], cwd=ROOT, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("tensor([")


def test_the_example_of_torchvision_runs_as_it_stands():
    (block,) = re.findall(r"<!-- run: python with torchvision -->\n```python\n(.*?)```", PLUG_IN, re.DOTALL)
    if subprocess.run([sys.executable, "-c", "import torchvision"], capture_output=True).returncode:
        pytest.skip("needs a torchvision that fits this torch")
    done = subprocess.run([sys.executable, "-c", block], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("tensor(0.")
