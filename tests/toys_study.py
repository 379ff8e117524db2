"""A study of a few steps: a tiny long-tailed data set, and a root with the real configs/ and a scale to train it at."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import yaml

from fasa import sealed
from fasa.datasets import LongTailDataset
from fasa.study import Study

CONFIGS = Path(__file__).parents[1] / "configs"
COUNTS = (30, 18, 10, 6, 4, 3)  # training images of each class of the tiny data set
SIDE = 8

# Small enough for a second, long enough that every phase (drops, DRW, M2m, Chu's second epoch) is met.
TINY_CLASSIFICATION = {
    "seeds": [0, 1],
    "epochs": 0.025,
    "schedule": {"batch_size": 16},
    "epoch_length": 3,
    "backbones": {
        "resnet32": {"blocks": [1, 1, 1], "width": 4},
        "resnet32_two_branch": {"blocks": [1, 1, 1], "width": 4},
        "resnet34": {"blocks": [1, 1], "width": 8},
    },
    "checkpoint_seconds": 0,
}
TINY_SCALE = {"description": "A few steps of everything, for one test.", "classification": TINY_CLASSIFICATION}


def tiny_dataset() -> LongTailDataset:
    """Six classes of 8 x 8 images, each a colour pattern under noise; 4 held-out (class 0: none), 5 test images."""
    rng = np.random.default_rng(0)
    patterns = rng.integers(40, 216, (len(COUNTS), 3, SIDE, SIDE))

    def draw(counts: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        labels = np.repeat(np.arange(len(counts)), counts)
        noise = rng.integers(-40, 40, (len(labels), 3, SIDE, SIDE))
        return (patterns[labels] + noise).astype(np.uint8), labels

    train, heldout, test = draw(COUNTS), draw((0, 4, 4, 4, 4, 4)), draw((5,) * 6)
    return LongTailDataset(
        name="tiny",
        class_names=tuple("abcdef"),
        train_images=train[0],
        train_labels=train[1],
        heldout_images=heldout[0],
        heldout_labels=heldout[1],
        test_images=test[0],
        test_labels=test[1],
        mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25),
        flip=True,
        pad=1,
    )


def write_root(folder: Path) -> Path:
    """Put a copy of configs/ with the scale ``tiny`` into ``folder``."""
    shutil.copytree(CONFIGS, folder / "configs")
    (folder / "configs/scales/tiny.yaml").write_text(yaml.safe_dump(TINY_SCALE))
    return folder


def leave(study: Study, recipe: str, seed: int, name: str, content: dict, **of: object) -> Path:
    """A JSON file of a run as the program leaves it, where it leaves it; ``of`` changes what it says that it is."""
    kind = Path(name).stem
    results = kind in ("metrics", "provenance", "examples")
    folder = study.metrics_path(recipe, seed).parent if results else study.work_dir(recipe, seed)
    sealed.write(folder / name, study.identity(recipe, seed, kind) | of, content)
    return folder / name


def leave_metrics(study: Study, recipe: str, seed: int, **content: object) -> Path:
    """``metrics.json`` of a run that measured nothing but ``content``."""
    whole = {"recipe": recipe, "scale": study.scale.name, "seed": seed, "fingerprint": study.fingerprint(recipe)}
    whole |= {"dataset": "digits", "code_version": "0", "device": "cpu", "config": {}, "packages": {}}
    whole |= {"class_names": [], "class_counts": [], "measurements": {}}
    return leave(study, recipe, seed, "metrics.json", whole | content)
