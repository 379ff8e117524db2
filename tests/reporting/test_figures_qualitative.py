"""The supplement's figure 2 from invented examples: what is found, what is not, and files that are not there."""

from __future__ import annotations

import base64
import io

import pytest
from detector_runs import DetectorStudy, detector_metrics, figure, write_examples
from PIL import Image

from fasa import sealed
from fasa.errors import UserError
from fasa.reporting import figures, render_figure

SERIES = (("without", "plain", ""), ("with", "plain_fasa", ""))
CLASSES = ["koala", "date_(fruit)"]


@pytest.fixture
def study(tmp_path):
    runs = {(recipe, seed): detector_metrics(recipe, seed) for recipe in ("plain", "plain_fasa") for seed in (0, 1)}
    made = DetectorStudy(tmp_path, runs, figures={"a_qualitative": figure("qualitative", *SERIES)})
    write_examples(made, "plain", 0, CLASSES, [[], [("crouton", 0.41), ("date_(fruit)", 0.31)]])
    write_examples(made, "plain_fasa", 0, CLASSES, [[("koala", 0.97)], [("date_(fruit)", 0.8)]])
    return made


def draw(study):
    return figures.draw(study.figures["a_qualitative"], study)


def texts(axes):
    return [text.get_text() for text in axes.texts]


def note(canvas):
    return " ".join(canvas._supxlabel.get_text().split())


def test_a_row_a_class_and_a_column_a_series(study):
    canvas = draw(study)
    assert [axes.get_title() for axes in canvas.axes[:3]] == ["truth", "without", "with"]
    assert [canvas.axes[index].get_ylabel() for index in (0, 3)] == ["koala", "date (fruit)"]
    assert texts(canvas.axes[0]) == []
    assert texts(canvas.axes[1]) == ["nothing found"]
    assert texts(canvas.axes[2]) == ["koala 0.97"]
    assert texts(canvas.axes[4]) == ["crouton 0.41", "date (fruit) 0.31"]
    assert "without: seed 0, with: seed 0" in note(canvas) and "Missing" not in note(canvas)


def test_another_class_is_told_by_its_outline(study):
    other, right = draw(study).axes[4].collections
    (dashes,), (solid,) = ([dash for _, dash in outline.get_linestyle()] for outline in (other, right))
    assert dashes is not None and solid is None


def test_labels_of_boxes_at_one_place_stand_apart(study):
    found = [("date_(fruit)", 0.9), ("crouton", 0.8), ("crouton", 0.7), ("koala", 0.6), ("koala", 0.5)]
    write_examples(study, "plain", 0, CLASSES, [[], found])
    labels = [text.get_window_extent() for text in draw(study).axes[4].texts]
    assert len(labels) == 5
    assert not any(a.overlaps(b) for index, a in enumerate(labels) for b in labels[:index])


def test_labels_stay_in_the_image_and_long_names_are_shortened(study):
    name = "heavy_lower_right_shadowed_white_rightwards_arrow"
    write_examples(study, "plain", 0, CLASSES, [[], [(name, 0.9)]])
    path = study.metrics_path("plain", 0).with_name("examples.json")
    of = study.identity("plain", 0, "examples")
    content = sealed.read(path, of, "mend")
    content["examples"][1]["found"][0]["box"] = [50, 0, 10, 10]  # at the right border, and the upper one
    sealed.write(path, of, content)
    axes = draw(study).axes[4]
    (label,) = axes.texts
    assert label.get_text() == "heavy low…rds arrow 0.90"
    frame, box = axes.get_window_extent(), label.get_window_extent()
    assert frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1


def test_only_the_best_placed_detections_are_drawn_and_no_boxes(study):
    write_examples(study, "plain", 0, CLASSES, [[], [("koala", 0.9 - index / 10) for index in range(8)]])
    axes = draw(study).axes[4]
    assert len(axes.collections) == 5 and not axes.lines


def test_a_picture_of_photographs_is_small(study):
    png = next(path for path in render_figure(study, "a_qualitative") if path.suffix == ".png")
    with Image.open(png) as picture:
        assert picture.mode == "P" and picture.width == 6.8 * 120


def test_a_box_at_the_border_widens_nothing(study):
    path = study.metrics_path("plain_fasa", 0).with_name("examples.json")
    of = study.identity("plain_fasa", 0, "examples")
    content = sealed.read(path, of, "mend")
    content["examples"][0]["found"][0]["box"] = [0, 0, 60, 40]
    sealed.write(path, of, content)
    left, middle, right = draw(study).axes[:3]
    assert right.get_xlim() == middle.get_xlim() == left.get_xlim() == (-0.5, 59.5)


def test_masks_are_tinted(study):
    _, nothing, found = draw(study).axes[:3]
    before, after = nothing.images[0].get_array(), found.images[0].get_array()
    changed = abs(after - before).sum(axis=2) > 0
    assert changed[10:30, 20:45].mean() > 0.9 and changed.sum() <= 20 * 25


def test_a_later_seed_stands_in_and_a_run_without_examples_is_missing(study):
    study.metrics_path("plain", 0).with_name("examples.json").unlink()
    canvas = draw(study)
    assert len(canvas.axes) == 4 and "Missing: without (seeds 0, 1: the run has no examples.json" in note(canvas)
    write_examples(study, "plain", 1, CLASSES)
    assert "without: seed 1, with: seed 0" in note(draw(study))


def test_an_image_that_one_series_lacks_is_empty_there(study):
    write_examples(study, "plain", 0, CLASSES, [[("koala", 0.5)], [("koala", 0.5)]])
    write_examples(study, "plain_fasa", 0, CLASSES[:1], [[("koala", 0.5)]])
    assert texts(draw(study).axes[5]) == ["nothing found"]


PIXELS = io.BytesIO()
Image.new("RGB", (4, 4)).save(PIXELS, "JPEG")
JPEG = base64.b64encode(PIXELS.getvalue()).decode()


def example(**changes: object) -> dict:
    """An example whose picture is none, and whose mask is larger than it says."""
    shape = {"box": [0, 0, 1, 1], "mask": {"size": [4, 4], "counts": "0``0"}}
    return {"category": "koala", "image_id": 1, "jpeg": "AAAA", "truth": [shape], "found": []} | changes


@pytest.mark.parametrize(
    "content",
    ["{", "[]", *({"examples": [one]} for one in ({"category": "koala"}, example(), example(jpeg=JPEG), 3))],
)
def test_damaged_examples_are_refused(study, content):
    path = study.metrics_path("plain", 0).with_name("examples.json")
    if isinstance(content, str):
        path.write_text(content)
    else:
        sealed.write(path, study.identity("plain", 0, "examples"), content)
    with pytest.raises(UserError, match=r"examples\.json is damaged; delete it and evaluate"):
        draw(study)


def test_without_any_rare_class_it_says_so(study):
    for recipe in ("plain", "plain_fasa"):
        write_examples(study, recipe, 0, [])
    canvas = draw(study)
    assert canvas.axes == [] and canvas.texts[1].get_text() == "No validation image shows a rare class."


def test_the_same_examples_give_the_same_bytes(study):
    first = [path.read_bytes() for path in render_figure(study, "a_qualitative")]
    assert [path.read_bytes() for path in render_figure(study, "a_qualitative")] == first
