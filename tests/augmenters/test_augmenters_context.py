"""What a context tells of labels, and what a training that cannot call an augmenter says of it."""

from __future__ import annotations

import pytest
import torch
from toys import image_context

from fasa.augmenters import AUGMENTERS, Registered
from fasa.augmenters.base import Augmenter, TrainingContext, build_augmenter
from fasa.augmenters.trainings import TRAININGS, refusal
from fasa.errors import UserError

LABELS = torch.tensor([0, 3, 1, 3, 2, 3, -1, 2])  # 3 and -1 are background


def test_background_counts_as_the_largest_class():
    assert image_context([50, 20, 5]).counts_of(LABELS).tolist() == [50, 50, 20, 50, 5, 50, 50, 5]


def test_counts_are_moved_to_the_labels_device_once():
    context = image_context([50, 20, 5])
    context.counts_of(LABELS.to("meta"))
    assert context.class_counts.device.type == "meta"


def test_partners_are_drawn_among_classes_and_background_is_its_own():
    context, background = image_context([50, 20, 5]), torch.tensor([1, 3, 5, 6])
    classes = torch.tensor([0, 2, 4, 7])
    drawn = torch.stack([context.partners(LABELS) for _ in range(400)])
    assert torch.equal(drawn[:, background], background.expand(400, 4))
    assert torch.equal(drawn[:, classes].sort(1).values, classes.expand(400, 4))
    for place in classes.tolist():  # each of the four about 100 times
        assert drawn[:, place].bincount(minlength=8)[classes].min() > 60
    assert torch.equal(image_context([50]).partners(torch.tensor([1, 1])), torch.tensor([0, 1]))
    assert len(context.partners(LABELS[:0])) == 0


class OfAnOlderInterface(Augmenter):
    """Its one method is no hook."""

    def features(self, features, labels):
        raise AssertionError("never called")


class Misspelt(Augmenter):
    def loss(self, batch):
        return None

    def end_epochs(self, validate):
        return {}


class Helped(Augmenter):
    """A method of its own, and a hook that a base defines."""

    def draw(self):
        return None

    def mix(self, batch):
        return None


class Inheriting(Helped):
    pass


class NoAugmenter:
    pass


REFUSED = {
    OfAnOlderInterface: "augmenter 'mine' acts by no hook, so it would train the plain baseline; the hooks are begin_",
    Misspelt: "augmenter 'mine' has 'end_epochs', which nothing calls: the hook is called 'end_epoch' .*; choose",
    Inheriting: "'mine' acts by the hook 'mix', which the training of a classifier on fixed features does not call",
    NoAugmenter: "augmenter 'mine' is no subclass of fasa.augmenters.base.Augmenter; make it one",
}


def fixed_features() -> TrainingContext:
    return TrainingContext(
        classifier=torch.nn.Linear(4, 3),
        embed=torch.flatten,
        criterion=torch.nn.functional.cross_entropy,
        class_counts=torch.tensor([3, 2]),
        feature_dim=4,
    )


@pytest.mark.parametrize("augmenter", REFUSED)
def test_what_would_do_nothing_is_refused_by_name(augmenter, monkeypatch):
    monkeypatch.setitem(AUGMENTERS, "mine", Registered((f"{__name__}:{augmenter.__name__}",)))
    with pytest.raises(UserError, match=REFUSED[augmenter]):
        build_augmenter("mine", {}, fixed_features(), "here")


def test_an_inherited_hook_is_called_where_there_is_one(monkeypatch):
    monkeypatch.setitem(AUGMENTERS, "mine", Registered((f"{__name__}:Inheriting",)))
    assert build_augmenter("mine", {}, image_context([3, 2, 1]), "here").hooks() == {"mix"}


def test_no_augmenter_of_ours_has_a_name_like_a_hooks():
    for registered in AUGMENTERS.values():
        for each in registered.load():
            reasons = [refusal(each.methods(), each.needs.__name__, training) for training in TRAININGS.values()]
            assert each is Augmenter or not any("nothing calls" in reason.told for reason in reasons if reason)
