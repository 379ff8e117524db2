"""Data sets as MMDetection reads them: LVIS-format files with their own classes, the balanced subset, COCO-LT."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mmdet.datasets import CocoDataset, LVISV1Dataset
from mmdet.registry import DATASETS
from mmdet.utils import register_all_modules
from mmengine.dataset import ClassBalancedDataset
from toys_lvis import original, toy, write, write_images

import fasa.mmdet.datasets  # noqa: F401
from fasa.datasets.annotation_counts import count_annotations, images_with
from fasa.datasets.coco_lt import Index, rebuild
from fasa.errors import UserError
from fasa.evaluation.io.annotation_json import read
from fasa.mmdet.class_counts import read_categories, read_class_counts, read_frequencies

register_all_modules()
PIPELINE = [{"type": "LoadImageFromFile"}, {"type": "LoadAnnotations", "with_bbox": True, "with_mask": True}]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_images(tmp_path)


def config(tmp_path: Path, kind: str = "LVISFormatDataset", **options: Any) -> dict[str, Any]:
    return {
        "type": kind,
        "data_root": str(tmp_path),
        "ann_file": "toy.json",
        "data_prefix": {"img": "images/"},
        "pipeline": PIPELINE,
        **options,
    }


def test_classes_come_from_the_file(tmp_path, folder):
    write(tmp_path / "toy.json", toy())
    dataset = DATASETS.build(config(tmp_path))
    assert dataset.metainfo["classes"] == ("e", "g", "i")
    assert dataset.metainfo["frequencies"] == ("f", "r", "c")
    assert [dataset.get_cat_ids(i) for i in range(3)] == [[0, 0], [1, 0], []]
    example = dataset[0]
    assert example["img"].shape == (4, 6, 3)
    assert len(example["gt_masks"].masks) == 2
    trained = DATASETS.build(config(tmp_path, filter_cfg={"filter_empty_gt": True}))
    assert [trained.get_data_info(i)["img_id"] for i in range(len(trained))] == [1, 2]


def test_a_lazy_data_set_knows_its_classes(tmp_path):
    write(tmp_path / "toy.json", toy())
    dataset = DATASETS.build(config(tmp_path, lazy_init=True))
    assert not dataset._fully_initialized
    assert ClassBalancedDataset(dataset, 1e-3, lazy_init=True).metainfo["classes"] == ("e", "g", "i")
    with pytest.raises(UserError, match="cannot be read"):
        DATASETS.build(config(tmp_path, ann_file="absent.json"))


def test_two_files_do_not_share_their_classes(tmp_path):
    document = toy()
    write(tmp_path / "toy.json", document)
    document["categories"][0]["name"] = "other"
    write(tmp_path / "other.json", document)
    one, two = (DATASETS.build(config(tmp_path, ann_file=name)) for name in ("toy.json", "other.json"))
    assert (one.metainfo["classes"][0], two.metainfo["classes"][0]) == ("e", "other")
    assert len(LVISV1Dataset.METAINFO["classes"]) == 1203


@pytest.mark.parametrize(("frequencies", "ids"), [(["r", "c"], [2]), (["f"], [1, 2]), (["r", "c", "f"], [1, 2])])
def test_images_of_a_frequency(tmp_path, folder, frequencies, ids):
    write(tmp_path / "toy.json", toy())
    subset = DATASETS.build({"type": "FrequencySubset", "dataset": config(tmp_path), "frequencies": frequencies})
    assert [subset.get_data_info(i)["img_id"] for i in range(len(subset))] == ids
    assert subset.metainfo["classes"] == ("e", "g", "i")
    assert 1 in subset.get_cat_ids(len(subset) - 1)
    assert subset[0]["img_id"] == ids[0]


def test_subsets_that_cannot_be(tmp_path):
    write(tmp_path / "toy.json", toy())
    with pytest.raises(UserError, match="name some of r, c and f"):
        DATASETS.build({"type": "FrequencySubset", "dataset": config(tmp_path), "frequencies": "x"})
    with pytest.raises(UserError, match="has no image with a class of frequency c"):
        DATASETS.build({"type": "FrequencySubset", "dataset": config(tmp_path), "frequencies": "c"})
    document = toy()
    document["categories"][2]["frequency"] = "x"
    write(tmp_path / "toy.json", document)
    with pytest.raises(UserError, match='for its "frequency"'):
        DATASETS.build({"type": "FrequencySubset", "dataset": config(tmp_path)})


def test_frequencies_are_read_and_checked(tmp_path):
    assert read_frequencies(write(tmp_path / "toy.json", toy())) == ("f", "r", "c")
    document = toy()
    document["categories"][2]["frequency"] = "x"
    with pytest.raises(UserError, match=r'category 9 \("i"\) has \'x\' for its "frequency"'):
        read_frequencies(write(tmp_path / "toy.json", document))


@pytest.mark.parametrize(
    ("content", "words"),
    [("{", "is damaged or was cut short"), ("[]", "is no annotations file"), ('{"categories": [{}]}', "is no annot")],
)
def test_files_that_are_no_annotations(tmp_path, content, words):
    with pytest.raises(UserError, match=f"toy.json {words}"):
        read_categories(write(tmp_path / "toy.json", content))


def test_counts_of_an_annotations_file(tmp_path):
    """Those of the reproduction's own reader; a class without instances is refused."""
    document = toy()
    path = write(tmp_path / "toy.json", document)
    with pytest.raises(UserError, match=r"class_counts in .*toy.json must be a list of whole numbers of at least 1"):
        read_class_counts(path, 3)
    document["annotations"].append(document["annotations"][0] | {"id": 99, "category_id": 9})
    counts = count_annotations(write(path, document))
    assert read_class_counts(path, 3).tolist() == counts.instances.tolist() == [3, 1, 1]  # read again: it has changed
    assert read_class_counts(str(path), 3, images=True).tolist() == counts.images.tolist() == [2, 1, 1]
    with pytest.raises(UserError, match="has 3 numbers but num_classes of the box head is 4"):
        read_class_counts(path, 4)
    with pytest.raises(UserError, match="is neither a list nor annotations"):
        read_class_counts(write(path, {"images": []}), 3)


def test_validation_data_can_be_repeated(tmp_path):
    """Class "g" is in 1 of 2 annotated images: factor sqrt(2 / 1), rounded up."""
    write(tmp_path / "toy.json", toy())
    inner = config(tmp_path, filter_cfg={"filter_empty_gt": True}, test_mode=False)
    repeated = DATASETS.build({"type": "ClassBalancedDataset", "oversample_thr": 1.0, "dataset": inner})
    assert repeated.repeat_indices == [0, 1, 1]


def test_real_lvis_annotations_read_as_by_the_stock_data_set(tmp_path):
    path = original("lvis/lvis_val_100.json")
    (tmp_path / "val2017").symlink_to(path.parent / "images")
    options = {"ann_file": str(path), "data_prefix": {"img": f"{tmp_path}/"}}
    own, stock = (DATASETS.build(config(tmp_path, kind, **options)) for kind in ("LVISFormatDataset", "LVISV1Dataset"))
    assert len(own.metainfo["classes"]) == 1230
    assert [own.get_data_info(i) for i in range(100)] == [stock.get_data_info(i) for i in range(100)]
    # Boxes under a pixel are not trained on; the rule of the balanced subset is the same for both.
    labels = np.concatenate([own.get_cat_ids(i) for i in range(100)]).astype(int)
    counts = count_annotations(path).instances
    assert len(labels) <= counts.sum() and (np.bincount(labels, minlength=1230) <= counts).all()
    subset = DATASETS.build({"type": "FrequencySubset", "dataset": stock})
    ids = [subset.get_data_info(i)["img_id"] for i in range(len(subset))]
    assert ids == [i for i in json_ids(path) if i in set(images_with(read(path), "rc", path.name).tolist())]
    assert 0 < len(subset) < 100
    here = next(i for i in range(100) if Path(own.get_data_info(i)["img_path"]).exists() and own.get_cat_ids(i))
    example = own[here]
    assert len(example["gt_masks"]) and example["img"].shape[:2] == example["ori_shape"]


def json_ids(path: Path) -> list[int]:
    return [image["id"] for image in json.loads(path.read_text())["images"]]


def test_a_rebuilt_coco_lt_is_read_by_the_stock_data_set(tmp_path):
    """From real annotations: people in every image, all other classes in one image each."""
    source = original("coco_mini/instances_train.json")
    document = json.loads(source.read_text())
    ids = sorted(category["id"] for category in document["categories"])
    per_class = {k: [a for a in document["annotations"] if a["category_id"] == i] for k, i in enumerate(ids)}
    images = [sorted({a["image_id"] for a in per_class[k]})[: None if k == 0 else 1] for k in range(80)]
    instances = [sum(a["image_id"] in images[k] for a in per_class[k]) for k in range(80)]
    order = np.unique(np.concatenate(images))[::-1].copy()
    index = Index(tuple(np.array(i, np.int64) for i in images), np.array(instances), order)
    rebuild(index, source, tmp_path / "lt.json")
    options = {"ann_file": "lt.json", "data_prefix": {"img": f"{source.parent / 'train'}/"}}
    dataset = DATASETS.build(config(tmp_path, "CocoDataset", filter_cfg={"filter_empty_gt": True}, **options))
    assert isinstance(dataset, CocoDataset) and len(dataset) == len(order)
    labels = np.concatenate([dataset.get_cat_ids(i) for i in range(len(dataset))])
    assert np.bincount(labels, minlength=80).tolist() == instances
    assert count_annotations(tmp_path / "lt.json").instances.tolist() == instances
    example = dataset[0]
    assert example["img"].shape[:2] == example["ori_shape"]
    assert len(example["gt_masks"]) == len(example["gt_bboxes_labels"])
