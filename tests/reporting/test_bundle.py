"""A bundle makes the same tables, figures, findings and report again, byte for byte, or is refused in a sentence."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path

import pytest
from toys_study import leave, leave_metrics, write_root

from fasa.cli import main
from fasa.study import Run, load_study
from fasa.study.bundle import MANIFEST, pack, unpack

NAMES = ("cifar_lt", "adaptation_unit", "cifar_fig4b")


@pytest.fixture
def study(tmp_path, invented, monkeypatch):
    """A root in which every run of a few tables but one is measured, and that one failed."""
    monkeypatch.chdir(write_root(tmp_path / "here"))
    study = load_study(Path("."), "tiny")
    runs = dict.fromkeys(run for name in NAMES for run in study.with_needed(study.runs(name)))
    for number, run in enumerate(runs):
        work = study.work_dir(run.recipe, run.seed)
        work.mkdir(parents=True)
        if run == Run("ldam_chu", 1) or number == len(runs) - 1:
            leave(study, run.recipe, run.seed, "failed.json", {"message": "the loss is not finite"})
            continue
        measured = invented.metrics(run.recipe, run.seed, accuracy=0.3 + 0.01 * number, classes=10)
        own = {"fingerprint": study.fingerprint(run.recipe), "scale": "tiny"}
        leave(study, run.recipe, run.seed, "metrics.json", measured | own)
        leave(study, run.recipe, run.seed, "history.json", {"epochs": []})
        (work / "model.pt").write_bytes(b"weights")
    return study


def made(root: Path) -> dict[str, bytes]:
    """What was rendered under ``root``, by path."""
    found = [*root.glob("results/tiny/*.*"), *root.glob("results/tiny/tables/*"), *root.glob("figures/tiny/*.png")]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in found}


def test_everything_is_made_again_byte_for_byte(study, tmp_path, monkeypatch):
    names = [*NAMES, "findings", "report"]
    assert main(["render", *names, "--scale", "tiny"]) == 0
    assert main(["bundle", "--scale", "tiny"]) == 0
    there = tmp_path / "there"
    there.mkdir()
    Path("tiny.fasa.zip").rename(there / "tiny.fasa.zip")
    here = made(study.root)
    monkeypatch.chdir(there)
    for _ in range(2):  # the second time the folder is there already
        assert main(["render", *names, "--from", "tiny.fasa.zip"]) == 0
        assert made(there / "tiny") == here
    assert len(here) == 11 and "the loss is not finite" in here["results/tiny/tables/adaptation_unit.md"].decode()


def test_seeds_that_were_asked_for_are_those_of_the_bundle(study, tmp_path):
    def told(*options: str) -> str:
        assert main(["render", "adaptation_unit", *options]) == 0
        root = study.root if "--scale" in options else Path("tiny")
        return (root / "results/tiny/tables/adaptation_unit.csv").read_text()

    asked = told("--scale", "tiny", "--seeds", "3")
    assert main(["bundle", "--scale", "tiny", "--seeds", "3"]) == 0
    assert told("--from", "tiny.fasa.zip") == asked and "seed 2: not run" in asked
    assert main(["render", "--from", "tiny.fasa.zip", "--scale", "smoke"]) == 2  # it is of another
    assert "seed 2: not run" not in told("--scale", "tiny")


def test_the_same_runs_make_the_same_bytes_and_weights_are_packed_on_request(study, tmp_path):
    runs = pack(study, tmp_path / "a.zip"), pack(study, tmp_path / "b.zip"), pack(study, tmp_path / "w.zip", True)
    assert len(set(runs)) == 1
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.zip") as without, zipfile.ZipFile(tmp_path / "w.zip") as with_weights:
        added = set(with_weights.namelist()) - set(without.namelist())
        assert all(entry.compress_type == zipfile.ZIP_DEFLATED for entry in without.infolist())
    assert len(added) == runs[0] and all(name.endswith("/model.pt") for name in added)


def test_nothing_finished_is_nothing_to_pack(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(write_root(tmp_path / "here"))
    assert main(["bundle", "--scale", "tiny"]) == 2
    assert "no run of scale 'tiny' is finished" in capsys.readouterr().err


def test_a_folder_of_something_else_is_left_alone(study, tmp_path, monkeypatch, capsys):
    pack(study, tmp_path / "tiny.zip")
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny/mine.txt").write_text("mine")
    assert main(["render", "--from", str(tmp_path / "tiny.zip")]) == 2
    assert "is there and holds something else" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "tiny").iterdir()] == ["mine.txt"]


def changed(source: Path, target: Path, change) -> Path:
    """A copy of a bundle, its entries ``{name: bytes}`` changed."""
    with zipfile.ZipFile(source) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    change(entries)
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return target


def escape(entries):
    manifest = json.loads(entries[MANIFEST])
    manifest["files"]["results/../../evil.json"] = {"bytes": 4, "sha256": "00"}
    entries |= {MANIFEST: json.dumps(manifest).encode(), "results/../../evil.json": b"evil"}


def grow(entries):
    name = next(name for name in entries if name.endswith("metrics.json"))
    entries[name] += b" " * 1000


def flip(entries):
    name = next(name for name in entries if name.endswith("metrics.json"))
    entries[name] = entries[name].replace(b"tiny", b"tinz", 1)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (escape, "some outside its folder"),
        (grow, "is larger than its bundle says"),
        (flip, "is damaged: .* is not what was packed"),
        (lambda entries: entries.pop("configs/config.yaml"), "holds other files than its bundle.json lists"),
        (lambda entries: entries.update({"results/more.json": b"1"}), "holds other files than its bundle.json lists"),
        (lambda entries: entries.pop(MANIFEST), "is no bundle of 'fasa bundle'"),
        (lambda entries: entries.update({MANIFEST: b"[]"}), "is no bundle of 'fasa bundle'"),
        (
            lambda entries: entries.update({MANIFEST: entries[MANIFEST].replace(b'"version": 2', b'"version": 9')}),
            "a bundle of another format",
        ),
    ],
)  # fmt: skip
def test_what_is_not_a_whole_bundle_is_refused_and_leaves_nothing(study, tmp_path, capsys, change, said):
    pack(study, tmp_path / "sound.zip")
    bad = changed(tmp_path / "sound.zip", tmp_path / "bad.zip", change)
    before = sorted(tmp_path.rglob("*"))
    assert main(["render", "--from", str(bad)]) == 2
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    assert re.search(said, error), error
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("content", "said"), [(b"", "cannot be unpacked"), (b"not a zip", "cannot be unpacked"), (None, "does not exist")]
)
def test_what_is_no_zip_is_refused(tmp_path, capsys, content, said):
    path = tmp_path / "x.zip"
    if content is not None:
        path.write_bytes(content)
    assert main(["render", "--from", str(path)]) == 2
    assert said in capsys.readouterr().err


def test_an_unpacked_bundle_is_a_study_of_its_own(study, tmp_path):
    runs = pack(study, tmp_path / "tiny.zip")
    again = unpack(tmp_path / "tiny.zip", tmp_path / "elsewhere")
    assert again.scale.name == "tiny"
    done = [run for run in again.runs() if again.state(run.recipe, run.seed) == "done"]
    assert 0 < len(done) <= runs


def test_runs_are_taken_into_a_study_that_lacks_them(study, tmp_path, monkeypatch, capsys):
    runs = pack(study, tmp_path / "tiny.zip")
    measured = [run for run in study.with_needed(study.runs("cifar_lt")) if study.load_metrics(run.recipe, run.seed)]
    mine, theirs = measured[:2]
    monkeypatch.chdir(write_root(tmp_path / "there"))
    here = load_study(Path("."), "tiny")
    here.metrics_path(mine.recipe, mine.seed).parent.mkdir(parents=True)
    own = leave_metrics(here, mine.recipe, mine.seed).read_text()
    assert main(["unbundle", str(tmp_path / "tiny.zip")]) == 0
    assert f"{runs - 1} runs of scale 'tiny' taken, 1 left" in capsys.readouterr().out
    assert here.metrics_path(mine.recipe, mine.seed).read_text() == own
    assert here.state(theirs.recipe, theirs.seed) == "done"
    assert (here.work_dir(theirs.recipe, theirs.seed) / "history.json").read_text().startswith("{")
    assert not list(Path("work_dirs").glob(".*"))
    assert main(["unbundle", str(tmp_path / "tiny.zip")]) == 0
    assert f"0 runs of scale 'tiny' taken, {runs} left" in capsys.readouterr().out


def test_runs_of_another_recipe_are_left(study, tmp_path, monkeypatch, capsys):
    runs = pack(study, tmp_path / "tiny.zip")
    monkeypatch.chdir(write_root(tmp_path / "there"))
    scale = Path("configs/scales/tiny.yaml")
    scale.write_text(scale.read_text().replace("epochs: 0.025", "epochs: 0.05"))
    assert load_study(Path("."), "tiny").fingerprint("ce") != study.fingerprint("ce")
    assert main(["unbundle", str(tmp_path / "tiny.zip")]) == 0
    assert f"0 runs of scale 'tiny' taken, {runs} left" in capsys.readouterr().out
