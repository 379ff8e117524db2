"""What config files may say of classes, read from their source, beside the classes themselves."""

from __future__ import annotations

import inspect
import typing
from pathlib import Path

import pytest

from fasa.datasets.classification import ORIGINS
from fasa.datasets.glyphs import GlyphScenes
from fasa.mmdet import losses
from fasa.reporting.figure_numbers import figure_numbers
from fasa.reporting.figures import KINDS
from fasa.signatures import options
from fasa.study.artifacts import FIGURE_NUMBERS, Figure
from fasa.tasks.classification.heads import HEADS as HEAD_CLASSES
from fasa.tasks.classification.networks import BACKBONES
from fasa.tasks.classification.recipe import HEADS, ClassificationRecipe, LongTailData
from fasa.tasks.detection.pretraining_settings import Pretraining
from fasa.tasks.detection.recipe import ClassifierLoss, DetectionData, DetectionRecipe, RoIAugmentation
from fasa.tasks.detection.scale import PRETRAINING

ROOT = Path(__file__).parents[2]


def choices(model, field):
    return set(model.model_json_schema()["properties"][field]["enum"])


def test_names_are_those_of_the_code():
    assert {name: place.partition(":")[2] for name, place in HEADS.items()} == {
        name: head.__name__ for name, head in HEAD_CLASSES.items()
    }
    assert choices(ClassificationRecipe, "head") == {*HEADS}
    assert choices(ClassificationRecipe, "backbone") == {*BACKBONES}
    assert choices(LongTailData, "name") == {*ORIGINS}
    assert choices(Figure, "kind") == {*KINDS}
    files = (ROOT / "configs/mmdet/_base_").glob("*.py")
    assert DetectionRecipe.model_fields["config"].examples == sorted(path.stem for path in files)
    named = {place.partition(":")[2] for places in ClassifierLoss.known.values() for place in places}
    assert named == {*losses.__all__}


@pytest.mark.parametrize("model", [GlyphScenes, Pretraining, HEAD_CLASSES["causal"], losses.ArcFaceAngular])
def test_options_are_the_constructors_parameters(model):
    places = {
        "GlyphScenes": DetectionData.known["glyphs"],
        "Pretraining": (PRETRAINING,),
        "CausalHead": (HEADS["causal"],),
        "ArcFaceAngular": ClassifierLoss.known["arcface"],
    }
    ours = options(*places[model.__name__]).model_fields
    theirs = inspect.signature(model).parameters
    kinds = typing.get_type_hints(model.__init__)
    without_default = {"dim", "classes", "image_counts"} if not hasattr(model, "__dataclass_fields__") else set()
    assert {*ours} == {*theirs} - without_default
    for name, field in ours.items():
        assert field.annotation == kinds[name]
        assert field.is_required() == (theirs[name].default is inspect.Parameter.empty)


def test_descriptions_are_the_docstrings():
    fields = RoIAugmentation.options_of("fasa").model_fields
    assert fields["momentum"].description == "``m`` of eq 2."
    assert fields["down"].description == "``beta``, for those whose loss rose."


def test_the_numbers_of_figures_are_those_that_reporting_reads():
    trajectory = {"probabilities": [[0.1, 0.1, 0.1]] * 4, "groups": [[0, 0, 1]] * 4}
    measurements = {
        "virtual_features": [1, 1, 1],
        "class_probabilities": [0.5] * 3,
        "class_top1": [0.5] * 3,
        "weight_norms": [1.0] * 3,
        "sampling_trajectory": trajectory,
    }
    run = {"dataset": "glyphs", "class_counts": [200, 20, 2], "frequencies": list("fcr"), "measurements": measurements}

    def names(value, place):
        inner = value.items() if isinstance(value, dict) else ()
        return {name for key, each in inner for name in names(each, f"{place}.{key}")} or {place}

    assert names(figure_numbers(run), "figures") == {*FIGURE_NUMBERS}
