"""The augmenter interface: no augmentation, and FASA behind it."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from importlib import import_module

import pytest
import torch
from torch.nn import functional
from toys import batch_of, image_context

from fasa.augmenters import AUGMENTERS, Registered
from fasa.augmenters.base import Augmenter, RoIContext, TrainingContext, Validation, build_augmenter
from fasa.augmenters.fasa import FasaAugmenter
from fasa.augmenters.trainings import HOOKS, TRAININGS
from fasa.errors import UserError
from fasa.method.virtual_loss import VirtualLoss
from fasa.tasks.classification.losses import Criterion


def test_the_plain_augmenter_changes_nothing():
    augmenter = Augmenter(image_context([3, 2]))
    images, labels, maps = torch.rand(2, 3, 4, 4), torch.tensor([0, 1]), torch.rand(2, 4, 2, 2)
    assert augmenter.select(labels) is labels
    assert augmenter.images(images, labels)[0] is images
    batch = batch_of(maps.mean((2, 3)), labels)
    assert augmenter.mix(batch) is None
    assert augmenter.loss(batch) is None
    assert augmenter.phase == "all"
    assert augmenter.end_epoch(lambda: pytest.fail("no validation is needed")) == {}


def fasa(**options) -> FasaAugmenter:
    torch.manual_seed(0)
    augmenter = FasaAugmenter(image_context([40, 20, 5]), grouping="class", **options)
    augmenter.loss(batch_of(torch.rand(12, 4), torch.arange(3).repeat(4)))
    return augmenter


def validation(loss) -> Validation:
    return Validation(torch.tensor(loss), torch.tensor([9.0, 9.0, 9.0]), torch.tensor([10.0, 10.0, 10.0]))


def test_fasa_tells_the_probabilities_that_the_epoch_used():
    augmenter = fasa()
    start = (1 / torch.tensor([40.0, 20.0, 5.0])) / (1 / 40 + 1 / 20 + 1 / 5)
    for loss in ([5.0, 5.0, 5.0], [4.0, 6.0, 5.0]):  # down: up; up: down; unchanged
        entry = augmenter.end_epoch(lambda loss=loss: validation(loss))
        assert entry["probabilities"] == pytest.approx(start.tolist())
        assert entry["groups"] == [0, 1, 2]
    now = augmenter.fasa.probabilities
    torch.testing.assert_close(now, start * torch.tensor([1.1, 0.9, 1.0]))


def test_fasa_by_the_metric_reads_the_hits():
    augmenter = fasa(adapt_on="metric")
    for hits in ([5.0, 5.0, 5.0], [4.0, 6.0, 5.0]):
        sums = Validation(torch.zeros(3), torch.tensor(hits), torch.full((3,), 10.0))
        before = augmenter.fasa.probabilities.clone()
        augmenter.end_epoch(lambda sums=sums: sums)
    torch.testing.assert_close(augmenter.fasa.probabilities, before * torch.tensor([0.9, 1.1, 1.0]))


def test_static_fasa_asks_for_no_validation():
    augmenter = fasa(adaptive=False)
    before = augmenter.fasa.probabilities.clone()
    for _ in range(3):
        augmenter.end_epoch(lambda: pytest.fail("static sampling must not look at held-out images"))
    assert torch.equal(augmenter.fasa.probabilities, before)
    assert int(augmenter.fasa.epoch) == 3


def test_fasas_virtual_loss_reaches_the_classifier_alone():
    augmenter = fasa(start_epoch=0, draws_per_step=100.0)
    head = augmenter.context.classifier
    features = torch.rand(12, 4, requires_grad=True)
    augmenter.loss(batch_of(features, torch.arange(3).repeat(4))).backward()
    assert features.grad is None
    assert head.fc.weight.grad.abs().sum() > 0
    assert not list(augmenter.parameters())  # the classifier belongs to the training


def test_unweighted_virtual_losses_have_no_margins_and_weights():
    """Class 2 of counts 40, 20, 5: a margin of 0.5, a weight above 1; one feature of each class is drawn."""
    counts = torch.tensor([40, 20, 5])

    def virtual(unweighted: bool, **loss: float) -> torch.Tensor:
        torch.manual_seed(0)
        criterion = Criterion(counts, logit_scale=2.0, **loss)
        criterion.begin_epoch(0)
        told = image_context(counts.tolist())
        told.criterion, told.unweighted_criterion = criterion, criterion.validation
        augmenter = FasaAugmenter(told, unweighted_virtual_loss=unweighted, start_epoch=0, draws_per_step=1e6)
        return augmenter.loss(batch_of(torch.rand(12, 4), torch.arange(3).repeat(4)))

    bare = virtual(unweighted=False)
    assert bare > 0 and torch.equal(virtual(unweighted=True, margin=0.5, drw_beta=0.99), bare)
    assert virtual(unweighted=False, margin=0.5) > bare
    head = torch.nn.Linear(4, 3)
    other = TrainingContext(
        classifier=head, embed=torch.flatten, criterion=functional.cross_entropy, class_counts=counts, feature_dim=4
    )
    with pytest.raises(ValueError, match="unweighted_virtual_loss is true, but this criterion"):
        FasaAugmenter(other, unweighted_virtual_loss=True)


def test_a_joint_mean_gives_the_virtual_features_sum_and_weight():
    """DRW's class weights are those of virtual features too; ``loss_weight`` is of their own mean alone."""
    context = image_context([40, 20, 5])
    context.criterion = Criterion(context.class_counts, drw_beta=0.99)
    context.criterion.begin_epoch(0)
    augmenter = FasaAugmenter(context, joint_mean=True, start_epoch=0, draws_per_step=1e6, loss_weight=7.0)
    features = torch.rand(3, 4)
    added = augmenter.loss(batch_of(features, torch.arange(3)))  # each class seen once: no variance
    assert isinstance(added, VirtualLoss)
    losses, weights = context.criterion(context.classifier(features), torch.arange(3))
    torch.testing.assert_close(added.total, (losses * weights).sum())
    torch.testing.assert_close(added.weight, weights.sum())
    assert float(weights.sum()) == pytest.approx(3) and len(weights.unique()) == 3


def test_a_joint_mean_needs_the_loss_of_each_example():
    with pytest.raises(UserError, match=r"here, augmenter 'fasa': one mean .*\(joint_mean\) needs the loss"):
        build_augmenter("fasa", {"joint_mean": True}, roi_context(), "here")  # torch's cross entropy: their mean


def test_presets_and_options_reach_fasa():
    paper = FasaAugmenter(image_context([40, 20, 5])).fasa
    assert (paper.grouping, paper.reduction) == ("mean_shift", "pooled")
    released = FasaAugmenter(image_context([40, 20, 5]), preset="fasa_released", momentum=0.3).fasa
    assert (released.grouping, released.reduction) == ("affinity_released", "share_sum")
    assert released.momentum == 0.3
    assert FasaAugmenter(image_context([40, 20, 5]), preset="fasa_released", grouping="class").fasa.grouping == "class"


# ----------------------------------------------------------------------------------------------------- the table
def roi_context() -> RoIContext:
    return RoIContext(
        classifier=torch.nn.Linear(4, 4),
        embed=lambda maps: maps.flatten(1),
        criterion=functional.cross_entropy,
        class_counts=torch.tensor([3, 2, 1]),
        feature_dim=4,
        class_probabilities=lambda logits: logits.softmax(1),
    )


def test_reading_the_table_loads_no_torch():
    code = "import sys; from fasa.augmenters import AUGMENTERS as all; sys.exit('torch' in sys.modules or not all)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


PLAIN = {"int", "float", "bool", "str"}


@pytest.mark.parametrize("name", AUGMENTERS)
def test_options_are_parameters_whose_types_can_be_read_without_importing_them(name):
    registered = AUGMENTERS[name]
    assert all(issubclass(each, Augmenter) for each in registered.load())
    for constructor in (*registered.classes, *registered.options_of):
        module, name = constructor.split(":")
        parameters = inspect.signature(getattr(import_module(module), name)).parameters.values()
        for parameter in parameters:
            if parameter.kind is inspect.Parameter.VAR_KEYWORD:
                assert registered.options_of
            elif parameter.default is not inspect.Parameter.empty and parameter.name != "generator":
                assert parameter.annotation in PLAIN or re.fullmatch(r"Literal\[('\w+'(, )?)+\]", parameter.annotation)


@pytest.mark.parametrize("name", AUGMENTERS)
def test_every_task_has_what_it_calls_and_refuses_the_rest(name):
    """One class of a name serves classifiers or one serves detectors; what a task refuses, it says by hook."""
    context = image_context([3, 2, 1], teacher=torch.nn.Identity())
    served = []
    for each in (context, roi_context()):
        try:
            augmenter = build_augmenter(name, {}, each, "recipe 'odd'")
        except UserError as error:
            assert str(error).startswith(f"recipe 'odd': augmenter '{name}' acts by the hook")
            continue
        assert augmenter.hooks() <= TRAININGS[type(each).__name__].hooks and isinstance(each, augmenter.needs)
        assert (name == "none") == (augmenter.hooks() == set())
        served.append(type(augmenter).__name__)
    expected = {"m2m": ["M2m"], "mixup": ["Mixup"], "remix": ["Remix"], "yin": ["Yin"], "chu": ["Chu", "RoIChu"]}
    assert served == expected.get(name, served[:1] * 2)


def test_the_hooks_are_the_interface():
    own = {key for key, value in vars(Augmenter).items() if inspect.isfunction(value) or isinstance(value, property)}
    assert {key for key in own if not key.startswith("_")} == set(HOOKS)
    of_features, of_images, of_rois = (training.hooks for training in TRAININGS.values())
    assert of_features < of_images < set(HOOKS) > of_rois > of_features


class OfRoIs(Augmenter):
    needs = RoIContext

    def loss(self, batch):
        return None


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("odd", {}, "here: unknown augmenter 'odd'; known: none, fasa, m2m,"),
        ("m2m", {}, "here, augmenter 'm2m': m2m needs a teacher; correct its options."),
        (
            "yin",
            {},
            "here: augmenter 'yin' acts by the hook 'phase', which the training of a classifier ",
        ),
        (
            "rois",
            {},
            "what only the training of a detector has, for the hook 'loss'; this is the training of a cl",
        ),
        ("smote", {"scale": 1}, "here, augmenter 'smote': .*scale"),
        ("smote", {"memory": 1}, "here, augmenter 'smote': neighbours must be at least 1"),
    ],
)
def test_mistakes_are_named(name, options, words, monkeypatch):
    monkeypatch.setitem(AUGMENTERS, "rois", Registered((f"{__name__}:OfRoIs",)))
    with pytest.raises(UserError, match=words):
        build_augmenter(name, options, image_context([3, 2, 1]), "here")
