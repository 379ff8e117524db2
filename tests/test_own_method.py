"""A method in a package of its own, by docs/own_method.md to the letter: installed, trained, compared, printed."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("mmdet")

from checkout import ROOT
from worked_examples import follow

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    """The folder, and what each of the page's commands printed there."""
    folder = tmp_path_factory.mktemp("own_method")
    return folder, follow(ROOT / "docs/own_method.md", folder)


def test_it_is_installed_outside_of_the_repository(followed):
    folder, printed = followed
    assert next(iter(printed)) == "pip install ./own_method"
    assert (folder / "site/own_method.py").exists()
    assert not list((folder / "fasa").rglob("own_method*"))


@pytest.mark.parametrize(("recipe", "base"), [("ce_feature_remix", "ce"), ("rfs_feature_remix", "rfs")])
def test_it_trains_another_model_than_its_base_in_classifiers_and_detectors(followed, recipe, base):
    folder, _ = followed
    measured = []
    for name in (recipe, base):
        found = json.loads((folder / f"own_method/results/smoke/runs/{name}/seed-0/metrics.json").read_text())
        measured.append(found["measurements"])
        assert found["config"]["augmenter"]["name"] == ("feature_remix" if name == recipe else "none")
    assert measured[0]["class_probabilities"] != measured[1]["class_probabilities"]


def test_the_difference_is_printed_with_its_interval_and_a_control(followed):
    _, compared, _ = followed[1].values()
    classifier, detector = compared.split("rfs_feature_remix less rfs")
    assert "ce_feature_remix less ce at scale smoke" in classifier
    for name in ("Top-1", "many", "medium", "few", "logit_adjusted"):
        assert name in classifier
    for name in ("AP", "APr", "APc", "APf"):
        assert name in detector
    assert "run one with: fasa compare rfs " in " ".join(detector.split())


def test_its_table_stands_among_the_others(followed):
    text = (followed[0] / "own_method/results/smoke/tables/own_method.md").read_text()
    assert text.startswith("### Remix on features — not in the paper\n\n**")
    assert "CE + Remix on features" in text and "reproduced" in text


def test_the_workflow_goes_on_from_there(followed):
    """It trains the seed that is new, and prints all three."""
    folder, _ = followed
    trained = {path.stem for path in (folder / "own_method/logs/smoke/train").glob("*.log")}
    assert trained == {"ce-2", "ce_feature_remix-2"} and not (folder / "results").exists()
    assert ",0 1 2," in (folder / "own_method/results/smoke/tables/own_method.csv").read_text()
