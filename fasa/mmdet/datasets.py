"""Data sets for MMDetection: any file in LVIS's format, and the balanced subset of a validation set.

LVIS v1 itself is MMDetection's ``LVISV1Dataset``, COCO-LT its ``CocoDataset`` with the rebuilt file, and repeat factor
sampling mmengine's ``ClassBalancedDataset``; for the validation loss each is built with ``test_mode=False``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmdet.datasets import LVISV1Dataset
from mmdet.registry import DATASETS
from mmengine.dataset import BaseDataset

from fasa.errors import UserError
from fasa.mmdet.class_counts import read_categories, read_frequencies


@DATASETS.register_module()
class LVISFormatDataset(LVISV1Dataset):
    """Images and annotations in LVIS v1's format with classes of their own.

    ``metainfo`` has the file's "classes" and "frequencies" (letters r, c, f; "" without), in the order of the labels.

    Raises:
        UserError: the file cannot be read.
    """

    METAINFO = {"classes": (), "palette": None}

    def __init__(self, *args: Any, lazy_init: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, lazy_init=True, **kwargs)
        # Before the annotations: wrappers copy the metainfo of a lazy data set.
        categories = read_categories(Path(self.ann_file))
        self._metainfo["classes"] = tuple(category["name"] for category in categories)
        self._metainfo["frequencies"] = tuple(category.get("frequency", "") for category in categories)
        if not lazy_init:
            self.full_init()


@DATASETS.register_module()
class FrequencySubset:
    """The images of a data set that hold an annotation of a class with one of the ``frequencies``.

    With the default this is the paper's balanced subset of the validation images (Table 3: 3,286 of LVIS v1's). An
    annotation counts if the data set hands it to training, so boxes under a pixel do not.

    Args:
        dataset: the data set or its config; LVIS-format, since others have no frequencies.
        frequencies: letters of r (rare), c (common) and f (frequent).
        lazy_init: whether to leave the annotations unread until ``full_init``.

    Raises:
        UserError: a class of the annotations file has no frequency.
    """

    def __init__(
        self, dataset: BaseDataset | Mapping[str, Any], frequencies: Sequence[str] = ("r", "c"), lazy_init: bool = False
    ) -> None:
        self.dataset = DATASETS.build(dataset) if isinstance(dataset, Mapping) else dataset
        self.frequencies = frozenset(frequencies)
        if not self.frequencies or not self.frequencies <= {"r", "c", "f"}:
            raise UserError(f"FrequencySubset has the frequencies {list(frequencies)}: name some of r, c and f.")
        self.indices: list[int] = []
        self._fully_initialized = False
        if not lazy_init:
            self.full_init()

    @property
    def metainfo(self) -> dict[str, Any]:
        """That of the whole data set."""
        return self.dataset.metainfo

    def full_init(self) -> None:
        """Read the annotations and choose the images."""
        if self._fully_initialized:
            return
        self.dataset.full_init()
        letters = read_frequencies(Path(self.dataset.ann_file))
        self.indices = [
            i
            for i in range(len(self.dataset))
            if any(letters[label] in self.frequencies for label in self.dataset.get_cat_ids(i))
        ]
        if not self.indices:
            raise UserError(
                f"{self.dataset.ann_file} has no image with a class of frequency "
                f"{' or '.join(sorted(self.frequencies))}: choose other frequencies or another file."
            )
        self._fully_initialized = True

    def __len__(self) -> int:
        self.full_init()
        return len(self.indices)

    def __getitem__(self, index: int) -> Any:
        self.full_init()
        return self.dataset[self.indices[index]]

    def get_data_info(self, index: int) -> dict[str, Any]:
        """Path, size and annotations of an image."""
        self.full_init()
        return self.dataset.get_data_info(self.indices[index])

    def get_cat_ids(self, index: int) -> list[int]:
        """Labels of the annotations of an image."""
        self.full_init()
        return self.dataset.get_cat_ids(self.indices[index])
