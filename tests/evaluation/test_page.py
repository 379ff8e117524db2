"""``fasa score --page``: its content against figures counted by hand."""

from __future__ import annotations

import re

import numpy as np
import pytest
from evaluation_toys import disc_problem
from toys_page import FIRST, NAMES, SECOND, Page, annotations, results

from fasa.evaluation import average_precision, evaluate, overlaps, tide_errors
from fasa.evaluation.score.page.classes import most_moved
from fasa.evaluation.score.page.curves import mean_precision


@pytest.fixture(params=["lvis", "coco"])
def kind(request):
    return request.param


@pytest.fixture
def page(write, score, tmp_path, kind):
    """``page(results, …, options)``: the page of such files, in a folder of their own, and the error stream."""

    def make(*files, options=()) -> tuple[Page, str]:
        truth = write(f"{kind}.json", annotations(kind))
        paths = [write(f"file{k}.json", results(rows)) for k, rows in enumerate(files)]
        target = tmp_path / "new/page.html"
        status, _, error = score(truth, *paths, "--iou-type", "bbox", "--page", target, *options)
        assert status == 0, error
        return Page(target), error

    return make


def test_two_files_class_by_class(page, kind):
    made, _ = page(FIRST, SECOND)
    letters = [["f"], ["r"]] if kind == "lvis" else [[], []]
    first = 100 * 51 / 101 / 2  # half the cats, at precision 1/2
    cat = [*letters[0], "2", f"{first:.2f}", "100.00", f"+{100 - first:.2f}"]
    other = [*letters[1], "1", "0.00", "100.00", "+100.00"]
    assert list(made.rows("Most up").items()) == [(NAMES[1], other), (NAMES[0], cat)]
    assert list(made.rows("All classes").items()) == [(NAMES[0], cat), (NAMES[1], other)]
    assert "Most down: file1.json against file0.json: no class moved." in made.all("p")
    assert made.rows("standard: ")["AP"] == [f"{first / 2:.2f}", "100.00", f"+{100 - first / 2:.2f}"]
    headings = next(own for own in made.all("thead") if "objects" in own)
    assert headings.endswith("objectsAP file0.jsonAP file1.jsondifference file1.json")


def test_images_are_told_by_ids_and_counts(page):
    made, error = page(FIRST, SECOND)
    one = f"Missed 1 of 2 objects ({NAMES[0]}); 1 false positive of high score ({NAMES[0]})"
    two = f"Missed 1 of 1 objects ({NAMES[1]}); 0 false positives of high score"
    nothing = "Missed 0 of {} objects; 0 false positives of high score"
    assert [text for text in made.all("figcaption") if text.startswith("Image")] == [
        f"Image 1. {one}",
        f"Image 2. {two}",
        f"Image 1. {one}",  # the most false positives
        f"Image 1. file0.json. {one}",
        f"Image 1. file1.json. {nothing.format(2)}",
        f"Image 2. file0.json. {two}",
        f"Image 2. file1.json. {nothing.format(1)}",
    ]
    assert made.all("p").count("None.") == 2  # the second file misses nothing, and nothing in it is wrong
    assert "(0.9 in file0.json, 0.8 in file1.json)" in made.text
    assert "image" not in {name for name, *_ in made.elements} and "image_folder" not in error


def test_one_file_has_no_differences(page):
    made, _ = page(FIRST)
    assert "Most up" not in made.text and "difference" not in "".join(made.all("table"))
    assert made.rows("All classes")[NAMES[0]][-1] == f"{100 * 51 / 101 / 2:.2f}"
    assert [own for own in made.all("h3") if "differ" in own] == []


def test_three_files_have_a_line_each(page, kind):
    made, _ = page(FIRST, SECOND, FIRST[:1], options=["--tide"])
    groups = ["All classes", "Rare classes", "Frequent classes"] if kind == "lvis" else ["All classes"]
    charts = [f"{group}, IoU {iou}" for group in groups for iou in ("0.5", "0.75")]
    assert made.all("title")[1 : len(charts) + 1] == charts
    lines = [own for own in made.attributes("path") if own.get("fill") == "none" and own["d"].count("L") == 100]
    assert len(lines) == 3 * len(charts)
    assert len({own.get("stroke-dasharray") for own in lines}) == 3
    # Half the cats at precision 1/2, no dog: 1/4 up to recall 1/2 (x = 149), then 0.
    assert lines[0]["d"].startswith("M34.0 120.5L") and "L149.0 120.5L151.3 158.0L" in lines[0]["d"]
    assert lines[1]["d"].startswith("M34.0 8.0L") and lines[1]["d"].endswith("L264.0 8.0")
    assert len([own for own in made.all("h3") if "differ" in own]) == 2
    assert "file2.json has no hits: all count" in made.text
    fills = {own["fill"] for own in made.attributes("rect") if own.get("fill", "").startswith(("url", "#1"))}
    assert {"#1b4f8f", "url(#hatch-1)", "url(#hatch-2)"} <= fills
    assert {"hatch-1", "hatch-2"} <= {own["id"] for own in made.attributes("pattern")}


def test_curves_average_to_the_printed_figures(lvis):
    found = overlaps(*lvis)
    evaluation, truth = evaluate(found), found.ground_truth
    for name, threshold in (("AP50", 0.5), ("AP75", 0.75)):
        everyone = np.ones(len(truth.category_ids), bool)
        assert mean_precision(evaluation, everyone, threshold).mean() == pytest.approx(evaluation.summary[name])
    assert mean_precision(evaluation, truth.frequencies == "c", 0.5) is None


def test_bars_are_tides_errors(lvis, score, tmp_path):
    score(*lvis, "--tide", "--page", tmp_path / "page.html")
    made = Page(tmp_path / "page.html")
    (told,) = [own for own in made.all("desc") if own.startswith("Points of AP50 lost")][:1]
    expected = tide_errors(*lvis)
    for name, points in expected.items():
        assert f"{name.capitalize()} {points:.2f}" in told
    widths = [float(own["width"]) for own in made.attributes("rect") if own.get("fill") == "#1b4f8f"][1:9]
    shown = dict(zip(expected, widths, strict=False))
    assert shown["cls"] / shown["miss"] == pytest.approx(expected["cls"] / expected["miss"], rel=0.01)
    assert score(*lvis, "--page", tmp_path / "page.html")[0] == 0
    assert "TIDE" not in Page(tmp_path / "page.html").all("h2")


def test_intervals_of_figures_and_classes(lvis, write, score, tmp_path):
    other = write("other.json", disc_problem("lvis")[1][:30])
    text = score(*lvis, other, "--bootstrap", 50, "--page", tmp_path / "page.html")[1]
    made = Page(tmp_path / "page.html")
    (printed,) = re.findall(r"^ AP  +(\S.*)$", text, re.MULTILINE)
    assert made.rows("standard: ")["AP"] == re.split(r"\s{2,}", printed.strip())
    gaps = [cells[-1] for cells in list(made.rows("All classes").values())]
    assert gaps[2] == "—"  # without objects
    shown = [re.fullmatch(r"([+-]?[\d.]+) \[([+-]?[\d.]+), ([+-]?[\d.]+)\]", gap) for gap in gaps]
    assert any(shown) and all(float(m[2]) <= float(m[3]) for m in shown if m)
    assert "50 resamplings of the images, each class by itself" in made.text


def test_most_moved_are_ten_in_order_without_those_that_stay():
    gap = np.array([0.0, np.nan, 3, -1, 3, *np.linspace(1, 2, 12)])
    up, down = most_moved(gap)
    assert up.tolist() == [2, 4, *range(16, 8, -1)] and down.tolist() == [3]


def test_other_protocols_and_lrp_are_on_the_page(lvis, score, tmp_path):
    score(*lvis, "--protocol", "pool", "fixed", "--lrp", "--page", tmp_path / "page.html")
    made = Page(tmp_path / "page.html")
    captions = made.all("caption")
    assert [own.split(":")[0] for own in captions[:2]] == ["pool", "fixed"] and captions[2].startswith("LRP of fixed")
    fixed = average_precision(*lvis, protocol="fixed")["AP"]
    assert made.rows("fixed: ")["AP"] == [f"{100 * fixed:.2f}"]
    assert "averaged over the classes with objects (fixed protocol)" in made.text


def test_names_are_escaped_and_nothing_is_fetched(write, score, tmp_path):
    truth = write("lvis.json", annotations("lvis"))
    paths = [
        write(name, results(rows)) for name, rows in (('<b onclick="x">.json', FIRST), ("&amp;$title.json", SECOND))
    ]
    status, _, error = score(truth, *paths, "--iou-type", "bbox", "--tide", "--page", tmp_path / "page.html")
    made = Page(tmp_path / "page.html")
    assert status == 0, error
    assert len(made.all("script")) == 1 and "alert" not in made.all("script")[0] and made.all("b") == []
    assert NAMES[1] in made.rows("All classes") and 'AP <b onclick="x">.json' in "".join(made.all("thead"))
    assert 'Scores of <b onclick="x">.json, &amp;$title.json on lvis.json' in made.all("h1")
    assert all("onclick" not in own for _, own, _ in made.elements)
    links = [own[name] for _, own, _ in made.elements for name in ("src", "href") if name in own]
    assert links == [] and "http:" not in made.text and "https:" not in made.text
    (policy,) = [
        own["content"] for own in made.attributes("meta") if own.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy.startswith("default-src 'none';")


def test_every_picture_has_a_title_and_ids_are_unique(lvis, score, tmp_path):
    score(*lvis, "--tide", "--page", tmp_path / "page.html")
    made = Page(tmp_path / "page.html")
    pictures = [k for k, (name, own, _) in enumerate(made.elements) if name == "svg" and own.get("role") == "img"]
    assert pictures and all(made.elements[k + 1][0] == "title" for k in pictures)
    ids = [own["id"] for _, own, _ in made.elements if "id" in own]
    assert len(ids) == len(set(ids)) > 0
