"""What a scale makes of detectors: epochs and drops, seeds, and the tables that it can run."""

from __future__ import annotations

import pytest
import yaml

import fasa
from fasa.cli import main
from fasa.errors import UserError
from fasa.study import Run, load_study
from fasa.tasks.detection.scale import DetectionScale

SMALL = {
    "data": {
        "lvis": {
            "name": "glyphs",
            "options": {"classes": 4, "train_images": 8, "val_images": 4, "side": 64, "objects": [1, 2]},
        }
    },
    "model": "small",
}
COST = {"threads": 1, "resources": {"gpu": 0, "mem_mb": 1, "runtime": 1}, "seconds": {"r50": 60, "r101": 90}}


@pytest.mark.parametrize(
    ("factor", "twelve", "twenty_four"),
    [
        (1.0, (12, [8, 11]), (24, [16, 22])),
        (0.5, (6, [4, 5]), (12, [8, 11])),  # 5.5 rounds to 6, the end: moved forward
        (0.25, (3, [1, 2]), (6, [4, 5])),  # 2 and 2.75: 2 (not 3, the end) and before it 1
        (0.17, (2, [1, 1]), (4, [2, 3])),  # two epochs have one place, for both
        (0.05, (1, []), (1, [])),  # one epoch has none
    ],
)
def test_drops_stay_inside_a_shortened_schedule(factor, twelve, twenty_four):
    scale = DetectionScale(epochs=factor)
    for epochs, drops, (length, expected) in ((12, (8, 11), twelve), (24, (16, 22), twenty_four)):
        assert scale.epoch(epochs) == length
        assert scale.milestones(drops, length) == expected


def test_the_kept_scales_drop_twice_before_their_end():
    for name in ("mini", "paper"):
        study = load_study(scale=name)
        for recipe in study.resolved.values():
            if recipe.kind == "detector":
                first, second = recipe.schedule.milestones
                assert 0 < first < second < recipe.schedule.epochs, recipe.name


# ------------------------------------------------------------------------------------------------------------- seeds
def with_seeds(make_study, **seeds):
    return make_study(seeds=[0, 1, 2, 3], detection={**SMALL, "seeds": seeds})


def test_a_detectors_seeds_are_all_that_its_tables_ask_for(make_study):
    study = with_seeds(make_study, default=[0], ablation=[0, 2], sampling=[1], mask_rcnn=[5, 4])
    assert study.seeds("rfs") == (0, 2)  # in the ablation, and in tables that are not named
    assert study.seeds("rfs_fa") == (0, 1, 2)  # in both
    assert study.seeds("rfs_fa_s1") == (1,)
    assert study.seeds("mask_rcnn") == (4, 5)  # by its own name
    assert study.seeds("eql_24") == (0,)
    assert study.seeds("ce") == (0, 1, 2, 3)  # a classifier's are the scale's
    runs = study.runs("ablation")
    assert [run for run in runs if run.recipe == "rfs"] == [Run("rfs", 0), Run("rfs", 2)]
    assert len(runs) == 2 + 3 + 3 + 2  # of rfs, of FA, of FA + FS, of the control
    assert Run("mask_rcnn", 0) in study.with_needed(study.runs("state_of_the_art"))  # of crt, bags of seed 0


def test_without_a_word_detectors_have_one_seed(make_study):
    assert make_study(detection=SMALL).seeds("rfs") == (0,)


@pytest.mark.parametrize(
    ("seeds", "words"),
    [
        ({"default": [0], "ablatoin": [1]}, "'detection.seeds' names 'ablatoin', which is no table, figure or recipe"),
        ({"ablation": [1]}, "'detection.seeds': needs a 'default', for what it does not name"),
        ({"default": []}, "'detection.seeds.default'"),
    ],
)
def test_a_mistake_in_the_seeds_is_named(make_study, seeds, words):
    with pytest.raises(UserError, match=f"scales/tiny.yaml: {words}"):
        with_seeds(make_study, **seeds)


# ------------------------------------------------------------------------------------------------- what a scale offers
@pytest.fixture
def detectors_only(study_root):
    """A scale without classifiers."""
    content = {"description": "Detectors.", "detection": {**SMALL, **COST}}
    (study_root / "configs/scales/alone.yaml").write_text(yaml.safe_dump(content))
    return load_study(study_root, "alone")


def test_a_scale_offers_only_what_it_can_run_whole(detectors_only, study):
    assert "ablation" in detectors_only.tables and "cifar_lt" not in detectors_only.tables
    assert (
        detectors_only.unavailable["cifar_lt"] == "table" and detectors_only.unavailable["learning_curves"] == "figure"
    )
    assert "cifar_lt" in study.tables and study.unavailable["ablation"] == "table"  # tiny has no detectors
    for one in (detectors_only, study):
        every = {**one.tables, **one.figures}
        assert not every.keys() & one.unavailable.keys()
        assert len(every) + len(one.unavailable) == len(load_study(scale="mini_two_devices").artifacts())
        assert all(run.recipe in one.resolved for run in one.runs())


@pytest.mark.parametrize("command", ["plan", "render"])
def test_what_is_withheld_is_told_in_a_sentence(detectors_only, monkeypatch, capsys, command):
    monkeypatch.chdir(detectors_only.root)
    assert main([command, "cifar_lt", "--scale", "alone"]) == 2
    assert "scale 'alone' cannot run all of table 'cifar_lt': choose another scale, or" in capsys.readouterr().err
    assert main([command, "cifar", "--scale", "alone"]) == 2
    assert "there is no table or figure 'cifar'; fasa plan lists all" in capsys.readouterr().err
    assert main([command, "rfs_smote", "--scale", "alone"]) == 2
    told = "there is no table or figure 'rfs_smote': that is a recipe; ask for what reads it, feature_augmentation."
    assert told in capsys.readouterr().err
    assert main(["train", "ce", "--scale", "alone"]) == 2
    assert "scale 'alone' has no classification, so it cannot run 'ce'" in capsys.readouterr().err


def test_what_is_about_several_devices_needs_them(study_root):
    one, two = (load_study(study_root, name) for name in ("mini", "mini_two_devices"))
    assert one.unavailable == {"ambiguities_processes": "table"} and not two.unavailable
    with pytest.raises(UserError, match="scale 'mini' has but one device, so it cannot run 'rfs_fasa_own_statistics'"):
        one.recipe("rfs_fasa_own_statistics")
    assert two.recipe("rfs_fasa_own_statistics").augmenter.options == {"global_statistics": False}
    assert one.fingerprint("mask_rcnn") != two.fingerprint("mask_rcnn")


def test_the_released_preset_keeps_statistics_of_each_process(study_root):
    """Without a look at torch, so it is held here that the preset says so."""
    assert fasa.fasa_released["global_statistics"] is False and "global_statistics" not in fasa.fasa_paper
    recipes = load_study(study_root, "tail").resolved
    own = {name for name, recipe in recipes.items() if recipe.augmenter.per_process_statistics}
    assert own == {"mask_rcnn_24_fasa_released", "rfs_fasa_own_statistics"}


# ---------------------------------------------------------------------------------------- a scale by its difference
def test_a_scale_is_its_base_but_for_what_it_says(study_root):
    base, derived = (load_study(study_root, name).scale for name in ("mini_60", "mini_two_devices"))
    said = {"name", "description", "detection"}
    assert derived.model_dump(exclude=said) == base.model_dump(exclude=said)
    assert derived.variation
    ours, theirs = derived.detection.model_dump(), base.detection.model_dump()
    assert {key for key in ours if ours[key] != theirs[key]} == {
        *("description", "devices", "threads", "seeds", "resources")
    }
    assert ours["resources"] == {**theirs["resources"], "mem_mb": 6000}


def test_the_papers_size_on_a_processor_decides_nothing_that_a_recipe_does(study_root):
    paper, ours = (load_study(study_root, name) for name in ("paper", "paper_cpu"))
    assert ours.scale.comparable and ours.scale.detection is None and "ablation" in ours.unavailable
    for name in ours.resolved:
        assert ours.recipe(name) == paper.recipe(name)
    there, here = (study.scale.classification.model_dump() for study in (paper, ours))
    how = {"threads", "precision", "seeds", "evaluate_every", "resources", "seconds", "evaluate_seconds"}
    assert {key for key in here if here[key] != there[key]} == how


def test_bases_are_followed_to_the_last(study_root):
    folder = study_root / "configs/scales"
    (folder / "far.yaml").write_text("base: near\nclassification: {data: {cifar100_lt: {subset_seed: 1}}}\n")
    (folder / "near.yaml").write_text("base: mini\nclassification: {epochs: 0.1}\n")
    far, mini = (load_study(study_root, name) for name in ("far", "mini"))
    assert (far.scale.name, far.scale.classification.epochs, far.scale.classification.threads) == (
        "far",
        0.1,
        mini.scale.classification.threads,
    )
    data = far.recipe("ldam").data
    assert (data.subset_seed, data.imbalance_ratio) == (1, mini.recipe("ldam").data.imbalance_ratio)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("base: far", "scales/far.yaml: scale 'far' has itself among its bases"),
        ("base: mimi", "scales/far.yaml: 'base' names an unknown scale 'mimi'; closest: 'mini'"),
        ("base: mini\nepoch: 1", "scales/far.yaml: unknown key 'epoch'"),
    ],
)
def test_a_mistake_in_a_base_is_named(study_root, content, words):
    (study_root / "configs/scales/far.yaml").write_text(content)
    with pytest.raises(UserError, match=words):
        load_study(study_root, "far")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"detection": SMALL, "epochs": 0.5}, "unknown key 'epochs'; it stands under 'classification.epochs' now"),
        ({}, "scale 'half' needs a part for a task: classification, detection"),
    ],
)
def test_half_a_scale_is_refused(study_root, content, words):
    (study_root / "configs/scales/half.yaml").write_text(yaml.safe_dump({"description": "Half.", **content}))
    with pytest.raises(UserError, match=f"scales/half.yaml: {words}"):
        load_study(study_root, "half")
