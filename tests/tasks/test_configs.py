"""Recipes as MMDetection configs: each builds at the paper's size, with its number of parameters, rates, schedule."""

from __future__ import annotations

import contextlib
import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from mmdet.registry import METRICS, MODELS
from mmdet.utils import register_all_modules
from mmengine.config import Config

from fasa.cli import main
from fasa.datasets.glyphs.catalogue import glyphs
from fasa.datasets.manifest import Manifest, Split, read_manifest, write_manifest
from fasa.errors import UserError
from fasa.study import Run, Study, load_study
from fasa.tasks.detection.configs import build, heads, in_micro_batches, lay_over
from fasa.tasks.detection.pretraining_settings import Pretraining
from fasa.tasks.detection.training import dump_config

ROOT = Path(__file__).parents[2]
RECIPES = {name: recipe for name, recipe in load_study(ROOT, "paper").resolved.items() if recipe.kind == "detector"}
DISTINCT = list(  # models: schedules, samplers and augmenters' options make no other one
    {
        (
            r.data.name,
            r.detector,
            r.backbone,
            r.loss.name,
            r.augmenter.name,
            r.stage_two,
            r.calibrated,
            r.nms_resampling,
        ): n
        for n, r in RECIPES.items()
    }.values()
)
MILLIONS = {  # of parameters: MMDetection's own, with 1,203 classes, plus what a recipe adds
    "mask_rcnn": 50.44, "bags": 50.45, "r101_24": 69.43, "rfs_x101_24": 113.67, "cascade_rfs_r101_24": 100.64,
    "coco_lt": 44.05, "coco_lt_simcal": 58.03, "eql_24": 50.44, "mask_rcnn_balanced_softmax": 50.44,
}  # fmt: skip


def _model(recipe) -> tuple:
    """What decides the number of a detector's own parameters."""
    return recipe.data.name, recipe.detector, recipe.backbone, recipe.loss.name, recipe.calibrated


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Study:
    """The paper's scale, with manifests of data sets of LVIS's and COCO-LT's numbers of classes."""
    root = tmp_path_factory.mktemp("paper")
    (root / "configs").symlink_to(ROOT / "configs")
    for name in ("train.json", "val.json"):
        (root / name).touch()
    study = load_study(root, "paper")
    for name, classes in (("lvis", 1203), ("coco_lt", 80)):
        recipe = next(r for r in RECIPES if study.recipe(r).data.name == name)
        images = np.maximum(1, 2000 * np.exp(-np.arange(classes) / classes * 7.6)).astype(int)
        letters = np.select([images <= 10, images <= 100], ["r", "c"], "f")
        manifest = Manifest(
            name=name,
            train=Split("train.json", "images/"),
            val=Split("val.json", "images/"),
            category_names=tuple(f"class {k}" for k in range(classes)),
            frequencies=tuple(letters.tolist()),
            instance_counts=tuple((images * 2).tolist()),
            image_counts=tuple(images.tolist()),
            train_images=99_388,
            repeat_threshold=1e-3,
            tail_threshold=1.1e-3,
        )
        with contextlib.chdir(root):
            write_manifest(manifest, study.data_path(recipe))
        assert read_manifest(study.data_path(recipe)) == manifest
    register_all_modules()
    return study


@pytest.mark.slow
@pytest.mark.parametrize("name", DISTINCT)
def test_every_model_builds(study, name):
    config = build(study.job(Run(name, 3)))
    assert Config.fromstring(config.pretty_text, ".py").to_dict() == config.to_dict()  # what mmdet's tools read
    detector = MODELS.build(config.model)
    recipe = study.recipe(name)
    same = [m for m in MILLIONS if _model(RECIPES[m]) == _model(recipe)]
    assert same or recipe.augmenter.name in ("smote", "yin") or recipe.loss.name == "arcface"
    for known in same:
        own = {n: p for n, p in detector.named_parameters() if "augmenter" not in n}
        assert sum(p.numel() for p in own.values()) / 1e6 == pytest.approx(MILLIONS[known], abs=0.006)
    assert (recipe.augmenter.name != "none") == any("augmenter" in n for n, _ in detector.named_modules())


@pytest.mark.parametrize("name", [r for r in RECIPES if "coco_lt" not in r])
def test_schedules_of_lvis(study, name):
    config = build(study.job(Run(name, 0)))
    optimizer, (warmup, steps) = config.optim_wrapper.optimizer, config.param_scheduler
    assert (optimizer.type, optimizer.lr, optimizer.momentum, optimizer.weight_decay) == ("SGD", 0.02, 0.9, 1e-4)
    assert (warmup.end, warmup.start_factor) == (500, 0.001)
    long = "_24" in name
    assert steps.milestones == ([16, 22] if long else [8, 11])
    assert config.train_cfg.max_epochs == (24 if long else 12)
    assert config.train_dataloader.batch_size * study.scale.detection.devices == 16
    assert config.model.test_cfg.rcnn.score_thr == 1e-4 and config.model.test_cfg.rcnn.max_per_img == 300
    scales = [t for t in config.train_dataloader.dataset.get("dataset", config.train_dataloader.dataset)["pipeline"]]
    assert {640, 800} <= {side for t in scales if t["type"] == "RandomChoiceResize" for _, side in t["scales"]}


def test_coco_lt_is_class_agnostic_at_one_scale(study):
    config = build(study.job(Run("coco_lt", 0)))
    assert config.model.roi_head.bbox_head.reg_class_agnostic and config.model.roi_head.mask_head.class_agnostic
    assert [t["scale"] for t in config.train_dataloader.dataset.pipeline if t["type"] == "Resize"] == [(1333, 800)]
    assert config.optim_wrapper.clip_grad.max_norm == 35


@pytest.mark.parametrize(
    ("name", "dataset", "heldout"),
    [
        ("mask_rcnn", "LVISV1Dataset", None),
        ("rfs", "ClassBalancedDataset", None),
        ("rfs_fa", "ClassBalancedDataset", None),  # static: nothing to look at
        ("rfs_fasa", "ClassBalancedDataset", "ClassBalancedDataset"),
        ("rfs_fasa_original", "ClassBalancedDataset", "LVISV1Dataset"),
        ("rfs_fasa_balanced", "ClassBalancedDataset", "FrequencySubset"),
        ("coco_lt_simcal", "ClassImagePairs", None),
    ],
)
def test_what_is_trained_on_and_what_is_looked_at(study, name, dataset, heldout):
    config = build(study.job(Run(name, 0)))
    assert config.train_dataloader.dataset.type == dataset
    hooks = {hook.type: hook for hook in config.custom_hooks}
    loader = hooks.get("AdaptationHook", {}).get("dataloader")
    assert (loader and loader.dataset.type) == heldout
    if heldout:
        leaf = loader.dataset.get("dataset", loader.dataset)
        assert leaf["ann_file"] == "val.json" and not leaf.get("test_mode", False)


def test_instaboost_is_for_training_images_alone(study, monkeypatch):
    config = build(study.job(Run("rfs_instaboost", 0)))
    kinds = [transform["type"] for transform in config.train_dataloader.dataset.dataset["pipeline"]]
    assert kinds[:3] == ["LoadImageFromFile", "SafeInstaBoost", "LoadAnnotations"]
    plain = build(study.job(Run("rfs", 0)))
    assert config.heldout_dataloader == plain.heldout_dataloader and config.test_dataloader == plain.test_dataloader
    augmented = study.recipes["rfs_instaboost"].model_copy(update={"augmenter": study.recipes["rfs_fasa"].augmenter})
    both = dataclasses.replace(study, recipes={**study.recipes, "rfs_instaboost": augmented})
    hooks = [
        {hook.type: hook for hook in build(both.job(Run(name, 0))).custom_hooks}
        for name in ("rfs_instaboost", "rfs_fasa")
    ]
    assert hooks[0]["AdaptationHook"] == hooks[1]["AdaptationHook"]


@pytest.mark.parametrize(("name", "metric"), [("rfs", "FasaLVISMetric"), ("coco_lt", "CocoMetric")])
def test_mmdets_tools_have_a_metric_and_the_file_to_score(study, name, metric):
    config = build(study.job(Run(name, 0)))
    assert config.test_evaluator == {"type": metric, "ann_file": "val.json", "metric": ["bbox", "segm"]}
    assert config.test_evaluator.type in METRICS and config.val_evaluator is None
    assert config.heldout_dataloader.dataset.ann_file == "val.json"
    assert not config.heldout_dataloader.sampler.shuffle


def test_devices_must_be_able_to_share_the_batch(study):
    three = study.scale.model_copy(update={"detection": study.scale.detection.model_copy(update={"devices": 3})})
    with pytest.raises(UserError, match="has a batch of 16, which its 3 devices cannot share"):
        build(dataclasses.replace(study, scale=three).job(Run("rfs", 0)))


@pytest.mark.parametrize(("micro_batches", "inner"), [(1, True), (8, True), (4, False)])
def test_fewer_devices_keep_batch_and_rate(study, micro_batches, inner):
    name = "rfs_fasa" if inner else "coco_lt_simcal"
    config, whole = build(study.job(Run(name, 0))), build(study.job(Run(name, 0)))
    in_micro_batches(config, micro_batches)
    sampler = config.train_dataloader.batch_sampler
    assert (sampler.type, sampler.micro_batches) == ("MicroBatchSampler", micro_batches)
    assert (sampler.inner or {}).get("type") == ("AspectRatioBatchSampler" if inner else None)
    assert config.train_dataloader.batch_size == whole.train_dataloader.batch_size == 2  # images of a micro-batch
    assert config.optim_wrapper == whole.optim_wrapper and config.param_scheduler == whole.param_scheduler
    assert config.train_cfg.max_epochs == whole.train_cfg.max_epochs
    kinds = [hook.type for hook in config.custom_hooks]
    assert kinds == ["RunningStatisticsHook", *[hook.type for hook in whole.custom_hooks]]


RUNNABLE = {
    "mask_rcnn": "mask-rcnn_r50_fpn_lvis",
    "rfs": "mask-rcnn_r50_fpn_rfs_lvis",
    "rfs_fasa": "mask-rcnn_r50_fpn_rfs-fasa_lvis",
    "rfs_24_fasa": "mask-rcnn_r50_fpn_rfs-fasa_2x_lvis",
    "rfs_r101_24_fasa": "mask-rcnn_r101_fpn_rfs-fasa_2x_lvis",
    "rfs_x101_24_fasa": "mask-rcnn_x101-32x8d_fpn_rfs-fasa_2x_lvis",
    "cascade_rfs_r101_24_fasa": "cascade-mask-rcnn_r101_fpn_rfs-fasa_2x_lvis",
    "coco_lt": "mask-rcnn_r50_fpn_coco-lt",
    "coco_lt_fasa": "mask-rcnn_r50_fpn_fasa_coco-lt",
}
# Where files lie, how many processes load images, and which package's names are meant.
PLACES = {"ann_file", "data_prefix", "data_root", "class_counts", "checkpoint", "num_workers", "_scope_"}


def said(config: Config) -> dict:
    """What a config says of model, hooks, schedule and training images, but for ``PLACES``."""

    def without_places(part):
        if isinstance(part, dict):
            return {key: without_places(value) for key, value in part.items() if key not in PLACES}
        return [without_places(entry) for entry in part] if isinstance(part, list) else part

    found = without_places(config.to_dict())
    for head in heads(found["model"]["roi_head"]["bbox_head"]):
        if "augmenter" not in head:
            head["type"] = "AugmentedBBoxHead"  # which is MMDetection's head without one
    names = ("model", "custom_imports", "custom_hooks", "param_scheduler", "optim_wrapper", "train_dataloader")
    test = found["test_dataloader"]["dataset"]["pipeline"]
    return {name: found[name] for name in names} | {"epochs": found["train_cfg"]["max_epochs"], "test": test}


def test_every_runnable_config_is_a_recipe():
    assert sorted(RUNNABLE.values()) == sorted(path.stem for path in (ROOT / "configs/mmdet").glob("*.py"))


@pytest.mark.slow
@pytest.mark.parametrize(("recipe", "name"), RUNNABLE.items())
def test_a_runnable_config_says_what_its_recipe_does(study, recipe, name):
    dumped = Config.fromstring(dump_config(study.job(Run(recipe, 0))), ".py")
    by_hand = said(Config.fromfile(ROOT / f"configs/mmdet/{name}.py"))
    for part, content in said(dumped).items():
        assert content == by_hand[part], part


@pytest.mark.slow
@pytest.mark.parametrize("name", ["rfs_fasa", "cascade_rfs_r101_24_fasa", "rfs_x101_24", "coco_lt_simcal"])
def test_the_proxy_builds(study, name):
    proxy = load_study(study.root, "proxy")
    data = proxy.recipe(name).data
    paper = read_manifest(study.data_path(name))
    assert paper.classes == data.options["classes"]  # as many as the paper's data set has
    with contextlib.chdir(study.root):
        write_manifest(dataclasses.replace(paper, name="glyphs"), proxy.data_path(name))
    config = build(proxy.job(Run(name, 0)))
    assert config.model.backbone.init_cfg.checkpoint == str(proxy.first_weights(name))
    assert "RandomFlip" not in {transform["type"] for transform in config.train_pipeline}
    assert config.train_dataloader.batch_size == 16 and config.optim_wrapper.optimizer.type == "SGD"
    detector = MODELS.build(config.model)
    same = [m for m in MILLIONS if _model(RECIPES[m]) == _model(study.recipe(name))]
    for known in same:  # the paper's networks, whole
        own = sum(p.numel() for n, p in detector.named_parameters() if "augmenter" not in n)
        assert own / 1e6 == pytest.approx(MILLIONS[known], abs=0.006)
    spec = Pretraining(**proxy.scale.detection.pretraining)
    assert spec.first_class == proxy.recipe("rfs").data.options["classes"]  # no glyph that a scene shows
    assert len(glyphs(spec.first_class, spec.classes)) == 362


def test_x101_takes_bgr(study):
    preprocessor = build(study.job(Run("rfs_x101_24", 0))).model.data_preprocessor
    assert not preprocessor.bgr_to_rgb and preprocessor.mean == [103.530, 116.280, 123.675]


def test_a_cascade_has_three_stages_with_plain_classifiers(study):
    heads = build(study.job(Run("cascade_rfs_r101_24_fasa", 0))).model.roi_head.bbox_head
    assert [head.type for head in heads] == ["AugmentedBBoxHead"] * 3
    assert {head.loss_cls.type for head in heads} == {"CrossEntropyLoss"} and all("augmenter" in head for head in heads)
    assert [head.bbox_coder.target_stds[0] for head in heads] == [0.1, 0.05, 0.033]


def test_a_mapping_is_laid_over_each_entry_of_a_list():
    below = {"heads": [{"a": 1, "b": 1}, {"a": 2}], "c": 3}
    assert lay_over(below, {"heads": {"a": 9}, "d": 4}) == {"heads": [{"a": 9, "b": 1}, {"a": 9}], "c": 3, "d": 4}
    assert below["heads"][0]["a"] == 1


def test_data_comes_first():
    with pytest.raises(UserError, match="fasa data"):
        build(load_study(ROOT, "paper").job(Run("mask_rcnn", 0)))


def test_a_scale_without_detection_says_so(study):
    without = study.scale.model_copy(update={"detection": None})
    with pytest.raises(UserError, match="has no detection"):
        Study(study.root, without, study.recipes, {}, {}).recipe("mask_rcnn")


@pytest.mark.slow
def test_the_dumped_config_is_what_mmdet_trains(study, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(study.root)
    assert main(["train", "mask_rcnn", "--seed", "1", "--scale", "paper", "--dump-config"]) == 0
    (tmp_path / "dumped.py").write_text(capsys.readouterr().out)
    code = (
        "import sys; from mmengine.config import Config; from mmdet.registry import MODELS; "
        "from mmdet.utils import register_all_modules; register_all_modules(); "
        "c = Config.fromfile(sys.argv[1]); print(type(MODELS.build(c.model).roi_head.bbox_head).__name__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "dumped.py")], capture_output=True, text=True, cwd=study.root
    )
    assert done.stdout.split()[-1:] == ["AugmentedBBoxHead"], done.stderr
