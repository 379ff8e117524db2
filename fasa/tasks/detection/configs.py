"""From a recipe to an ordinary MMDetection config: files of configs/mmdet, and what the recipe says over them."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

from mmengine.config import Config

from fasa.augmenters.base import RoIContext, augmenter_class
from fasa.datasets.manifest import LISTS, Manifest, list_path, read_manifest
from fasa.tasks.detection.config_files import config_files
from fasa.tasks.detection.recipe import DetectionRecipe
from fasa.tasks.detection.scale import DetectionScale
from fasa.tasks.task import Job

DATASETS = {"lvis": "LVISV1Dataset", "glyphs": "LVISFormatDataset", "coco_lt": "CocoDataset"}
BY_INSTANCES = {"bags": "BalancedGroupSoftmax", "balanced_softmax": "BalancedSoftmax"}  # losses of the same arguments
METRICS = {"lvis": "FasaLVISMetric", "glyphs": "FasaLVISMetric", "coco_lt": "CocoMetric"}


class PlainConfig(Config):
    """A config whose text is not laid out: mmengine asks for it at every checkpoint, and the layout takes seconds."""

    @property
    def pretty_text(self) -> str:
        return "".join(f"{key} = {value!r}\n" for key, value in self.to_dict().items())


def build(job: Job, work_dir: Path | None = None) -> Config:
    """The whole config of a run; mmdet's own tools run it.

    It is that of one process of the scale's ``devices``. ``heldout_dataloader`` has all validation images by the
    training pipeline, for what is measured on a finished run.

    Raises:
        UserError: the data set is not prepared, or a file of configs/mmdet is missing.
    """
    recipe: DetectionRecipe = job.recipe
    manifest = read_manifest(job.data)
    config = layered(config_files(job.root, job.declared, job.scale))
    config.custom_imports = {"imports": ["fasa.mmdet"], "allow_failed_imports": False}
    config.randomness = {"seed": job.run.seed}
    config.work_dir = str(work_dir or job.work_dir / "runner")
    config.load_from = None  # the second stages load their first one's weights by themselves, strictly
    stage_one = job.needed[recipe.start_from].weights if recipe.start_from else None
    _set_model(config.model, recipe, manifest, job.data, stage_one)
    if job.first_weights:
        config.model.backbone.init_cfg = {"type": "Pretrained", "checkpoint": str(job.first_weights)}
    _set_data(config, job, manifest)
    _set_schedule(config, recipe)
    _set_hooks(config, job, manifest)
    return config


def layered(files: list[Path]) -> Config:
    """The config of several files, each laid over those before."""
    content = Config.fromfile(files[0]).to_dict()
    for path in files[1:]:
        content = lay_over(content, Config.fromfile(path).to_dict())
    return PlainConfig(content)


def lay_over(below: Any, above: Any) -> Any:
    """``above`` laid over ``below``: mappings key by key; a mapping over a list of mappings, over each of them."""
    if isinstance(above, dict) and isinstance(below, list):
        return [lay_over(entry, above) for entry in below]
    if isinstance(above, dict) and isinstance(below, dict):
        return {**below, **{key: lay_over(below.get(key), value) for key, value in above.items()}}
    return above


def heads(part: Any) -> list[Any]:
    """A cascade's heads, or the one head, as a list."""
    return part if isinstance(part, list) else [part]


def _set_model(model: Any, recipe: DetectionRecipe, manifest: Manifest, data: Path, stage_one: Path | None) -> None:
    instances, images, letters = (str(list_path(data, name)) for name in LISTS)
    for head in heads(model.roi_head.bbox_head):
        head.num_classes = manifest.classes
        _set_augmenter(head, recipe, instances)
        set_loss(head, recipe, manifest, instances, images)
    for head in heads(model.roi_head.mask_head):
        head.num_classes = manifest.classes
    cascade = recipe.detector == "cascade_mask_rcnn"
    if recipe.stage_two:
        model.update(type="StageTwoCascadeRCNN" if cascade else "StageTwoMaskRCNN", stage_one=str(stage_one))
    if recipe.calibrated:
        model.update(type="CalibratedMaskRCNN", stage_one=str(stage_one))
        model.roi_head.type = "CalibratedRoIHead"
        model.roi_head.bbox_head.update(type="CalibratedBBoxHead", instance_counts=instances)
    if recipe.nms_resampling:
        model.type = "ResampledMaskRCNN"
        model.rpn_head.update(type="ResampledRPNHead", frequencies=letters)


def _set_augmenter(head: Any, recipe: DetectionRecipe, instances: str) -> None:
    name, options = recipe.augmenter.name, recipe.augmenter.options
    head.type = "AugmentedBBoxHead"
    if name != "none":
        head.update(augmenter={"name": name, "options": options}, class_counts=instances)


def set_loss(head: Any, recipe: DetectionRecipe, manifest: Manifest, instances: str, images: str) -> None:
    """Give a box head's config the recipe's classification loss; the paths are those of lists of training counts."""
    options = recipe.loss.options
    if recipe.loss.name == "eql":
        head.loss_cls = {
            "type": "EqualizationLoss",
            "num_classes": manifest.classes,
            "image_counts": images,
            "num_images": manifest.train_images,
            "threshold": manifest.tail_threshold,
            **options,
        }
    elif recipe.loss.name in BY_INSTANCES:
        head.loss_cls = {
            "type": BY_INSTANCES[recipe.loss.name],
            "num_classes": manifest.classes,
            "instance_counts": instances,
            **options,
        }
    elif recipe.loss.name == "arcface":
        head.loss_cls = {
            "type": "ArcFaceAngular",
            "num_classes": manifest.classes,
            "image_counts": images,
            **options,
        }
        head.cls_predictor_cfg = {"type": "NormedLinear", "temperature": 20, "bias": False}


def _set_data(config: Config, job: Job, manifest: Manifest) -> None:
    recipe: DetectionRecipe = job.recipe
    scale: DetectionScale = job.scale
    images = recipe.schedule.batch_size // scale.devices  # the scale has seen that they can share it
    leaf = config.train_dataloader.dataset
    while "dataset" in leaf:
        leaf = leaf.dataset
    leaf = deepcopy(leaf)
    leaf.update(type=DATASETS[manifest.name], data_root="", pipeline=config.train_pipeline, **_files(manifest, "train"))
    heldout = {**leaf, **_files(manifest, "val")}
    config.heldout_dataloader = heldout_loader(heldout, scale.evaluate_images, scale.workers)
    if recipe.instaboost:  # of training images alone; it moves polygons, so before they become masks
        leaf.pipeline = [leaf.pipeline[0], {"type": "SafeInstaBoost"}, *leaf.pipeline[1:]]
    loader = config.train_dataloader
    workers = {"num_workers": scale.workers, "persistent_workers": False}  # seeding.py says why
    loader.update(batch_size=images, worker_init_fn={"type": "seed_worker"}, **workers)
    loader.dataset = leaf  # by assignment: a config's update merges what is there with what comes
    if recipe.calibrated:
        loader.dataset = {"type": "ClassImagePairs", "dataset": leaf}
        schedule = recipe.schedule
        loader.sampler = {"type": "BilevelSampler", "batch": schedule.batch_size, **schedule.sampler_options}
        loader.pop("batch_sampler", None)
    elif recipe.sampler == "repeat_factor":
        loader.dataset = repeated(leaf, manifest.repeat_threshold)
    config.test_dataloader.dataset.update(
        type=DATASETS[manifest.name], data_root="", pipeline=config.test_pipeline, **_files(manifest, "val")
    )
    config.test_dataloader.update(batch_size=scale.evaluate_images, **workers)
    # No validation during training sees these; fasa writes and scores detections by itself, mmdet's tools by this.
    config.val_dataloader = config.val_cfg = config.val_evaluator = None
    metric = {"type": METRICS[manifest.name], "ann_file": manifest.val.annotations, "metric": ["bbox", "segm"]}
    config.test_evaluator = metric


def in_micro_batches(config: Config, micro_batches: int) -> None:
    """Make ``config`` that of a process that does the work of so many devices: batch size and learning rate stay."""
    config.train_cfg.update(type="MicroBatchTrainLoop", micro_batches=micro_batches)
    config.custom_hooks = [{"type": "RunningStatisticsHook"}, *config.custom_hooks]  # before what validates
    loader = config.train_dataloader
    loader.batch_sampler = {
        "type": "MicroBatchSampler",
        "micro_batches": micro_batches,
        "inner": loader.get("batch_sampler"),
    }


def validation_dataset(heldout: Any, recipe: DetectionRecipe, manifest: Manifest) -> dict[str, Any]:
    """What adaptation looks at: the held-out images as the recipe's ``validation`` says."""
    leaf = deepcopy(heldout)
    if recipe.validation == "balanced":
        return {"type": "FrequencySubset", "dataset": leaf}
    return repeated(leaf, manifest.repeat_threshold) if recipe.validation == "resampled" else leaf


def repeated(dataset: Any, threshold: float) -> dict[str, Any]:
    """``dataset`` under repeat factor sampling (Gupta et al., CVPR 2019)."""
    return {"type": "ClassBalancedDataset", "oversample_thr": threshold, "dataset": dataset}


def _files(manifest: Manifest, split: str) -> dict[str, Any]:
    part = getattr(manifest, split)
    return {"ann_file": part.annotations, "data_prefix": {"img": part.images}}


def _set_schedule(config: Config, recipe: DetectionRecipe) -> None:
    schedule = recipe.schedule
    config.train_cfg = {"type": "EpochBasedTrainLoop", "max_epochs": schedule.epochs, "val_interval": schedule.epochs}
    config.param_scheduler = [
        {"type": "LinearLR", "start_factor": 0.001, "by_epoch": False, "begin": 0, "end": schedule.warmup},
        {
            "type": "MultiStepLR", "begin": 0, "end": schedule.epochs, "by_epoch": True,
            "milestones": list(schedule.milestones), "gamma": 0.1,
        },
    ]  # fmt: skip
    optimizer = {"lr": schedule.lr, "weight_decay": schedule.weight_decay}
    if schedule.optimizer == "sgd":
        config.optim_wrapper.optimizer = {"type": "SGD", "momentum": schedule.momentum, **optimizer}
    else:
        config.optim_wrapper.optimizer = {"type": "AdamW", "fused": True, **optimizer}


def _set_hooks(config: Config, job: Job, manifest: Manifest) -> None:
    recipe: DetectionRecipe = job.recipe
    hooks: list[dict[str, Any]] = [{"type": "EpochSeedHook"}]
    augmenter = augmenter_class(recipe.augmenter.name, RoIContext, f"recipe '{recipe.name}'")
    if augmenter.hooks() & {"begin_epoch", "end_epoch"}:
        hooks.append({"type": "AdaptationHook"})
        if augmenter.adapts(recipe.augmenter.options):
            hooks[-1]["dataloader"] = heldout_loader(
                validation_dataset(config.heldout_dataloader.dataset, recipe, manifest),
                config.train_dataloader.batch_size,
                job.scale.workers,
            )
    if "phase" in augmenter.hooks():
        hooks.append({"type": "AlternationHook"})
    config.custom_hooks = hooks
    config.default_hooks.pop("visualization", None)
    config.default_hooks.checkpoint = {"type": "CheckpointHook", "interval": 1, "max_keep_ckpts": 2}


def heldout_loader(dataset: dict[str, Any], batch: int, workers: int) -> dict[str, Any]:
    """mmengine's config of a loader of held-out images: every one once, in order, over all processes."""
    return {
        "batch_size": batch,
        "num_workers": workers,
        "persistent_workers": False,
        "worker_init_fn": {"type": "seed_worker"},
        "sampler": {"type": "DefaultSampler", "shuffle": False, "round_up": False},
        "dataset": dataset,
    }
