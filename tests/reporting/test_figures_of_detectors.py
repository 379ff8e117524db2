"""The figures of detectors, from invented runs: LVIS's letters, gains over baselines, bars beside published ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from detector_runs import DetectorStudy, detector_metrics, figure, table, write_examples
from matplotlib.figure import Figure as Canvas
from PIL import Image

from fasa.errors import UserError
from fasa.reporting import figures, render_figure
from fasa.reporting.figures import bars, by_class, class_groups, style
from fasa.reporting.figures.series import MeasuredSeries, finite_mean, published
from fasa.reporting.frequency import frequency_groups
from fasa.study import load_study

ROOT = Path(__file__).parents[2]
PAIR = (("Mask R-CNN", "plain", "Mask R-CNN"), ("+ FASA", "plain_fasa", "Mask R-CNN"))
KINDS = tuple(kind for kind in figures.KINDS if kind != "learning_curves")
DIFFERENT_IF_MANY = ("class_counts", "class_probabilities", "weight_norms", "class_groups")
BINS = {"AP": 0.2, "AP_1_20": 0.01, "AP_20_400": 0.1, "AP_400_8000": 0.2, "AP_8000": 0.3}


def words(canvas):
    texts = canvas.findobj(lambda artist: hasattr(artist, "get_text"))
    return " ".join(" ".join(text.get_text() for text in texts).split())


def make_study(tmp_path, kind, runs=((0, 1), (0, 1)), classes=12, **measurements):
    """Runs of the seeds ``runs`` without and with FASA, and a figure of ``kind`` of both."""
    made = {
        (recipe, seed): detector_metrics(recipe, seed, classes, **measurements)
        for recipe, seeds in zip(("plain", "plain_fasa"), runs, strict=True)
        for seed in seeds
    }
    study = DetectorStudy(tmp_path, made, figures={f"a_{kind}": figure(kind, *PAIR)})
    for recipe, seed in made:
        write_examples(study, recipe, seed, ["koala", "date_(fruit)"], [[("koala", 0.9)], [("crouton", 0.1)]])
    return study


def draw(study):
    (one,) = study.figures.values()
    return figures.draw(one, study)


@pytest.mark.parametrize(
    ("kind", "classes"), [*((kind, 12) for kind in KINDS), *((kind, 60) for kind in DIFFERENT_IF_MANY)]
)
def test_every_kind_is_drawn_for_a_detector(tmp_path, kind, classes):
    study = make_study(tmp_path, kind, classes=classes, **({"mask_ap": BINS} if kind == "instance_bins" else {}))
    paths = {path.suffix: path for path in render_figure(study, f"a_{kind}")}
    assert paths[".pdf"].read_bytes().startswith(b"%PDF")
    with Image.open(paths[".png"]) as picture:
        assert (np.asarray(picture.convert("L")) < 160).mean() > 0.003  # something is drawn
        assert picture.width <= style.WIDE * style.DOTS_PER_INCH + 1


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_run_it_says_so(tmp_path, kind):
    text = words(draw(make_study(tmp_path, kind, runs=((), ()))))
    assert "No run to draw yet (not run): fasa train plain --scale mini" in text


def test_a_run_without_the_measurement_is_not_to_be_trained_again(tmp_path):
    text = words(draw(make_study(tmp_path, "instance_bins")))  # on generated scenes there are no bins of COCO-LT
    assert "the run has no measurement mask_ap.AP_1_20, on glyphs" in text and "fasa train" not in text


@pytest.mark.parametrize("kind", ["gains", "class_counts"])
def test_the_same_runs_give_the_same_bytes(tmp_path, kind):
    study = make_study(tmp_path, kind)
    first = [path.read_bytes() for path in render_figure(study, f"a_{kind}")]
    assert [path.read_bytes() for path in render_figure(study, f"a_{kind}")] == first


# --- groups of classes ---


def run_of(counts, letters, dataset="glyphs"):
    return {"class_counts": counts, "frequencies": letters, "dataset": dataset, "class_names": list("abcdef")}


def test_a_detectors_groups_are_its_data_sets_letters():
    run = run_of([4, 900, 7, 30, 8], ["r", "f", "c", "f", "r"])
    found = {group.label: group.members.tolist() for group in frequency_groups(run)}
    assert found == {"frequent": [1, 3], "common": [2], "rare": [4, 0]}
    assert [group.limits for group in frequency_groups(run | {"dataset": "lvis"})] == [
        "> 100 images",
        "11–100 images",
        "≤ 10 images",
    ]


def test_classes_stand_group_after_group_though_a_common_one_has_more_instances():
    one = MeasuredSeries("", "", "plain", (run_of([50, 90, 3], ["f", "c", "r"]),), ())
    assert one.order.tolist() == [0, 1, 2] and one.names == ["a", "b", "c"]


def test_without_letters_a_detectors_groups_are_of_instances():
    found = [group.label for group in frequency_groups(run_of([900, 50, 40, 30, 2, 1], [""] * 6, "coco_lt"))]
    assert found == ["many (> 100 instances)", "medium (20–100 instances)", "few (< 20 instances)"]
    found = [group.label for group in frequency_groups(run_of([90, 50, 40, 30, 2, 1], [""] * 6, "coco_lt"))]
    assert found == ["many (50–90 instances)", "medium (30–40 instances)", "few (1–2 instances)"]


def test_means_leave_out_what_is_not_measured():
    nan = float("nan")
    assert finite_mean(np.array([[1.0, nan, nan], [3.0, 5.0, nan]])).tolist()[:2] == [2, 5]
    assert np.isnan(finite_mean(np.array([[nan], [nan]]))).all()
    smooth = by_class.running_mean(np.array([2.0, nan, 4.0, nan, nan, nan]), 3)
    assert smooth[:4].tolist() == [2, 3, 4, 4] and np.isnan(smooth[4:]).all()
    one = MeasuredSeries("", "", "plain", (run_of([9, 8, 2, 1], ["f", "f", "r", "r"]),), ())
    frequent, rare = by_class.group_means(one, np.array([0.5, nan, nan, nan]))
    assert frequent == 0.5 and np.isnan(rare)


def test_probabilities_are_told_by_group(tmp_path):
    study = make_study(tmp_path, "class_probabilities", runs=((0,), (0,)), classes=60)
    for metrics, rare in zip(study.runs.values(), (0.0, 0.25), strict=True):
        values = [rare if letter == "r" else 0.5 for letter in metrics["frequencies"]]
        metrics["measurements"]["class_probabilities"] = [None, *values[1:]]
    labels = [label.get_text() for label in draw(study).axes[0].get_xticklabels()]
    assert labels == ["frequent\n0.50 → 0.50", "common\n0.50 → 0.50", "rare\n0.00 → 0.25"]


def test_a_measurement_of_other_classes_is_missing(tmp_path):
    study = make_study(tmp_path, "weight_norms")
    study.runs["plain", 1]["measurements"]["weight_norms"].append(1.0)
    text = words(draw(study))
    assert "Missing: Mask R-CNN (seed 1: the run has no 12 weight_norms but 13, evaluate it again)" in text


def test_a_long_name_keeps_both_its_ends():
    assert by_class.shortened("digit_two") == "digit two"
    assert by_class.shortened("latin_capital_letter_tone_six") == "latin ca…tone six"


# --- figure 1c ---


def series_of(recipe, values, device="cpu"):
    runs = [
        {
            "seed": seed,
            "device": device,
            "measurements": {"mask_ap": {"AP": ap}, "cost": {"seconds_per_iteration": time}},
        }
        for seed, (ap, time) in values.items()
    ]
    return MeasuredSeries(recipe, "", recipe, tuple(runs), ())


def test_gains_are_paired_by_seed():
    plain = series_of("plain", {0: (0.20, 0.5), 1: (0.30, 0.5), 2: (0.9, 0.5)})
    fasa = series_of("fasa", {1: (0.33, 0.55), 0: (0.21, 0.5), 5: (0.0, 0.5)})
    assert bars.gains(plain, fasa, "mask_ap.AP") == pytest.approx([0.01, 0.03])
    assert bars.added_time(plain, fasa) == pytest.approx([0, 10])


def test_times_on_two_kinds_of_device_do_not_compare():
    assert bars.added_time(series_of("plain", {0: (0.2, 1)}), series_of("fasa", {0: (0.2, 2)}, "NVIDIA H200")) == []


@pytest.mark.parametrize("seeds", [(0, 1), ()])
def test_a_group_that_is_no_pair_is_refused_before_it_has_runs(tmp_path, seeds):
    study = make_study(tmp_path, "gains", runs=(seeds, seeds))
    study.figures = {"a_gains": figure("gains", PAIR[0])}
    with pytest.raises(UserError, match="figure a_gains: group 'Mask R-CNN' is not a baseline"):
        draw(study)


def test_gains_stand_beside_the_published(tmp_path):
    study = make_study(tmp_path, "gains")
    study.tables = {"t": table({"mask_ap.AP": "ap"}, plain={"ap": 19.3}, plain_fasa={"ap": 22.6})}
    first, second, time = ([text.get_text() for text in axes.texts] for axes in draw(study).axes)
    assert first == ["+3.3", "+3.0"]  # published, ours: 0.22 - 0.19
    assert second == ["–", "+8.0"]  # nothing published of rare classes
    assert time == ["+2.6"]  # 0.79 / 0.77 and 0.791 / 0.771 are 2.60 and 2.59 %


def test_published_figures_are_the_tables_own():
    study = load_study(ROOT, "paper")
    pairs = study.figures["fig1c"].series
    told = [published(study, one.recipe, "mask_ap.APr") for one in pairs]
    assert np.round(np.subtract(told[1::2], told[::2]), 1).tolist() == [9.0, 4.4, 10.3, 2.9, 2.8]
    assert published(study, "mask_rcnn_24_fasa", "tide.cls") == 20.74
    assert published(study, "coco_lt_simcal", "mask_ap.AP_20_400") == 16.2
    assert published(study, "mask_rcnn_24", "mask_ap.nothing") is None


def test_every_figure_of_the_configs_is_of_a_known_kind():
    drawn = load_study(ROOT, "paper").figures.values()
    assert {one.kind for one in drawn} == set(figures.KINDS)
    assert {one.name for one in drawn} >= {"fig1a", "fig1b", "fig1c", "fig3", "fig4a", "fig4b", "fig5", "supp_fig2"}


# --- bars ---


def test_a_bar_is_a_mean_with_a_dot_for_every_run_and_a_dash_where_there_is_none():
    axes = Canvas().subplots()
    bars.cluster(axes, [[2.0], [], [-1.0, -3.0]], 0, 1, "ours", runs=True)
    assert [bar.get_height() for bar in axes.patches] == [2, 0, -2]
    assert [text.get_text() for text in axes.texts] == ["2.0", "–", "−2.0"]
    assert [list(dots.get_ydata()) for dots in axes.lines] == [[2], [], [-1, -3]]  # one run as two: not of some alone
    assert axes.texts[2].xy == (2, -3)  # beyond the dots
    bars.cluster(axes, [[2.0]], 0, 1, "published")
    assert len(axes.lines) == 3


def test_no_line_strikes_a_number_through(tmp_path):
    study = make_study(tmp_path, "gains")
    times = draw(study).axes[2]
    (published,) = [line for line in times.lines if line.is_dashed()]
    for number in times.texts:
        assert number.get_zorder() > published.get_zorder() and number.get_bbox_patch().get_facecolor() == (1, 1, 1, 1)


def test_errors_by_type_in_points(tmp_path):
    study = make_study(tmp_path, "tide_errors")
    study.tables = {"t": table({"tide.cls": "cls"}, plain={"cls": 25.1}, plain_fasa={"cls": 20.74})}
    above, below = ([text.get_text() for text in axes.texts] for axes in draw(study).axes)
    assert above[0] == "25.1" and above[6] == "20.7" and above.count("–") == 10
    assert below[:2] == ["25.0", "6.5"] and below[6] == "21.0"


def test_bins_in_per_cent(tmp_path):
    ours = draw(make_study(tmp_path, "instance_bins", mask_ap=BINS)).axes[1]
    assert [text.get_text() for text in ours.texts[:4]] == ["1.0", "10.0", "20.0", "30.0"]


def test_bins_that_our_data_does_not_have_take_no_room_beside_the_published_ones(tmp_path):
    canvas = draw(make_study(tmp_path, "instance_bins", mask_ap={**BINS, "AP_400_8000": None, "AP_8000": None}))
    published, ours = ([label.get_text() for label in axes.get_xticklabels()] for axes in canvas.axes)
    assert published == ["1–19", "20–399", "400–7,999", "≥ 8,000"] and ours == published[:2]
    assert "–" not in [text.get_text() for text in canvas.axes[1].texts]
    assert "Not in our data: 400–7,999, ≥ 8,000." in words(canvas)


# --- figure 5 ---


def test_a_class_never_seen_is_not_on_the_map(tmp_path):
    study = make_study(tmp_path, "class_groups", runs=((), (0,)))
    features = study.runs["plain_fasa", 0]["measurements"]["class_features"]
    features[5] = None
    names = {text.get_text() for text in draw(study).axes[0].texts}
    assert "thing 4" in names and "thing 5" not in names
    features[:] = [None] * 9 + features[9:]
    assert "Fewer than 4 classes" in words(draw(study))


def test_a_single_group_is_said_in_words_and_the_map_shows_sizes(tmp_path):
    study = make_study(tmp_path, "class_groups", runs=((), (0,)))
    trajectory = study.runs["plain_fasa", 0]["measurements"]["sampling_trajectory"]
    canvas = draw(study)
    assert canvas.axes[0].get_legend() is None and {"1", "2"} <= {text.get_text() for text in canvas.axes[0].texts}
    trajectory["groups"][-1] = [0] * 11 + [-1]
    canvas = draw(study)
    assert [text.get_text() for text in canvas.axes[0].get_legend().texts] == ["frequent", "common", "rare"]
    assert "1" not in {text.get_text() for text in canvas.axes[0].texts}
    assert "FASA adapts 11 of the 12 classes together, in one group" in words(canvas)
    trajectory["groups"][-1] = list(range(12))
    assert "FASA adapts no two classes together" in words(draw(study))


def test_a_class_keeps_its_group_though_others_are_not_on_the_map():
    run = detector_metrics("plain_fasa")
    run["measurements"]["class_features"][1] = None
    found = class_groups.place_classes(None, MeasuredSeries("", "", "plain_fasa", (run,), ()))
    assert found.groups.tolist() == [0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]
    assert found.names[1] == "thing 2" and found.points.shape == (11, 2)


def test_names_go_round_the_groups():
    turns = class_groups.in_turn([np.array([7, 1, 4]), np.array([2]), np.array([9, 3])])
    assert turns.tolist() == [7, 2, 9, 1, 3, 4]
