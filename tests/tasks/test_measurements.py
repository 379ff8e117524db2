"""What is read off a run, on logits made by hand, and what a trained and measured run writes."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from toys_study import leave

from fasa.datasets.pack import save_pack
from fasa.datasets.shots import shots
from fasa.errors import UserError
from fasa.study import Run
from fasa.tasks.classification import session
from fasa.tasks.classification.heads import CausalHead
from fasa.tasks.classification.measurements import class_means, logit_adjusted, measure, predict
from fasa.tasks.classification.task import MEASURED

CPU = torch.device("cpu")


class Reader(nn.Module):
    """A classifier of 3 classes whose logits are the colours of an image."""

    def __init__(self) -> None:
        super().__init__()
        self.network, self.head = nn.Identity(), self.Head()

    class Head(nn.Module):
        def infer(self, features):
            return features

        def class_weights(self):
            return torch.tensor([[3.0, 4.0], [0.0, 2.0], [1.0, 0.0]])


def colours(values: list[list[int]]) -> np.ndarray:
    """Images of one colour each, 4 x 4."""
    return np.tile(np.array(values, np.uint8)[:, :, None, None], (1, 1, 4, 4))


@pytest.fixture
def by_hand(dataset):
    """Six test images: class 0 right twice, class 1 right once of two, class 2 taken for 0 and 1 by a little."""
    return replace(
        dataset,
        class_names=("a", "b", "c"),
        train_labels=np.repeat([0, 1, 2], [80, 16, 4]),
        test_images=colours([[255, 0, 0], [255, 51, 0], [0, 255, 0], [255, 204, 0], [255, 0, 204], [0, 204, 153]]),
        test_labels=np.array([0, 0, 1, 1, 2, 2]),
        heldout_images=colours([[255, 0, 0], [0, 255, 0], [204, 0, 102], [255, 0, 153]]),
        heldout_labels=np.array([0, 1, 2, 2]),
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
    )


HISTORY = {
    "train_loss": [3.0, 2.0, 1.0],
    "validation_loss": [None, 2.5, 2.4],
    "accuracy": [None, 0.75, 0.5],
    "probabilities": [[0.5, 0.1, 0.2], [0.5, 0.2, 0.4], [1.0, 0.3, 0.2]],
    "groups": [[-1, -1, -1], [0, 0, 1], [0, 1, 1]],
}


def measured(study, data, name="ce", history=HISTORY):
    return measure(Reader(), study.recipe(name), data, history, CPU)


def test_accuracies_by_hand(study, by_hand):
    result = measured(study, by_hand)
    assert result["per_class_accuracy"] == [1.0, 0.5, 0.0]
    accuracy = result["accuracy"]
    assert accuracy["last"] == 0.5
    assert accuracy["best"] == 0.75
    assert (accuracy["many"], accuracy["medium"], accuracy["few"]) == (1.0, 0.5, 0.0)  # thirds of three classes


def test_the_numbers_that_tables_may_ask_for_are_those_measured(evaluated):
    found = evaluated[3]["measurements"]
    assert {f"{part}.{name}" for part in ("accuracy", "cost") for name in found[part]} == {*MEASURED}


def test_logit_adjustment_by_hand(study, by_hand):
    """Minus log prior is .22, 1.83 and 3.22: at tau 1 the rarest class takes all, at .1 one image changes hands."""
    logits = torch.as_tensor(by_hand.test_images)[:, :, 0, 0] / 255
    counts = torch.tensor([80, 16, 4])
    assert logit_adjusted(logits, counts, 0.0).tolist() == [0, 0, 1, 0, 0, 1]
    assert logit_adjusted(logits, counts, 0.1).tolist() == [0, 0, 1, 0, 2, 1]
    assert logit_adjusted(logits, counts, 1.0).tolist() == [2] * 6
    assert measured(study, by_hand)["accuracy"]["logit_adjusted"] == pytest.approx(2 / 6, abs=1e-6)


def test_tau_is_tuned_on_held_out_labels_and_the_smallest_of_the_best(study, by_hand):
    """Held out, class 2 loses to 0 by .4 at most; log(80 / 4) = 3.0 a unit of tau, so .2 mends it and .1 does not."""
    accuracy = measured(study, by_hand)["accuracy"]
    assert accuracy["logit_adjusted_tau"] == 0.2
    # On the test images .2 gives class 0 +.04, 1 +.37 and 2 +.64: right are both of 0, both of 1 and both of 2.
    assert accuracy["logit_adjusted_tuned"] == 1.0


def test_probabilities_take_the_losss_scale(study, by_hand):
    logits = torch.as_tensor(by_hand.test_images)[:, :, 0, 0].double() / 255
    for name, scale in (("ce", 1), ("ldam", 30)):
        softmax = (scale * logits).softmax(1)
        expected = [float(softmax[2 * c : 2 * c + 2, c].mean()) for c in range(3)]
        assert measured(study, by_hand, name)["class_probabilities"] == pytest.approx(expected, abs=1e-5)


def test_norms_features_and_curve(study, by_hand):
    result = measured(study, by_hand)
    assert result["weight_norms"] == [5.0, 2.0, 1.0]
    assert result["class_features"] == [[1.0, 0.1, 0.0], [0.5, 0.9, 0.0], [0.5, 0.4, 0.7]]
    assert result["learning_curve"] == {
        "epoch": [1, 2, 3],
        "train_loss": [3.0, 2.0, 1.0],
        "accuracy": [None, 0.75, 0.5],
        "validation_loss": [None, 2.5, 2.4],
    }


def test_trajectory_and_expected_virtual_features(study, by_hand):
    """71 images in batches of 16 make 5 steps; the first epoch has no virtual features."""
    result = measured(study, replace(by_hand, train_labels=np.repeat([0, 1, 2], [50, 15, 6])), "ldam_fasa")
    assert result["sampling_trajectory"] == {key: HISTORY[key] for key in ("probabilities", "groups")}
    assert result["virtual_features"] == pytest.approx([7.5, 2.5, 3.0])
    dropped = measured(study, replace(by_hand, train_labels=np.repeat([0, 1, 2], [50, 15, 6])), "tde_fasa")
    assert dropped["virtual_features"] == pytest.approx([6.0, 2.0, 2.4])
    first = HISTORY | {key: HISTORY[key][:1] for key in ("probabilities", "groups")}
    assert measured(study, by_hand, "ldam_fasa", history=first)["virtual_features"] == [0.0, 0.0, 0.0]


def test_runs_without_fasa_have_no_trajectory(study, by_hand):
    history = {key: HISTORY[key] for key in ("train_loss", "validation_loss", "accuracy")}
    result = measured(study, by_hand, history=history)
    assert "sampling_trajectory" not in result
    assert "virtual_features" not in result


def test_shots_of_cifar_lt_and_of_small_data(cifar_counts):
    groups = shots(cifar_counts.tolist())
    assert [len(groups[name]) for name in ("many", "medium", "few")] == [35, 35, 30]
    small = shots([5, 90, 40, 10, 60, 20])
    assert small == {"many": [1, 4], "medium": [2, 5], "few": [3, 0]}


def test_class_means_by_hand():
    values = torch.tensor([[1.0, 2.0], [3.0, 4.0], [10.0, 0.0]])
    means = class_means(values, torch.tensor([2, 2, 0]), 3)
    assert means.tolist() == [[10.0, 0.0], [0.0, 0.0], [2.0, 3.0]]


def test_predictions_are_those_deployed(build, study):
    """De-confound-TDE's logits without the mean direction, in eval mode, whatever the batch."""
    training = build(study, "tde")
    head: CausalHead = training.classifier.head
    head.mean_feature.copy_(torch.rand(len(head.mean_feature)))
    training.classifier.train()
    logits, features = predict(training.classifier, training.test[0])
    assert torch.equal(logits, head.infer(features))
    assert not torch.allclose(logits, head(features))
    assert int(training.classifier.network.stem[1].num_batches_tracked) == 0


# ------------------------------------------------------------------------------------------------- what is written
@pytest.fixture
def evaluated(study, dataset):
    """A trained and measured run, its study and its metrics."""
    save_pack(study.data_path("ldam_fasa"), dataset)
    run = Run("ldam_fasa", 1)
    assert session.train([study.job(run)], CPU) == {}
    path = session.evaluate(study.job(run), CPU, time.monotonic())
    return study, run, path, json.loads(path.read_text())


def test_the_time_of_a_training_includes_its_teachers(study, dataset):
    save_pack(study.data_path("ldam_m2m"), dataset)
    seconds = {}
    for run, took in ((Run("ce", 0), 40.0), (Run("ldam_m2m", 0), 2.5)):
        assert session.train([study.job(run)], CPU) == {}
        leave(study, run.recipe, run.seed, "cost.json", {"device": "cpu", "device_seconds": took})
        metrics = json.loads(session.evaluate(study.job(run), CPU, time.monotonic()).read_text())
        seconds[run.recipe] = metrics["measurements"]["cost"]["seconds"]
    assert seconds == {"ce": 40.0, "ldam_m2m": 42.5}


def test_metrics_say_what_made_them(evaluated, dataset):
    study, run, path, metrics = evaluated
    assert path == study.metrics_path(run.recipe, run.seed)
    assert {key: metrics[key] for key in ("recipe", "scale", "seed", "dataset", "device")} == {
        "recipe": "ldam_fasa",
        "scale": "tiny",
        "seed": 1,
        "dataset": "tiny",
        "device": "cpu",
    }
    assert metrics["fingerprint"] == study.fingerprint("ldam_fasa")
    assert metrics["config"]["loss"]["margin"] == 0.5
    assert metrics["config"]["schedule"]["epochs"] == 5
    assert metrics["config"]["backbone_options"] == {"blocks": [1, 1, 1], "width": 4}
    # A wheel's own version may leave out what it was built for: 2.11.0, and 2.11.0+cu130.
    assert metrics["packages"]["torch"].partition("+")[0] == torch.__version__.partition("+")[0]
    assert metrics["device_seconds"] >= 0
    assert metrics["class_counts"] == dataset.class_counts.tolist()
    assert metrics["class_names"] == list("abcdef")
    provenance = json.loads(path.with_name("provenance.json").read_text())
    assert provenance["command"] == "fasa train ldam_fasa --seed 1 --scale tiny"
    assert provenance["code_version"] == metrics["code_version"]


def test_metrics_agree_with_the_training(evaluated):
    study, run, _, metrics = evaluated
    history = json.loads((study.work_dir(run.recipe, run.seed) / "history.json").read_text())["epochs"]
    accuracy = metrics["measurements"]["accuracy"]
    assert accuracy["last"] == pytest.approx(history["accuracy"][-1], abs=1e-6)
    assert accuracy["best"] == max(history["accuracy"])
    assert np.mean(metrics["measurements"]["per_class_accuracy"]) == pytest.approx(accuracy["last"], abs=1e-5)
    assert metrics["measurements"]["sampling_trajectory"]["probabilities"] == history["probabilities"]
    ours = {name: value for name, value in metrics.items() if name not in ("of", "sha256")}
    assert study.load_metrics(run.recipe, run.seed) == ours


def test_measuring_twice_gives_the_same(evaluated):
    study, run, path, _ = evaluated
    before = path.read_bytes()
    session.evaluate(study.job(run), CPU, time.monotonic())
    assert path.read_bytes() == before


def test_an_untrained_or_damaged_run_is_told(evaluated):
    study, run, _, _ = evaluated
    with pytest.raises(UserError, match=r"seed-0/model\.pt is missing; train that run: what is done"):
        session.evaluate(study.job(Run("ldam_fasa", 0)), CPU, time.monotonic())
    (study.work_dir(run.recipe, run.seed) / "history.json").write_text("{")
    with pytest.raises(UserError, match=r"history\.json is damaged; train that run again"):
        session.evaluate(study.job(run), CPU, time.monotonic())


def test_results_of_an_older_recipe_do_not_count(evaluated, make_study):
    _, run, _, _ = evaluated
    changed = make_study(epochs=0.05)
    assert changed.load_metrics(run.recipe, run.seed) is None
    assert changed.missing_reason(run.recipe, run.seed) == "its results are of an older recipe or version"
    with pytest.raises(UserError, match="is of another version of its recipe"):
        session.evaluate(changed.job(run), CPU, time.monotonic())


def test_a_run_without_held_out_images_is_measured(study, by_hand):
    """heldout_per_class may be 0: then there is nothing to tune on, and tau stays 0."""
    data = replace(by_hand, heldout_images=colours([[0, 0, 0]])[:0], heldout_labels=np.zeros(0, np.int64))
    accuracy = measured(study, data)["accuracy"]
    assert accuracy["logit_adjusted_tau"] == 0.0
    assert accuracy["logit_adjusted_tuned"] == accuracy["last"]
