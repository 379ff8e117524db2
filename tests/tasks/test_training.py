"""The loop: schedules of the paper, epochs, what each augmenter is fed, failures, runs side by side."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from fasa.augmenters.base import Augmenter, Batch, TrainingContext
from fasa.augmenters.m2m import M2m
from fasa.errors import UserError
from fasa.method.virtual_loss import VirtualLoss, mean_loss, weighted_sums
from fasa.study import Run, load_study
from fasa.tasks.classification import session
from fasa.tasks.classification.losses import Criterion
from fasa.tasks.classification.training import Training

CPU = torch.device("cpu")


def weights(study, name, seed=0):
    return torch.load(study.work_dir(name, seed) / "model.pt", weights_only=True)["state_dict"]


def assert_same(first, second):
    assert first.keys() == second.keys()
    for key, value in first.items():
        assert torch.equal(value, second[key]), key


# ------------------------------------------------------------------------------------------------------- schedules
def test_rates_of_ldam_at_the_papers_scale(study_root):
    schedule = load_study(study_root, "paper").recipe("ldam_fasa").schedule
    rates = [schedule.lr_of(epoch) for epoch in range(schedule.epochs)]
    expected = [0.02, 0.04, 0.06, 0.08] + [0.1] * 156 + [1e-3] * 20 + [1e-5] * 20
    assert rates == pytest.approx(expected)
    assert (schedule.batch_size, schedule.momentum, schedule.weight_decay) == (128, 0.9, 2e-4)


def test_rates_of_tde_at_the_papers_scale(study_root):
    schedule = load_study(study_root, "paper").recipe("tde_fasa").schedule
    rates = [schedule.lr_of(epoch) for epoch in range(schedule.epochs)]
    warm = [0.2 * ((1 / 3) * (1 - e / 5) + e / 5) for e in (1, 2, 3, 4)]
    assert rates == pytest.approx(warm + [0.2] * 115 + [2e-3] * 40 + [2e-5] * 41)
    assert (schedule.batch_size, schedule.weight_decay, schedule.drop_last) == (256, 5e-4, True)


def test_rate_of_chus_second_phase_is_constant(study_root):
    schedule = load_study(study_root, "paper").recipe("ce_r34_chu").schedule
    assert {schedule.lr_of(epoch) for epoch in range(schedule.epochs)} == {0.001}
    assert schedule.epochs * schedule.epoch_length == 6400


def test_re_weighting_and_m2m_begin_with_the_drop(study_root):
    study = load_study(study_root, "paper")
    assert study.recipe("ldam").loss.drw_epoch == study.recipe("ldam_m2m").augmenter.options["start_epoch"] == 160
    loss = study.recipe("ldam").loss
    assert (loss.logit_scale, loss.margin, loss.drw_beta) == (30, 0.5, 0.9999)
    assert study.recipe("ldam_no_drw").loss.drw_beta == 0


@pytest.mark.parametrize(("name", "length", "last"), [("ldam", 85, 95), ("tde", 42, 256), ("ce_r34_chu", 100, 128)])
def test_epoch_lengths_on_cifar_lt(study_root, monkeypatch, dataset, cifar_counts, name, length, last):
    """17,000 batches of LDAM (the last one short), 8,400 of TDE (dropped), 100 of Chu's phase II from two passes."""
    monkeypatch.setattr(Training, "_augmenter", lambda self: torch.nn.Identity())
    monkeypatch.setattr("fasa.tasks.weights.load", lambda job, model: None)
    monkeypatch.setattr(torch.nn.Identity, "begin_epoch", lambda self, epoch: None, raising=False)
    labels = np.repeat(np.arange(100), cifar_counts.numpy())
    data = replace(
        dataset,
        class_names=tuple(str(c) for c in range(100)),
        train_images=np.zeros((10_847, 3, 1, 1), np.uint8),
        train_labels=labels,
    )
    training = Training(load_study(study_root, "paper").job(Run(name, 0)), data, CPU)
    batches = training._begin_epoch()
    assert (len(batches), len(batches[-1])) == (length, last)
    seen = torch.cat(batches)[:10_847]
    assert len(seen.unique()) == len(seen)  # a pass meets no image twice
    assert not torch.equal(torch.cat(training._begin_epoch())[:100], seen[:100])


def test_each_epoch_gets_its_rate_and_class_weights(study, build):
    training = build(study, "ldam")  # 5 epochs; DRW and first drop in epoch 4 (160 * .025)
    criterion = training.criterion
    seen = []
    for epoch in training.run():
        rate = training.optimiser.param_groups[0]["lr"]
        seen.append((epoch, round(rate, 8), bool((criterion.class_weights == 1).all())))
    assert len(seen) == 25  # 71 images in batches of 16
    assert sorted(set(seen)) == [(e, 0.1, True) for e in range(4)] + [(4, 1e-5, False)]  # both drops


def test_a_history_has_an_entry_for_each_epoch(study, train):
    history = train(study, "ldam_fasa").history
    assert set(history) == {"train_loss", "probabilities", "groups", "validation_loss", "accuracy"}
    assert {len(values) for values in history.values()} == {5}
    assert all(len(p) == 6 for p in history["probabilities"])
    assert all(math.isfinite(x) for x in history["train_loss"] + history["validation_loss"])
    plain = train(study, "ldam").history
    assert "probabilities" not in plain
    assert plain["validation_loss"] == [None] * 5


def test_test_images_are_looked_at_as_the_scale_says(make_study, train):
    accuracy = train(make_study(evaluate_every=3), "ce").history["accuracy"]
    assert [value is not None for value in accuracy] == [False, False, True, False, True]


# ---------------------------------------------------------------------------------------------- what goes where
def test_virtual_features_move_no_mean_feature(make_study, build):
    """The causal head observes each real batch once, though a virtual feature of every class is drawn beside it."""
    always = {"name": "fasa", "options": {"draws_per_step": 1e6, "adaptive": False}}
    training = build(make_study({"always": {"base": "tde_fasa", "augmenter": always}}), "always")
    observed, classified = [], []
    head = training.classifier.head
    observe, forward = head.observe, head.forward
    head.observe = lambda features: observed.append(len(features)) or observe(features)
    training.augmenter.context.classifier = lambda features: classified.append(len(features)) or forward(features)
    for _ in training.run():
        pass
    assert observed == [16] * 4 * 5  # TDE drops the short batch
    assert classified == [6] * 4 * 4  # from the second epoch on


def test_a_virtual_loss_that_joins_makes_one_mean_of_the_step(study, build):
    """LDAM after DRW: the gradient is that of the criterion's mean over the real and the virtual batch."""
    training = build(study, "ldam_fasa")
    training._begin_epoch()
    training.criterion.begin_epoch(training.criterion.drw_epoch)
    training.optimiser.param_groups[0]["lr"] = 0.0
    head, criterion = training.classifier.head, training.criterion
    virtual, labels = torch.rand(4, head.weight.shape[1]), torch.tensor([0, 5, 5, 2])
    real = []

    def joins(batch):
        real.append(batch)
        return VirtualLoss(*weighted_sums(*criterion(head(virtual), labels)))

    training.augmenter.loss = joins
    training._step(torch.arange(0, 71, 5))
    both = torch.cat([real[0].features.detach(), virtual]), torch.cat([real[0].labels, labels])
    expected = torch.autograd.grad(mean_loss(criterion(head(both[0]), both[1])), head.weight)[0]
    assert not (criterion.class_weights == 1).any()
    torch.testing.assert_close(head.weight.grad, expected)


def test_validation_uses_the_deployed_logits_and_no_margin(study, build, dataset):
    """De-confound-TDE adapts on what it deploys; the held-out images are neither cropped nor mirrored."""
    training = build(study, "tde_fasa")
    classifier = training.classifier.eval()
    classifier.head.mean_feature.copy_(torch.rand(len(classifier.head.mean_feature)))
    result = training._evaluate(*training.held_out)
    images = (torch.as_tensor(dataset.heldout_images).float() / 255 - 0.5) / 0.25
    labels = torch.as_tensor(dataset.heldout_labels)
    with torch.no_grad():
        logits = classifier.head.infer(classifier.network(images).mean((2, 3)))
    losses = torch.nn.functional.cross_entropy(logits, labels, reduction="none")
    for c in range(6):
        assert float(result.loss[c]) == pytest.approx(float(losses[labels == c].sum()), rel=1e-4)
        assert float(result.correct[c]) == float((logits.argmax(1) == labels)[labels == c].sum())
    assert result.count.tolist() == [0, 4, 4, 4, 4, 4]


@pytest.mark.parametrize(("source", "count"), [("heldout", 20), ("test", 30), ("train", 71)])
def test_adaptation_looks_where_the_recipe_says(make_study, build, source, count):
    training = build(make_study({"here": {"base": "ldam_fasa", "validation": source}}), "here")
    assert int(training._evaluate(*training.held_out).count.sum()) == count


def test_adaptation_without_held_out_images_is_refused(study, dataset):
    empty = replace(dataset, heldout_images=dataset.heldout_images[:0], heldout_labels=dataset.heldout_labels[:0])
    with pytest.raises(UserError, match=r"recipe 'ldam_fasa' adapts on .*; raise data\.heldout_per_class"):
        list(Training(study.job(Run("ldam_fasa", 0)), empty, CPU).run())
    for name in ("ldam", "ldam_fasa_static"):
        assert len(list(Training(study.job(Run(name, 0)), empty, CPU).run())) == 25


def test_phase_two_trains_the_classifier_alone(study, build, train):
    first = train(study, "ce_r34")
    training = build(study, "ce_r34_chu")
    assert_same(training.classifier.state_dict(), first.classifier.state_dict())
    for _ in training.run():
        assert not training.classifier.network.training
    for key, value in training.classifier.state_dict().items():
        assert torch.equal(value, first.classifier.state_dict()[key]) == key.startswith("network"), key


class Scaled(Augmenter):
    """A virtual loss by a factor that is learnt."""

    def __init__(self, context: TrainingContext) -> None:
        super().__init__(context)
        self.scale = nn.Parameter(torch.ones(()))

    def loss(self, batch: Batch) -> torch.Tensor:
        return (self.scale * batch.features.detach() - 0.5 * batch.features.detach()).square().mean()


def test_what_an_augmenter_learns_is_learnt_and_goes_on(study, build, monkeypatch):
    monkeypatch.setattr(Training, "_augmenter", lambda self: Scaled(None))
    training = build(study, "ce")
    steps = training.run()
    next(steps)
    first = training.augmenter.scale.item()
    assert first != 1
    *_, _ = steps
    assert abs(training.augmenter.scale.item() - 0.5) < abs(first - 0.5)


def test_m2m_is_taught_by_the_run_of_its_own_seed(study, build, train):
    teachers = [train(study, "ce", seed) for seed in (0, 1)]
    teacher = build(study, "ldam_m2m", 1).augmenter.context.teacher
    assert_same(teacher.state_dict(), teachers[1].classifier.state_dict())
    assert not any(p.requires_grad for p in teacher.parameters())
    assert not teacher.training


def test_m2m_translates_from_its_epoch_on(study, build):
    training = build(study, "ldam_m2m")
    translate, epochs = training.augmenter._translate, []
    training.augmenter._translate = lambda *images: epochs.append(training.epoch) or translate(*images)
    for _ in training.run():
        pass
    assert set(epochs) == {4}  # 160 * .025


def test_a_seed_decides_the_weights(study, train):
    first, second = train(study, "ce", 0), train(study, "ce", 1)
    assert not torch.equal(first.classifier.head.class_weights(), second.classifier.head.class_weights())


def test_a_needed_run_must_be_there(study, dataset):
    with pytest.raises(UserError, match=r"ce_r34/seed-0/model\.pt is missing; train that run: what is done"):
        Training(study.job(Run("ce_r34_chu", 0)), dataset, CPU)


# ----------------------------------------------------------------------------------------------------------- session
def test_runs_side_by_side_are_as_if_alone(packed):
    runs = [Run("ldam_fasa", 0), Run("ldam_fasa", 1), Run("tde_fasa", 0), Run("ce_r34_fasa", 0), Run("ldam", 1)]
    alone = {}
    for run in runs:
        assert session.train([packed.job(run) for run in [run]], CPU) == {}
        folder = packed.work_dir(run.recipe, run.seed)
        alone[run] = weights(packed, *(run.recipe, run.seed)), (folder / "history.json").read_text()
        for path in folder.rglob("*.*"):
            path.unlink()
    assert session.train([packed.job(run) for run in runs], CPU) == {}
    for run, (state, history) in alone.items():
        assert_same(weights(packed, run.recipe, run.seed), state)
        assert (packed.work_dir(run.recipe, run.seed) / "history.json").read_text() == history


def test_one_run_fails_and_the_others_go_on(packed, monkeypatch):
    forward = Criterion.forward

    def diverging(self, logits, labels):
        loss, weight = forward(self, logits, labels)
        return loss * (math.nan if self.logit_scale == 30 else 1.0), weight

    monkeypatch.setattr(Criterion, "forward", diverging)
    failures = session.train([packed.job(run) for run in [Run("ldam", 0), Run("ce", 0)]], CPU)
    assert list(failures) == [Run("ldam", 0)]
    assert "recipe 'ldam', seed 0: the training loss is nan in epoch 0" in str(failures[Run("ldam", 0)])
    failed = packed.work_dir("ldam", 0) / "failed.json"
    assert json.loads(failed.read_text())["message"] == str(failures[Run("ldam", 0)])
    assert "nan" in packed.missing_reason("ldam", 0)
    assert not (packed.work_dir("ldam", 0) / "model.pt").exists()
    assert not list(packed.checkpoint_dir("ldam", 0).glob("*.pt"))
    assert (packed.work_dir("ce", 0) / "model.pt").exists()

    monkeypatch.setattr(Criterion, "forward", forward)
    assert session.train([packed.job(run) for run in [Run("ldam", 0)]], CPU) == {}
    assert not failed.exists()


def test_a_bug_is_recorded_with_its_traceback_and_the_others_go_on(packed, monkeypatch, capsys):
    def broken(self, indices):
        raise RuntimeError("a tensor of another shape")

    monkeypatch.setattr(M2m, "select", broken)
    session.train([packed.job(run) for run in [Run("ce", 0)]], CPU)
    failures = session.train([packed.job(run) for run in [Run("ldam_m2m", 0), Run("ce", 1)]], CPU)
    assert list(failures) == [Run("ldam_m2m", 0)]
    assert "in broken" in capsys.readouterr().err
    assert packed.missing_reason("ldam_m2m", 0) == "failed: RuntimeError: a tensor of another shape"
    assert packed.state("ce", 1) == "trained"


def test_data_must_be_prepared(study):
    failures = session.train([study.job(run) for run in [Run("ldam", 0)]], CPU)
    command = "fasa data ldam --scale tiny"
    assert str(failures[Run("ldam", 0)]).endswith(f"ratio-100-heldout-20-subset-0.npz is missing; run: {command}")
    with pytest.raises(UserError, match=command):
        session.evaluate(study.job(Run("ldam", 0)), CPU, 0.0)


def test_runs_that_wait_for_the_device_have_a_turn_of_their_own(study, monkeypatch):
    """Beside others they would hold these up at every step; and their shapes vary, for which cuDNN must not search."""
    runs = [Run(name, 0) for name in ("ldam_m2m", "ldam", "ce_r34", "ce_r34_chu", "ce", "ldam_fasa")]
    turns = []

    def side_by_side(jobs, *rest):
        turns.append(({job.run.recipe for job in jobs}, torch.backends.cudnn.benchmark))

    monkeypatch.setattr(session, "_side_by_side", side_by_side)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    session.train([study.job(run) for run in runs], CPU)
    assert turns == [({"ldam", "ce_r34", "ce", "ldam_fasa"}, True), ({"ldam_m2m", "ce_r34_chu"}, False)]


def test_a_teacher_named_beside_its_student_is_trained_first(packed):
    runs = [Run("ldam_m2m", 0), Run("ce", 0), Run("ldam", 0)]
    assert session.train([packed.job(run) for run in runs], CPU) == {}


@pytest.mark.parametrize(
    ("augmenter", "message"),
    [
        ({"name": "cutout"}, "of_this_test.yaml: recipe 'odd': 'augmenter.name': .*'fasa'.*, not 'cutout'"),
        ({"name": "yin"}, "'augmenter.name': 'yin' acts by the hook 'phase', which the training of a classifier on im"),
        ({"name": "fasa", "options": {"momentun": 0.2}}, "unknown key 'augmenter.options.momentun'; .*: 'momentum'"),
        (
            {"name": "fasa", "options": {"grouping": "kmeans"}},
            "'augmenter.options.grouping': .*, not 'kmeans'",
        ),
        (
            {"name": "fasa", "options": {"preset": "fasa_papers"}},
            "not 'fasa_papers'; closest: 'fasa_paper'",
        ),
        ({"name": "none", "options": {"scale": 2}}, "recipe 'odd': unknown key 'augmenter.options.scale'"),
        ({"name": "chu", "options": {"tau": 2}}, "unknown key 'augmenter.options.tau'; known here: confusing, "),
        ({"name": "m2m"}, "recipe 'odd': 'teacher' goes with augmenter 'm2m'"),
    ],
)
def test_unknown_augmenters_and_options_are_named(make_study, build, augmenter, message):
    with pytest.raises(UserError, match=message):
        build(make_study({"odd": {"base": "ce", "augmenter": augmenter}}), "odd")
