"""LVIS's counts without its images: every training count is LVIS's own, and val is what lvis-api reads."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from fasa.datasets.lvis_counts import Pairs, boxes, filled, prepare, read_classes, read_pairs
from fasa.datasets.manifest import read_manifest
from fasa.errors import UserError
from fasa.evaluation import load_ground_truth

EVERY = 40


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory):
    path = tmp_path_factory.mktemp("counts") / "manifest.json"
    prepare({"every": EVERY}, path)
    return read_manifest(path)


def test_the_shipped_counts_are_lvis_v1s():
    """Sums that its authors and the paper's release print."""
    classes = read_classes()
    assert len(classes.names) == len(set(classes.names)) == 1203
    assert classes.instances.sum() == 1_270_141 and classes.images.sum() == 360_952
    assert {letter: int((classes.frequencies == letter).sum()) for letter in "rcf"} == {"r": 337, "c": 461, "f": 405}
    assert (1 / classes.instances).sum() == pytest.approx(104.502094, abs=1e-6)
    assert (classes.instances >= classes.images).all() and classes.instances.max() == 50_552
    # The letters are by images: up to 10 rare, up to 100 common.
    bounds = {letter: classes.images[classes.frequencies == letter].max() for letter in "rc"}
    assert bounds == {"r": 10, "c": 100}


def test_training_has_each_class_as_often_as_lvis(manifest):
    pairs, classes = read_pairs(manifest)["train"], read_classes(EVERY)
    assert np.bincount(pairs.label).tolist() == classes.images.tolist() == list(manifest.image_counts)
    assert np.bincount(pairs.label, pairs.objects).tolist() == classes.instances.tolist()
    assert len(set(zip(pairs.image.tolist(), pairs.label.tolist(), strict=True))) == len(pairs.image)
    assert (np.diff(pairs.image) >= 0).all() and pairs.image.max() < pairs.images == manifest.train_images
    assert pairs.start[0] == 0 and pairs.start[-1] == len(pairs.image)
    assert {"r", "c", "f"} == set(manifest.frequencies)


def test_an_image_without_a_class_gets_one_of_its_theme_that_another_can_spare():
    """Images 2 to 5 have none; of theme 0, image 0 can spare two and image 1 none; of theme 1 there are none."""
    pairs = Pairs(np.array([0, 0, 0, 1]), np.array([4, 5, 6, 4]), np.array([1, 2, 3, 7]), 6)
    themes = np.array([0, 0, 0, 0, 0, 1])
    found = filled(np.random.default_rng(0), pairs, themes)
    assert np.bincount(found.image, minlength=6)[[0, 1, 5]].tolist() == [1, 1, 0]
    assert len(set(found.image.tolist()) & {2, 3, 4}) == 2, "two of the three of theme 0"
    assert sorted(zip(found.label.tolist(), found.objects.tolist(), strict=True)) == [(4, 1), (4, 7), (5, 2), (6, 3)]
    assert (np.diff(found.image) > 0).all()


def test_every_training_image_of_all_classes_has_one(tmp_path):
    prepare({"val_share": 0.01}, tmp_path / "manifest.json")
    pairs = read_pairs(read_manifest(tmp_path / "manifest.json"))["train"]
    assert pairs.images == 99_388 and (np.bincount(pairs.image, minlength=pairs.images) > 0).all()


def test_val_is_lvis_as_the_tools_read_it(manifest):
    truth = load_ground_truth(manifest.val.annotations)
    pairs = read_pairs(manifest)["val"]
    assert truth.kind == "lvis" and len(truth.image_ids) == pairs.images
    assert truth.category_names == manifest.category_names and tuple(truth.frequencies) == manifest.frequencies
    assert (
        np.bincount(truth.category, minlength=manifest.classes).tolist()
        == np.bincount(pairs.label, pairs.objects, manifest.classes).tolist()
    )
    present = np.zeros_like(truth.verified)
    present[pairs.image, pairs.label] = True
    content = json.loads(Path(manifest.val.annotations).read_text())
    for image, entry in enumerate(content["images"]):
        assert not present[image, np.array(entry["neg_category_ids"], int) - 1].any()
    assert (truth.verified >= present).all() and truth.verified.sum() > present.sum()
    assert set(np.flatnonzero(~present.any(0))), "some classes are missing from val, as from LVIS's"


def test_boxes_of_an_image_never_overlap():
    found = boxes(np.arange(5))
    assert (found[1:, 0] >= found[:-1, 0] + found[:-1, 2]).all() and (found[:, 2:] > 0).all()


def test_the_same_options_give_the_same_files(tmp_path: Path):
    for folder, options in (("a", {"every": EVERY}), ("b", {"every": EVERY}), ("c", {"every": EVERY, "seed": 1})):
        (tmp_path / folder).mkdir()
        prepare(options, tmp_path / folder / "manifest.json")
    a, b, c = ((tmp_path / folder / "val.json").read_bytes() for folder in "abc")
    assert a == b != c


@pytest.mark.parametrize(
    "options", [{"every": 0}, {"every": 101}, {"val_share": 0.0}, {"val_share": 1.5}, {"seed": -1}]
)
def test_options_out_of_range_are_refused(options, tmp_path: Path):
    with pytest.raises(UserError, match="every must be 1 to 100, val_share"):
        prepare(options, tmp_path / "manifest.json")
    assert not list(tmp_path.iterdir())


def test_damaged_pairs_are_told(manifest, tmp_path: Path):
    torn = tmp_path / "pairs.npz"
    torn.write_bytes(Path(manifest.train.annotations).read_bytes()[:100])
    from dataclasses import replace

    other = replace(manifest, train=replace(manifest.train, annotations=str(torn)))
    with pytest.raises(UserError, match=r"pairs\.npz is missing or damaged; delete its folder"):
        read_pairs(other)
