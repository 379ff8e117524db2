"""Prepare, check and read the data sets, without torch.

Classification: ``prepare_classification`` writes one file, which ``load_pack`` reads. Detection: ``prepare_detection``
writes a manifest, which ``read_manifest`` reads; ``check_detection`` lists what is wrong with official files.
"""

from fasa.datasets.classification import prepare_classification
from fasa.datasets.detection import check_detection, prepare_detection
from fasa.datasets.long_tail import LongTailDataset
from fasa.datasets.manifest import Manifest, check_files, is_whole, read_manifest
from fasa.datasets.pack import load_pack

__all__ = [
    "LongTailDataset",
    "Manifest",
    "check_detection",
    "check_files",
    "is_whole",
    "load_pack",
    "prepare_classification",
    "prepare_detection",
    "read_manifest",
]
