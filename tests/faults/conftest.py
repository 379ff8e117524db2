"""Undisturbed runs of a classifier and of a detector, both with FASA, to compare disturbed ones with."""

from __future__ import annotations

import pytest
from attempts import distinct_events, events
from undisturbed_runs import Undisturbed, undisturbed


@pytest.fixture(scope="session")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """LDAM-DRW with FASA."""
    return undisturbed(tmp_path_factory.mktemp("classifier"), "ldam_fasa", events)


@pytest.fixture(scope="session")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """Mask R-CNN with repeat factor sampling and FASA; it takes longer, so the kills are those that can tell apart."""
    return undisturbed(tmp_path_factory.mktemp("detector"), "rfs_fasa", distinct_events)
