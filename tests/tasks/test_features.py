"""The task without images: which regions a step has, what they weigh, and that a training ends as if never stopped."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from evaluation.oracles import lvis_official
from torch.nn import functional

from fasa.cli import main
from fasa.errors import UserError
from fasa.evaluation import load_ground_truth
from fasa.method.virtual_loss import VirtualLoss
from fasa.study import Run, Study, load_study
from fasa.tasks.features.geometry import Geometry
from fasa.tasks.features.head import grouped_loss
from fasa.tasks.features.measurements import detections, measure
from fasa.tasks.features.space import Features
from fasa.tasks.features.training import HEAD, Training

TINY = {
    "description": "A few steps on a few of LVIS's classes, for one test.",
    "features": {
        "seeds": [0],
        "data": {"lvis": {"name": "lvis_counts", "options": {"every": 60, "val_share": 0.3}}},
        "epochs": 0.25,
        "schedule": {"batch_size": 200, "warmup": 2},
        "geometry": {"dim": 8, "kinds": 3},
        "processes": 2,
        "background": 16,
        "held_out": 2,
        "test_background": 2,
    },
}


@pytest.fixture
def tiny(make_study, study_root) -> Study:
    """A study at a scale of this task alone, its data prepared."""
    return _tiny(study_root)


def _tiny(root) -> Study:
    (root / "configs" / "scales" / "tiny_tail.yaml").write_text(yaml.safe_dump(TINY))
    study = load_study(root, "tiny_tail")
    study.task("rfs").prepare(root, study.recipe("rfs"), None)
    return study


# ------------------------------------------------------------------------------------------------------------ features
def test_regions_of_an_object_are_nearer_to_each_other_than_to_another_object():
    features = Features(Geometry(dim=64), np.array([50, 50]), 0)
    label, same = torch.zeros(40, dtype=torch.long), torch.full((40,), 7)
    a, b = (features.of_objects(label, same) for _ in range(2))
    c = features.of_objects(label, torch.arange(40) + 8)
    assert (a - b).norm(dim=1).mean() < 0.7 * (a - c).norm(dim=1).mean()
    assert (a >= 0).all()


def test_objects_of_a_large_class_repeat():
    features = Features(Geometry(dim=4, object_share=1.0, remembered=30), np.array([1000]), 0)
    numbers = torch.tensor([3, 33, 4])
    first, again, other = features.of_objects(torch.zeros(3, dtype=torch.long), numbers)
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_drift_turns_the_space_and_ends_where_it_was_made():
    still, turning = (
        Features(Geometry(dim=6, object_share=1.0, drift=drift), np.array([3, 3]), 0) for drift in (0.0, 1.5)
    )
    labels, numbers = torch.tensor([0, 1]), torch.tensor([2, 0])
    turning.at(0.0)
    assert not torch.allclose(still.of_objects(labels, numbers), turning.of_objects(labels, numbers), atol=0.1)
    turning.at(1.0)
    assert torch.equal(still.of_objects(labels, numbers), turning.of_objects(labels, numbers))
    assert torch.allclose(turning.turned @ turning.turned.T, torch.eye(6), atol=1e-5)


def test_another_seed_is_another_space():
    a, b, c = (Features(Geometry(dim=4), np.array([3, 3]), seed).mean for seed in (0, 0, 1))
    assert torch.equal(a, b) and not torch.equal(a, c)


@pytest.mark.parametrize("given", [{"dim": 1}, {"kinds": 0}, {"within": -1.0}, {"object_share": 1.5}])
def test_a_geometry_out_of_range_is_refused(given):
    with pytest.raises(UserError, match="dim must be at least 2"):
        Geometry(**given)


# ---------------------------------------------------------------------------------------------------- a step's own loss
def _head(study: Study, name: str):
    return Training(study.job(Run(name, 0))).head


def test_the_real_loss_is_the_weighted_mean(tiny):
    torch.manual_seed(0)
    head = _head(tiny, "rfs")
    features, labels = torch.rand(9, 8), torch.arange(9) % (head.num_classes + 1)
    weights = torch.rand(9)
    expected = (functional.cross_entropy(head.fc_cls(features), labels, reduction="none") * weights).sum()
    assert head.real_loss(features, labels, weights, None).item() == pytest.approx(expected.item(), rel=1e-5)


def test_of_equal_weights_the_loss_of_bags_is_its_own(tiny):
    torch.manual_seed(0)
    head = _head(tiny, "bags")
    head.loss_cls.others = 1000  # every region is kept, so that chance has no part
    scores, labels = torch.randn(30, head.loss_cls.channels), torch.randint(head.num_classes + 1, (30,))
    ones = torch.ones(len(head.loss_cls.sizes) - 1)
    found = grouped_loss(head.loss_cls, scores, labels, torch.full((30,), 0.2), ones)
    assert found.item() == pytest.approx(head.loss_cls(scores, labels).item(), rel=1e-5)
    # A region that stands for two is as good as two of it.
    labels = torch.cat([torch.arange(head.num_classes), torch.tensor([head.num_classes] * 10)])
    scores = torch.randn(len(labels), head.loss_cls.channels)
    doubled = [torch.cat([part, part]) for part in (scores, labels)]
    once = grouped_loss(head.loss_cls, scores, labels, torch.ones(len(labels)), ones)
    twice = grouped_loss(head.loss_cls, *doubled, torch.ones(2 * len(labels)), ones)
    assert twice.item() == pytest.approx(once.item())
    # Of a group that counts nothing, only what the last one says of its regions is left.
    none = grouped_loss(head.loss_cls, scores, labels, torch.ones(len(labels)), 0 * ones)
    assert none.item() == pytest.approx(head.loss_cls.group_losses(scores, labels)[0][-1].mean().item(), rel=1e-5)


def test_every_process_draws_features_of_its_own(tiny, monkeypatch):
    """The virtual loss of a step is the mean of the processes', and only the first call shows any region."""
    head = _head(tiny, "rfs_fa")
    seen = []

    def loss(batch):
        seen.append(len(batch.labels))
        return torch.tensor(float(len(seen)))

    monkeypatch.setattr(head.augmenter, "loss", loss)
    features, labels = torch.rand(6, 8), torch.zeros(6, dtype=torch.long)
    joined = head.joined_loss(torch.tensor(0.25), features, labels, torch.arange(6) % 2)
    assert joined.item() == pytest.approx(0.25 + (1 + 2) / 2)
    assert seen == [6, 0]


def test_statistics_of_each_process_are_of_its_own_regions(tiny):
    head = _head(tiny, "rfs_fasa_own_statistics")
    assert len(head.augmenters) == 2
    labels = torch.tensor([0, 1, 1, 2])
    head.joined_loss(torch.zeros(()), torch.rand(4, 8), labels, torch.tensor([0, 0, 1, 1]))
    first, second = (augmenter.fasa.observations[:3].tolist() for augmenter in head.augmenters)
    assert (first, second) == ([1, 1, 0], [0, 1, 1])
    head.augmenters[1].fasa.probabilities.fill_(0.5)
    head.share_adaptation()
    assert torch.equal(head.augmenters[1].fasa.probabilities, head.augmenters[0].fasa.probabilities)
    assert head.augmenters[1].fasa.observations[:3].tolist() == [0, 1, 1], "statistics stay their own"


# ------------------------------------------------------------------------------------------------------------- a run
NAMES = ("rfs_fasa", "rfs_fasa_own_statistics", "rfs_smote", "eql_24_fasa", "bags_fasa", "rfs_liu")


@pytest.mark.parametrize("name", NAMES)
def test_stopped_after_every_epoch_it_ends_the_same(study_root, name):
    study = _tiny(study_root)
    whole, stopped = study.job(Run(name, 0)), study.job(Run(name, 1))
    stopped = replace(stopped, run=whole.run)  # the same seed in another folder
    assert list(Training(whole).run()) == list(range(1, whole.recipe.schedule.epochs + 1))
    for _ in range(whole.recipe.schedule.epochs):
        for _ in Training(stopped).run():
            break  # and left
    list(Training(stopped).run())
    a, b = (torch.load(job.weights, weights_only=True)["state_dict"] for job in (whole, stopped))
    assert a.keys() == b.keys() and all(torch.equal(a[key].nan_to_num(-1), b[key].nan_to_num(-1)) for key in a)
    assert (whole.work_dir / "history.json").read_bytes() == (stopped.work_dir / "history.json").read_bytes()


def test_a_run_from_its_recipe_to_its_cell(study_root, monkeypatch, capsys):
    """`fasa data`, `train` and `evaluate` leave what tables and figures read; FASA's course is in it."""
    study = _tiny(study_root)
    monkeypatch.chdir(study_root)
    for command in ("data rfs_fasa", "train rfs_fasa --seed 0", "evaluate rfs_fasa --seed 0"):
        assert main([*command.split(), "--scale", "tiny_tail"]) == 0, capsys.readouterr().err
    metrics = json.loads(study.metrics_path("rfs_fasa", 0).read_text())
    measured = metrics["measurements"]
    assert measured["mask_ap"].keys() == {"AP", "APr", "APc", "APf"} and 0 < measured["mask_ap"]["AP"] < 1
    classes = len(metrics["class_names"])
    for name in ("weight_norms", "class_probabilities", "class_top1", "virtual_features", "class_features"):
        assert len(measured[name]) == classes, name
    epochs = study.recipe("rfs_fasa").schedule.epochs
    course = measured["sampling_trajectory"]
    assert len(course["probabilities"]) == len(course["groups"]) == len(measured["validation_loss"]) == epochs == 3
    history = json.loads((study.work_dir("rfs_fasa", 0) / "history.json").read_text())["epochs"]
    assert [line["heads"][HEAD]["probabilities"] for line in history] == course["probabilities"]
    moved = np.array(course["probabilities"][2]) / np.array(course["probabilities"][1])
    assert set(np.round(moved, 4).tolist()) <= {0.9, 1.0, 1.1} and len(set(np.round(moved, 4))) > 1


def test_the_joint_mean_weighs_a_virtual_feature_as_a_region(tiny, monkeypatch):
    """Of a process's 1,024 regions and 2 virtual features of loss 3: (1024 * real + 6) / 1026."""
    head = _head(tiny, "rfs_fasa_joint")
    monkeypatch.setattr(head.augmenter, "loss", lambda batch: VirtualLoss(torch.tensor(6.0), torch.tensor(2.0)))
    features, labels = torch.rand(6, 8), torch.zeros(6, dtype=torch.long)
    real = functional.cross_entropy(head.fc_cls(features), labels)
    found = head.joined_loss(real, features, labels, torch.zeros(6))
    assert found.item() == pytest.approx((1024 * real.item() + 6) / 1026, rel=1e-6)


def test_norcal_is_measured_where_a_table_prints_it(study_root):
    training = Training(_tiny(study_root).job(Run("rfs", 0)))
    list(training.run())
    plain, with_norcal = (measure(training, norcal) for norcal in (False, True))
    assert "norcal" not in plain and with_norcal["mask_ap"] == plain["mask_ap"]
    whole, tuned = (with_norcal["norcal"][name] for name in ("whole", "tuned"))
    assert whole["gamma"] == 1.0 and tuned["mask_ap"]["AP"] >= max(whole["mask_ap"]["AP"], plain["mask_ap"]["AP"])
    assert whole["mask_ap"] != plain["mask_ap"]


def test_ap_is_what_lvis_api_says(study_root):
    training = Training(_tiny(study_root).job(Run("rfs", 0)))
    list(training.run())
    annotations = training.manifest.val.annotations
    truth = load_ground_truth(annotations)
    (found,) = detections(training, truth, (0.0,))
    columns = (found.image_id, found.category_id, found.score, found.box)
    results = [
        {"image_id": image, "category_id": category, "score": score, "bbox": box}
        for image, category, score, box in zip(*(column.tolist() for column in columns), strict=True)
    ]
    official = lvis_official(json.loads(Path(annotations).read_text()), results, "bbox").summary
    ours = measure(training, False)["mask_ap"]
    assert 0 < ours["AP"] < 1 and ours == {name: official[name] for name in ours}


WITHHELD = {
    "rfs_instaboost": "no images",
    "rfs_moex": "no call of the hook 'mix'",
    "rfs_chu": "not what the training of a detector has",
    "rfs_yin": "no call of the hook 'phase'",
    "nr_24": "no proposals",
    "r101_24": "but one kind of features",
    "coco_lt": "but the classes of LVIS",
}


@pytest.mark.parametrize("name", WITHHELD)
def test_what_needs_more_than_features_is_withheld_by_name(tiny, name):
    with pytest.raises(UserError, match=f"scale 'tiny_tail' has {WITHHELD[name]}, so it cannot run '{name}'"):
        tiny.recipe(name)


def test_a_table_prints_the_rows_that_the_scale_runs(tiny):
    table = tiny.tables["feature_augmentation"]
    assert [row.id for row in table.rows] == ["baseline", "smote", "liu", "fa"]
    withheld = (
        "InstaBoost (no images); MoEx (no call of the hook 'mix'); Chu et al. (not what the training of a detector "
        "has); Yin et al. (no call of the hook 'phase')"
    )
    assert table.note.endswith(f"Not at this scale: {withheld}.")
    assert {"tide", "cost", "coco_lt", "cifar_lt"} <= tiny.unavailable.keys()
    assert {"fig1a", "fig1b", "fig3", "fig4a", "fig4b"} <= tiny.figures.keys()
    assert {"fig1c", "tide_bars", "supp_fig2"} <= tiny.unavailable.keys()


def test_an_infinite_loss_is_told(study_root):
    job = _tiny(study_root).job(Run("rfs", 0))
    job.recipe.schedule.__dict__["lr"] = 1e30
    with pytest.raises(UserError, match=r"the loss is .* in epoch 1; lower the rate"):
        list(Training(job).run())
