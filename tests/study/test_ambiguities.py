"""The tables of what the paper leaves open: one choice a row, each a row of docs/deviations.md; made on request."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fasa.cli import main
from fasa.study import Run, load_study
from fasa.study.status import Watch
from fasa.tasks.heartbeat import Heartbeat

ROOT = Path(__file__).parents[2]
TABLES = {"ambiguities": "mini", "ambiguities_detection": "mini", "ambiguities_processes": "mini_two_devices"}  # scales
AT_MINI = {name for name, scale in TABLES.items() if scale == "mini"}
DEVIATIONS = {
    int(line.split("|")[1]): line
    for line in (ROOT / "docs/deviations.md").read_text().partition("<!-- effects -->")[0].splitlines()
    if re.match(r"\| \d+ \|", line)
}
ABOUT = {  # a deviation's number: the option that a row measuring it changes, and what its row there is called
    1: ("grouping", "Clustering"),
    2: ("grouping", "Distance"),
    3: ("neighbours", "Bandwidth of mean-shift"),
    5: ("variance_estimator", "Running spread (eq 2)"),
    9: ("loss_weight|joint_mean", "Weight of the virtual loss"),
    10: ("start_epoch", "First epoch with virtual features"),
    12: ("draws_per_step", "`s` of adaptive sampling"),
    14: ("reduction", "A class's validation loss"),
    15: ("reduction", "A group's loss"),
    17: ("global_statistics", "Statistics under data parallelism"),
    18: ("initialisation", "Uniform initialisation"),
    21: ("validation", "Validation data of adaptation"),
    27: ("unweighted_virtual_loss", "LDAM's margins and DRW weights on virtual features"),
}
STUDIES = {name: load_study(ROOT, scale) for name, scale in TABLES.items()}
CHANGED = [(name, row) for name, study in STUDIES.items() for row in study.tables[name].rows[1:]]


def change(study, name, row):
    """What the row's recipe changes of its baseline's: fields outside the augmenter, and the augmenter's options."""
    recipes = [study.recipes[r.recipe] for r in (row, baseline(study, name, row))]
    ours, theirs = (
        recipe.model_dump(exclude={"name", "augmenter"}) | recipe.augmenter.options | recipe.augmenter.epochs
        for recipe in recipes
    )
    return {key: ours.get(key) for key in ours | theirs if ours.get(key) != theirs.get(key)}


def baseline(study, name, row):
    return next(other for other in study.tables[name].rows if other.id == row.baseline)


@pytest.mark.parametrize("name", TABLES)
def test_the_first_row_is_what_others_are_compared_with(name):
    default, *others = STUDIES[name].tables[name].rows
    augmenter = STUDIES[name].recipes[default.recipe].augmenter
    assert (augmenter.name, augmenter.options, augmenter.epochs) == ("fasa", {}, {})
    for row in others:  # directly, or by a row with one choice of its two
        other = baseline(STUDIES[name], name, row)
        assert default.id in (other.id, other.baseline)


@pytest.mark.parametrize(("name", "row"), CHANGED, ids=[f"{name}-{row.id}" for name, row in CHANGED])
def test_a_row_changes_one_choice(name, row):
    study = STUDIES[name]
    changed = change(study, name, row)
    if row.deviation is not None:
        option, called = ABOUT[row.deviation]
        assert len(changed) == 1 and changed.keys() <= {*option.split("|")}
        assert row.label.startswith(f"{row.deviation}: ")
        assert DEVIATIONS[row.deviation].split("|")[2].strip() == called
    elif row.id == "without":
        assert study.recipes[row.recipe].augmenter.name == "none" and not changed
    elif row.id == "released":
        assert changed == {"preset": "fasa_released", "validation": "test"}
    elif row.baseline == "class_mean":  # Table 3's other validation images
        assert changed == {"validation": row.id.removeprefix("class_mean_")}
    else:
        assert changed == {"adaptive": False, "draws_per_step": int(row.label.removeprefix("static, s = "))}


def test_made_on_request_is_not_made_with_the_others(study_root, monkeypatch, capsys):
    study = load_study(study_root, "mini")
    assert not AT_MINI & {*study.default_artifacts()} and {*study.default_artifacts(), *AT_MINI} == {*study.artifacts()}
    own, together = Run("ldam_fasa_ewm", 0), study.runs()
    assert own in study.runs("ambiguities") and own not in together and Run("ldam_fasa", 0) in together
    monkeypatch.chdir(study_root)
    assert main(["plan"]) == 0
    said = capsys.readouterr().out
    assert said.splitlines()[-1] == "Not with all, only by name: ambiguities, ambiguities_detection."
    assert main(["plan", "ambiguities"]) == 0
    assert "only by name" not in capsys.readouterr().out


def test_once_begun_it_is_shown_with_the_others(study_root):
    study = load_study(study_root, "mini")
    assert study.started_artifacts() == study.default_artifacts() == tuple(Watch(study).users)
    study.metrics_path("ldam_fasa", 0).parent.mkdir(parents=True)  # other tables read it too
    assert study.started_artifacts() == study.default_artifacts()
    Heartbeat(study.job(Run("ldam_fasa_ewm", 0)), 40).beat(3.0, 1.0, 30.0)
    assert study.started_artifacts() == tuple(name for name in study.artifacts() if name != "ambiguities_detection")
    snapshot = Watch(study).look()
    assert snapshot.states[Run("ldam_fasa_ewm", 0)] == "running" and "ambiguities" in snapshot.users
