"""``FasaLVISMetric`` beside MMDetection's own metrics of LVIS, in one process and in two."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from mmdet.evaluation.metrics.lvis_metric import LVISFixedAPMetric, LVISMetric
from mmdet.registry import METRICS
from mmdet.utils import register_all_modules
from mmengine.config import Config
from official_lvis import lvis_api
from process_toys import by_ranks
from toys_predictions import predicted

import fasa.mmdet  # noqa: F401
from fasa.errors import UserError
from fasa.evaluation import average_precision
from fasa.mmdet.lvis_metric import FIGURES, FasaLVISMetric

BOTH = ["bbox", "segm"]
register_all_modules()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASA_CACHE", str(tmp_path / "cache"))


def written(folder: Path, annotations: dict[str, Any]) -> str:
    path = folder / "annotations.json"
    path.write_text(json.dumps(annotations))
    return str(path)


def figures(metric: Any, samples: list[dict[str, Any]]) -> dict[str, float]:
    """What the metric says of data samples, three a batch."""
    samples = copy.deepcopy(samples)
    for begin in range(0, len(samples), 3):
        metric.process({}, samples[begin : begin + 3])
    return metric.evaluate(len(samples))


@pytest.mark.parametrize("seed", range(3))
def test_the_figures_of_lvis_metric(seed, tmp_path):
    """Its keys and order; its values before it rounds them, from the results that it writes, to the last bit."""
    annotations, samples = predicted(seed)
    path = written(tmp_path, annotations)
    ours = figures(FasaLVISMetric(path, BOTH), samples)
    with lvis_api() as lvis:
        theirs = figures(LVISMetric(path, BOTH, outfile_prefix=str(tmp_path / "results")), samples)
        exact = {}
        for iou_type in BOTH:
            evaluation = lvis.LVISEval(path, str(tmp_path / f"results.{iou_type}.json"), iou_type)
            evaluation.run()
            exact |= {f"lvis/{iou_type}_{name}": float(evaluation.results[name]) for name in FIGURES}
    assert list(ours) == list(theirs)
    assert ours == exact
    assert {name: float(f"{figure:.3f}") for name, figure in ours.items()} == theirs
    assert 0.05 < ours["lvis/segm_AP"] < 0.95 and ours["lvis/segm_APs"] != ours["lvis/bbox_APs"]


def test_areas_of_masks(tmp_path):
    annotations, samples = predicted(1)
    path = written(tmp_path, annotations)
    ours = figures(FasaLVISMetric(path, "segm", areas="mask"), samples)
    with lvis_api() as lvis:
        figures(LVISMetric(path, "segm", outfile_prefix=str(tmp_path / "results")), samples)
        entries = json.loads((tmp_path / "results.segm.json").read_text())
        for entry in entries:
            del entry["bbox"]
        evaluation = lvis.LVISEval(path, entries)
        evaluation.run()
    assert ours == {f"lvis/segm_{name}": float(evaluation.results[name]) for name in FIGURES}


def test_fixed_and_pool(tmp_path):
    """AP-Fixed of boxes as MMDetection's metric of it; the rest as the evaluator, whose parity is tested on its own."""
    annotations, samples = predicted(2, grid=0.25)
    path = written(tmp_path, annotations)
    ours = figures(FasaLVISMetric(path, BOTH, ["standard", "fixed", "pool"], prefix="val"), samples)
    with lvis_api():
        fixed = figures(LVISFixedAPMetric(path), samples)
        figures(LVISMetric(path, BOTH, outfile_prefix=str(tmp_path / "results")), samples)
    assert {f"val/bbox_{name}_fixed": fixed[f"lvis_fixed_ap/{name}"] for name in FIGURES}.items() <= ours.items()
    expected = [f"val/{iou_type}_{name}{end}" for iou_type in BOTH for end in ("", "_fixed") for name in FIGURES]
    pools = [f"val/{iou_type}_{name}_pool" for iou_type in BOTH for name in ("AP", "APr", "APc", "APf")]
    assert sorted(ours) == sorted(expected + pools)
    for protocol in ("fixed", "pool"):
        for iou_type in BOTH:
            summary = average_precision(path, tmp_path / f"results.{iou_type}.json", iou_type, protocol)
            for name in ("AP", "APr", "APc", "APf"):
                assert ours[f"val/{iou_type}_{name}_{protocol}"] == summary[name]


def test_other_scores_for_masks_and_masks_as_rle(tmp_path):
    annotations, samples = predicted(3)
    path = written(tmp_path, annotations)
    for number, sample in enumerate(samples):
        found = sample["pred_instances"]
        found["mask_scores"] = torch.rand(len(found["scores"]), generator=torch.Generator().manual_seed(number))
    ours = figures(FasaLVISMetric(path, BOTH), samples)
    with lvis_api():
        theirs = figures(LVISMetric(path, BOTH), samples)
    assert {name: float(f"{figure:.3f}") for name, figure in ours.items()} == theirs
    metric = LVISMetric(path, BOTH)
    metric.process({}, copy.deepcopy(samples))
    for sample, (_, encoded) in zip(samples, metric.results, strict=True):
        sample["pred_instances"]["masks"] = encoded["masks"]
    assert figures(FasaLVISMetric(path, BOTH), samples) == ours


def test_nothing_detected(tmp_path):
    annotations, samples = predicted(0, images=3)
    path = written(tmp_path, annotations)
    ours = figures(FasaLVISMetric(path, BOTH), [samples[-1]])
    assert ours["lvis/bbox_AP"] == ours["lvis/segm_AP"] == 0.0


def of_one_rank(rank: int, folder: Path) -> dict[str, float]:
    """Every other image in each of two processes, as mmengine's sampler shares them; it hands out the first again."""
    _, samples = predicted(4)
    metric = FasaLVISMetric(str(folder / "annotations.json"), BOTH, ["standard", "fixed"])
    own = [*samples, samples[0]][rank::2]
    metric.process({}, own)
    return metric.evaluate(len(samples))


@pytest.mark.slow
def test_two_processes_gather_their_images(tmp_path):
    annotations, samples = predicted(4)
    path = written(tmp_path, annotations)
    whole = figures(FasaLVISMetric(path, BOTH, ["standard", "fixed"]), samples)
    assert by_ranks(of_one_rank, tmp_path) == [whole, whole]


def test_a_stock_config_with_one_line(tmp_path, monkeypatch):
    (tmp_path / "data/lvis_v1/annotations").mkdir(parents=True)
    annotations, samples = predicted(5)
    (tmp_path / "data/lvis_v1/annotations/lvis_v1_val.json").write_text(json.dumps(annotations))
    (tmp_path / "own.py").write_text(
        '_base_ = "mmdet::_base_/datasets/lvis_v1_instance.py"\nval_evaluator = dict(type="FasaLVISMetric")\n'
    )
    monkeypatch.chdir(tmp_path)
    metric = METRICS.build(Config.fromfile("own.py").val_evaluator)
    assert isinstance(metric, FasaLVISMetric)
    assert list(figures(metric, samples)) == [f"lvis/{iou_type}_{name}" for iou_type in BOTH for name in FIGURES]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"metric": "proposal"}, r"has metric \['proposal'\]: choose from segm, bbox"),
        ({"metric": []}, r"has metric \[\]"),
        ({"areas": "boxes"}, "choose from mask, box"),
        ({"protocols": ["fast"]}, "there is no protocol 'fast'"),
        ({"ann_file": "absent.json"}, "absent.json does not exist"),
    ],
)
def test_options_that_are_refused(options, words, tmp_path):
    path = written(tmp_path, predicted(0, images=2)[0])
    with pytest.raises(UserError, match=words):
        FasaLVISMetric(**({"ann_file": path} | options))


def test_predictions_that_are_refused(tmp_path):
    annotations, samples = predicted(0, images=2)
    metric = FasaLVISMetric(written(tmp_path, annotations), BOTH)
    with pytest.raises(UserError, match=r"image 4 is not in .*annotations.json"):
        metric.process({}, [samples[0] | {"img_id": 4}])
    found = samples[0]["pred_instances"]
    without = {key: found[key] for key in found if key != "masks"}
    with pytest.raises(UserError, match="image 22 has no masks, which metric 'segm' scores"):
        metric.process({}, [samples[0] | {"pred_instances": without}])
    found["labels"][3] = 5
    with pytest.raises(UserError, match=r"image 22 has a detection of label 5, but .* has 5 classes"):
        metric.process({}, samples)
