"""Every kind of figure from invented runs: few and many classes, all, some and none of the runs."""

import subprocess
import sys
from types import SimpleNamespace
from typing import get_args

import numpy as np
import pytest
from matplotlib.figure import Figure as Canvas
from PIL import Image

from fasa.errors import UserError
from fasa.reporting import figures, frequency, render_figure
from fasa.reporting.figures import class_groups, labels, style
from fasa.reporting.figures.by_class import normalised, running_mean
from fasa.study.artifacts import Figure, load_figures

OF_DETECTORS = {"gains", "tide_errors", "instance_bins", "qualitative"}  # test_figures_of_detectors.py
KINDS = tuple(kind for kind in figures.KINDS if kind not in OF_DETECTORS)
ALL_RUNS = {(recipe, seed): None for recipe in ("ldam", "ldam_fasa") for seed in (0, 1, 2)}


def words(canvas):
    """All text of a picture on one line."""
    texts = canvas.findobj(lambda artist: hasattr(artist, "get_text"))
    return " ".join(" ".join(text.get_text() for text in texts).split())


@pytest.mark.parametrize("classes", [10, 100])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_drawn_to_files_with_a_seed_missing(fake_study, invented, kind, classes):
    runs = {key: None for key in ALL_RUNS if key != ("ldam_fasa", 2)}
    study = fake_study(runs, figures=[invented.figure(kind)], classes=classes)
    paths = {path.suffix: path for path in render_figure(study, f"figure_{kind}")}
    assert paths[".pdf"].read_bytes().startswith(b"%PDF")
    with Image.open(paths[".png"]) as picture:
        dark = np.asarray(picture.convert("L")) < 160
        assert dark.mean() > 0.003  # something is drawn
        assert picture.width <= style.WIDE * style.DOTS_PER_INCH + 1
    canvas = figures.draw(study.figures[f"figure_{kind}"], study)
    assert "Missing: LDAM" in words(canvas)
    assert "seed 2: not run" in words(canvas)


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_run_the_figure_says_so(fake_study, invented, kind):
    study = fake_study({}, figures=[invented.figure(kind)])
    render_figure(study, f"figure_{kind}")
    text = words(figures.draw(study.figures[f"figure_{kind}"], study))
    assert "No run to draw yet (not run): fasa train ldam --scale mini" in text


@pytest.mark.parametrize("kind", ["weight_norms", "class_groups"])
def test_the_same_runs_give_the_same_bytes(fake_study, invented, kind):
    study = fake_study(ALL_RUNS, figures=[invented.figure(kind)])
    first = [path.read_bytes() for path in render_figure(study, f"figure_{kind}")]
    assert [path.read_bytes() for path in render_figure(study, f"figure_{kind}")] == first
    assert b"CreationDate" not in first[0]
    assert b"/Type3" not in first[0]


def test_many_series_in_several_panels(fake_study, invented):
    series = [("A", "ldam", "one"), ("+ FASA", "ldam_fasa", "one"), ("B", "ldam", "two"), ("+ FASA", "ldam_m2m", "two")]
    study = fake_study(ALL_RUNS, figures=[invented.figure("weight_norms", series)])
    canvas = figures.draw(study.figures["figure_weight_norms"], study)
    assert len(canvas.axes) == 2
    assert "two + FASA (seeds 0, 1, 2: not run)" in words(canvas)  # told apart from the other "+ FASA"


def test_an_unknown_kind_or_name_is_the_users_mistake(fake_study, tmp_path):
    path = tmp_path / "figures.yaml"
    path.write_text("pie: {title: P, published_as: Figure 9, kind: pie, caption: C., series: [{label: A, recipe: a}]}")
    with pytest.raises(UserError, match=r"figures\.yaml: figure 'pie': 'kind': input should be 'class_counts', "):
        load_figures([path], ["a"], [])
    with pytest.raises(UserError, match="there is no figure 'nope'"):
        render_figure(fake_study({}), "nope")


def test_the_kinds_of_the_configs_are_those_that_can_be_drawn():
    assert set(get_args(Figure.model_fields["kind"].annotation)) == set(figures.KINDS)


def groups_of(counts):
    run = {"class_counts": counts, "dataset": "cifar100_lt"}
    return {group.label: group.members.tolist() for group in frequency.frequency_groups(run)}


def test_frequency_groups_follow_the_usual_limits_where_classes_are_large():
    groups = groups_of([20, 500, 19, 101, 100])
    assert groups == {"many (> 100 images)": [1, 3], "medium (20–100 images)": [4, 0], "few (< 20 images)": [2]}


def test_frequency_groups_are_thirds_where_classes_are_small():
    groups = groups_of([3, 140, 9, 60, 5, 30])
    assert groups == {"many (60–140 images)": [1, 3], "medium (9–30 images)": [5, 2], "few (3–5 images)": [4, 0]}


def test_weight_norms_of_heads_of_any_size_compare():
    relative, variation = normalised(np.array([[1.0, 3.0], [10.0, 30.0]]))
    assert relative.tolist() == [0.5, 1.5]
    assert variation == pytest.approx(0.5)  # std 1 over mean 2, in both


def test_running_mean_shrinks_at_the_ends():
    assert running_mean(np.array([0.0, 3.0, 6.0, 9.0]), 3).tolist() == [1.5, 3.0, 6.0, 7.5]


def test_curves_of_unequal_length_are_cut_to_the_shortest(fake_study, invented):
    study = fake_study(ALL_RUNS, figures=[invented.figure("learning_curves")])
    study.runs_by_key["ldam", 1] = invented.metrics("ldam", 1, epochs=5)
    canvas = figures.draw(study.figures["figure_learning_curves"], study)
    assert canvas.axes[1].lines[0].get_xdata().tolist() == [1, 2, 3, 4, 5]
    assert canvas.axes[0].lines[0].get_xdata().tolist() == [1, 3, 5]  # accuracy was looked at every other epoch


def test_a_curve_that_a_later_one_covers_shows_beside_it(fake_study, invented):
    canvas = figures.draw(
        invented.figure("learning_curves"), fake_study(ALL_RUNS, figures=[invented.figure("learning_curves")])
    )
    accuracy, loss = canvas.axes
    first, second = accuracy.lines
    assert first.get_linewidth() > second.get_linewidth() + 0.5
    assert loss.get_yscale() == "log"


@pytest.mark.parametrize("high", [0.05, 0.5, 50.0])
def test_a_logarithmic_axis_has_a_handful_of_plain_ticks(high):
    with style.applied():
        canvas = Canvas(figsize=(style.NARROW, 2.7))
        axes = canvas.subplots()
        axes.plot([1, 2], [0.0025, high])
        style.log_axis(axes)
        canvas.draw_without_rendering()
        low, top = axes.get_ylim()
        shown = [label.get_text() for label in axes.get_yticklabels() if low <= label.get_position()[1] <= top]
    assert 3 <= len(shown) <= 6 and not any("$" in text for text in shown)
    assert len(axes.get_yticks(minor=True)) == 0


def test_for_a_paper_notes_stand_beside_the_picture(fake_study, invented):
    study = fake_study(ALL_RUNS, figures=[invented.figure("sampling_by_class")])
    figure = study.figures["figure_sampling_by_class"]
    canvas, note = figures.draw_for_paper(figure, study)
    assert note.startswith("One run each (LDAM + FASA: seed 0)") and "One run" not in words(canvas)
    assert "One run each" in words(figures.draw(figure, study))
    paths = render_figure(study, figure.name, for_paper=True)
    assert [path.parent.name for path in paths] == ["for_paper"] * 2
    empty = fake_study({}, figures=[figure])
    assert figures.draw_for_paper(figure, empty).canvas is None
    with pytest.raises(UserError, match="figure figure_sampling_by_class is empty: No run to draw yet"):
        render_figure(empty, figure.name, for_paper=True)


def test_only_groups_of_two_or_more_are_shared():
    assert class_groups.shared_groups(np.array([4, 7, 7, -1, -1, 2, 2, 2])) == [2, 7]


def test_names_on_the_map_do_not_hide_each_other(fake_study, invented):
    study = fake_study(ALL_RUNS, figures=[invented.figure("class_groups", [("FASA", "ldam_fasa", "")])], classes=100)
    canvas = figures.draw(study.figures["figure_class_groups"], study)
    names = [text for text in canvas.axes[0].texts if text.get_text().startswith("class")]
    assert 20 < len(names) <= class_groups.MOST_NAMES
    boxes = [name.get_window_extent() for name in names]
    assert not any(a.overlaps(b) for index, a in enumerate(boxes) for b in boxes[:index])


def test_a_name_without_a_free_place_is_left_out_unless_forced():
    with style.applied():
        canvas = Canvas(figsize=(1, 1))
        axes = canvas.subplots()
        axes.set(xlim=(0, 1), ylim=(0, 1))
        points = np.full((30, 2), 0.5)
        canvas.draw_without_rendering()
        wanted, kept = [(index, "a name") for index in range(30)], np.ones(30, bool)
        assert labels.place_labels(axes, points, wanted, kept, force=False) < 30
        assert labels.place_labels(axes, points, wanted, kept, force=True) == 30


def test_too_few_classes_for_a_map_are_no_error(fake_study, invented):
    study = fake_study({("ldam_fasa", 0): None}, figures=[invented.figure("class_groups")], classes=3)
    canvas = figures.draw(study.figures["figure_class_groups"], study)
    assert canvas.axes == []
    assert "Fewer than 4 classes" in words(canvas)


@pytest.mark.parametrize("kind", ["sampling_by_group", "sampling_by_class"])
def test_a_probability_of_nought_is_no_error_on_a_logarithmic_axis(fake_study, invented, kind):
    study = fake_study({("ldam_fasa", 0): None}, figures=[invented.figure(kind)])
    rates = study.runs_by_key["ldam_fasa", 0]["measurements"]["sampling_trajectory"]["probabilities"]
    rates[0] = [0.0] * len(rates[0])
    render_figure(study, f"figure_{kind}")


def test_series_differ_in_more_than_colour():
    for attribute in ("color", "line", "marker", "hatch"):
        assert len({getattr(one, attribute) for one in style.SERIES}) == len(style.SERIES)


def test_importing_the_package_loads_no_plotting():
    code = "import sys, fasa.reporting.figures; print({'matplotlib', 'sklearn', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_the_users_matplotlib_settings_are_left_alone(fake_study, invented):
    import matplotlib

    before = dict(matplotlib.rcParams)
    study = fake_study(ALL_RUNS, figures=[invented.figure("weight_norms")])
    render_figure(study, "figure_weight_norms")
    assert SimpleNamespace(**dict(matplotlib.rcParams)) == SimpleNamespace(**before)
