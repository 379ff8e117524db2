"""Shared by the tests: a tiny long-tailed data set and a study root of its own with the real configs/ in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from toys_study import TINY_CLASSIFICATION, TINY_SCALE, tiny_dataset, write_root

from fasa.datasets import LongTailDataset
from fasa.datasets.pack import save_pack
from fasa.study import Run, Study, load_study
from fasa.tasks.classification.training import Training


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small tensors gain nothing from threads, and the suite may share its machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def dataset() -> LongTailDataset:
    """Six classes of 8 x 8 images, each a colour pattern under noise; 4 held-out (class 0: none), 5 test images."""
    return tiny_dataset()


@pytest.fixture(scope="session")
def cifar_counts() -> torch.Tensor:
    """Training images of each class of CIFAR-100-LT, imbalance ratio 100."""
    return torch.tensor([int(500 * 0.01 ** (c / 99)) for c in range(100)])


@pytest.fixture
def study_root(tmp_path: Path) -> Path:
    """A folder with a copy of configs/ and the scale ``tiny``."""
    return write_root(tmp_path)


@pytest.fixture
def make_study(study_root: Path) -> Callable[..., Study]:
    """``make_study(recipes, …)``: the study at scale ``tiny`` with further recipes and a changed part for classifiers.

    ``detection`` is the scale's part for detectors.
    """

    def make(recipes: dict[str, Any] | None = None, detection: dict[str, Any] | None = None, **changes: Any) -> Study:
        if recipes:
            (study_root / "configs/recipes/of_this_test.yaml").write_text(yaml.safe_dump(recipes))
        scale = {**TINY_SCALE, "classification": {**TINY_CLASSIFICATION, **changes}}
        scale |= {"detection": detection} if detection else {}
        (study_root / "configs/scales/tiny.yaml").write_text(yaml.safe_dump(scale))
        return load_study(study_root, "tiny")

    return make


@pytest.fixture
def study(make_study: Callable[..., Study]) -> Study:
    """The study of configs/ at scale ``tiny``."""
    return make_study()


@pytest.fixture
def packed(study: Study, dataset: LongTailDataset) -> Study:
    """:func:`study` with its data prepared."""
    save_pack(study.data_path("ce"), dataset)
    return study


@pytest.fixture
def build(dataset: LongTailDataset) -> Callable[..., Training]:
    """``build(study, recipe, seed)``: the training of a run on the tiny data set, needed runs trained first."""

    def make(study: Study, name: str, seed: int = 0) -> Training:
        for needed in study.recipe(name).needs():
            if not (study.work_dir(needed, seed) / "model.pt").exists():
                _exhaust(make(study, needed, seed))
        return Training(study.job(Run(name, seed)), dataset, torch.device("cpu"))

    return make


@pytest.fixture
def train(build: Callable[..., Training]) -> Callable[..., Training]:
    """``train(study, recipe, seed)``: as ``build``, and trained to the end."""
    return lambda study, name, seed=0: _exhaust(build(study, name, seed))


def _exhaust(training: Training) -> Training:
    for _ in training.run():
        pass
    return training
