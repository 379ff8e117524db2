"""The kept tables of mini's detectors are what today's code makes of the kept runs, byte for byte."""

from __future__ import annotations

from pathlib import Path

import pytest

from fasa.cli import main
from fasa.study import load_study

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "results/reference"


def tables() -> list[str]:
    """Those of ``mini`` that are kept and are of detectors alone."""
    study = load_study(ROOT, "mini")
    kept = {path.stem for path in (REFERENCE / "mini/tables").glob("*.csv")}
    return [name for name in sorted(kept) if all(study.task(r).name == "detection" for r in study.artifacts()[name])]


@pytest.fixture(scope="module")
def rendered(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("kept")
    (root / "configs").symlink_to(ROOT / "configs")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        assert main(["unbundle", str(REFERENCE / "mini.fasa.zip")]) == 0
        assert main(["render", *tables(), "--scale", "mini", "--seeds", "3"]) == 0
    return root / "results/mini/tables"


@pytest.mark.parametrize("name", tables())
def test_a_kept_table_is_made_again_of_the_kept_runs(rendered, name):
    for ending in ("csv", "md", "tex", "tabular.tex"):
        kept = REFERENCE / f"mini/tables/{name}.{ending}"
        assert (rendered / kept.name).read_bytes() == kept.read_bytes(), f"render it anew, and copy {kept}"
