"""MMDetection's own metrics with one import changed: the official tools' names come from ``fasa.evaluation``."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from mmdet.evaluation.metrics import CocoMetric, coco_metric, lvis_metric
from official_lvis import lvis_api
from toys_predictions import predicted

import fasa.evaluation

EVERY = ["bbox", "segm", "proposal"]


@pytest.fixture
def swapped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """``swapped()``: from here on the modules of the metrics have the names of ``fasa.evaluation``."""
    monkeypatch.setenv("FASA_CACHE", str(tmp_path / "cache"))

    def swap() -> None:
        for name in ("LVIS", "LVISEval", "LVISResults"):
            monkeypatch.setattr(lvis_metric, name, getattr(fasa.evaluation, name))
        monkeypatch.setattr(coco_metric, "COCOeval", fasa.evaluation.COCOeval)

    return swap


def said(metric: Any, samples: list[dict[str, Any]], capsys: pytest.CaptureFixture) -> tuple[dict[str, float], str]:
    """The figures of a metric, and the lines of its figures that it prints."""
    metric.dataset_meta = {"classes": [f"class {c}" for c in (7, 3, 12, 5, 9)]}
    metric.process({}, copy.deepcopy(samples))
    capsys.readouterr()
    figures = metric.evaluate(len(samples))
    lines = [line for line in capsys.readouterr().out.splitlines() if "@[ IoU=" in line]
    return figures, "\n".join(lines)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["LVISMetric", "LVISFixedAPMetric", "CocoMetric"])
def test_mmdetections_metrics(kind, seed, tmp_path, swapped, capsys):
    annotations, samples = predicted(seed)
    path = tmp_path / "annotations.json"
    path.write_text(json.dumps(annotations))

    def made() -> Any:
        if kind == "CocoMetric":
            return CocoMetric(str(path), EVERY, classwise=True)
        if kind == "LVISMetric":
            return lvis_metric.LVISMetric(str(path), EVERY, classwise=True)
        return lvis_metric.LVISFixedAPMetric(str(path))

    with lvis_api():
        theirs, lines = said(made(), samples, capsys)
    swapped()
    ours, own_lines = said(made(), samples, capsys)
    assert list(ours) == list(theirs)
    assert repr(ours) == repr(theirs)  # some are NaN
    assert own_lines == lines and len(lines.splitlines()) == {"LVISFixedAPMetric": 13, "LVISMetric": 39}.get(kind, 36)


@pytest.mark.parametrize("kind", ["LVISMetric", "CocoMetric"])
def test_nothing_detected_is_told_as_before(kind, tmp_path, swapped):
    """Both metrics catch the ``IndexError``."""
    annotations, samples = predicted(0, images=2)
    path = tmp_path / "annotations.json"
    path.write_text(json.dumps(annotations))
    swapped()
    metric = lvis_metric.LVISMetric(str(path)) if kind == "LVISMetric" else CocoMetric(str(path))
    metric.dataset_meta = {"classes": ["class 7"]}
    metric.process({}, samples[-1:])
    assert metric.evaluate(1) == {}
