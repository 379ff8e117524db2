"""Prepare, verify and read the data sets; independent of torch."""

from fasa.datasets.long_tail import LongTailDataset
from fasa.datasets.pack import load_pack
from fasa.datasets.registry import DATASETS, prepare

__all__ = ["DATASETS", "LongTailDataset", "load_pack", "prepare"]
