"""``fasa verify``: a line for each file that is damaged, with the command that mends it; exit code 2 if any."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from toys_study import leave, leave_metrics, tiny_dataset, write_root

from fasa import torch_files
from fasa.cli import main
from fasa.datasets.pack import save_pack
from fasa.study import Study, load_study


@pytest.fixture
def study(tmp_path, monkeypatch) -> Study:
    """One run, with all that a classifier leaves, and its data."""
    monkeypatch.chdir(write_root(tmp_path))
    study = load_study(Path("."), "tiny")
    save_pack(study.data_path("ce"), tiny_dataset())
    for name in ("cost.json", "history.json", "provenance.json"):
        leave(study, "ce", 0, name, {})
    leave_metrics(study, "ce", 0)
    for path in (study.work_dir("ce", 0) / "model.pt", study.checkpoint_dir("ce", 0) / "epoch-00001.pt"):
        torch_files.write(path, {"w": torch.ones(10_000)})
    return study


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_a_whole_study(study, capsys):
    assert main(["verify", "--scale", "tiny"]) == 0
    assert capsys.readouterr().out == "2 runs, data sets, weights and bundles: all whole.\n"
    assert main(["bundle", "--scale", "tiny"]) == 0
    capsys.readouterr()
    assert main(["verify", "tiny.fasa.zip"]) == 0
    assert capsys.readouterr().out.startswith("1 runs")
    assert main(["verify", "cifar_lt", "--scale", "tiny"]) == 0
    assert main(["verify", "cifr_lt", "--scale", "tiny"]) == 2
    assert "closest: 'cifar_lt'" in capsys.readouterr().err


def test_every_fault_has_a_line_and_its_mend(study, capsys):
    main(["bundle", "--scale", "tiny"])
    work, results = study.work_dir("ce", 0), study.metrics_path("ce", 0).parent
    again, measure = "fasa train ce --seed 0 --scale tiny", "fasa evaluate ce --seed 0 --scale tiny"
    wanted = {
        study.data_path("ce"): "fasa data",
        work / "cost.json": again,
        work / "model.pt": again,
        next(work.glob("checkpoints/*/epoch-*")): again,
        results / "metrics.json": measure,
        Path("tiny.fasa.zip"): "get the bundle again",
    }
    for path in wanted:
        flip(path)
    other = leave(study, "ce", 1, "history.json", {})
    os.replace(other, work / "history.json")
    (work / "failed.json").write_text("")
    wanted |= {work / "history.json": "is of another seed: 1, not 0; train that run again", work / "failed.json": again}
    before = {path: path.read_bytes() for path in Path(".").rglob("*") if path.is_file()}
    capsys.readouterr()
    assert main(["verify", "--scale", "tiny"]) == 2
    *lines, last = capsys.readouterr().out.splitlines()
    assert last == f"4 runs, data sets, weights and bundles: {len(wanted)} faults."
    assert len(lines) == len(wanted)
    for path, mend in wanted.items():
        assert any(line.startswith(str(path)) and mend in line for line in lines), path
    assert before == {path: path.read_bytes() for path in Path(".").rglob("*") if path.is_file()}


def test_an_unpacked_bundle_is_compared_with_what_it_was(study, capsys, monkeypatch):
    main(["bundle", "--scale", "tiny"])
    assert main(["render", "cifar_lt", "--from", "tiny.fasa.zip"]) == 0
    monkeypatch.chdir("tiny")
    assert main(["verify", "--scale", "tiny"]) == 0
    flip(next(Path("configs/schemas").glob("*.json")))
    capsys.readouterr()
    assert main(["verify", "--scale", "tiny"]) == 2
    assert "is missing or not what was in the bundle; unpack that again." in capsys.readouterr().out
