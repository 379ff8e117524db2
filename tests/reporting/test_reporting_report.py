"""The report: whole, self-contained, escaped."""

import json
import math
import re
from html.parser import HTMLParser

import pytest

from fasa.reporting import render_figure, render_report
from fasa.reporting.class_differences import compare_classes
from fasa.reporting.report import verdict_class

RUNS = {(recipe, seed): 0.42 + 0.01 * len(recipe) + 0.001 * seed for recipe in ("ldam", "ldam_fasa") for seed in (0, 1)}
VOID = {"meta", "img", "br", "link", "hr", "input"}


class Nesting(HTMLParser):
    """Fails on a tag that is closed out of order; collects tags and the visible text."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.text, self.scripts = [], [], "", []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)
        else:
            self.text += data


@pytest.fixture
def report(fake_study, invented):
    study = fake_study(RUNS, figures=[invented.figure("weight_norms"), invented.figure("sampling_by_group")])
    study.runs_by_key["ldam_fasa", 0]["class_names"][0] = "<script>alert(1)</script>"
    study.runs_by_key["ldam", 1]["code_version"] = "<b>0.2</b>"
    render_figure(study, "figure_weight_norms")
    return render_report(study).read_text()


def test_it_holds_tables_figures_runs_and_origins(report):
    page = Nesting(report)
    text = " ".join(page.text.split())
    for part in (
        "FASA: Feature Augmentation and Sampling Adaptation for Long-Tailed Instance Segmentation",
        "8x8 digits on a laptop's CPU",
        "not comparable with the published ones",
        "4 of 9 runs are here",
        "Long-tailed classification — Table 7",
        "Controls (nothing published)",
        "43.7 ± 0.25",
        "LDAM + FASA",
        "confirmed",
        "The weight_norms — Figure 9",
        "seeds 0, 1, 2: not run",
        "seed 2: not run",
        "torch 2.9.0",
        "12.3",
        "snakemake all --config scale=mini",
        "fasa render report --scale mini",
    ):
        assert part in text, part
    assert "0000000000" in text  # a fingerprint
    assert [name for tag, a in page.tags for name in [a.get("id")] if name and name.startswith("figure-")] == [
        "figure-figure_weight_norms",
        "figure-figure_sampling_by_group",
    ]


def test_it_needs_nothing_beside_it(report):
    page = Nesting(report)
    sources = [attributes["src"] for _, attributes in page.tags if "src" in attributes]
    assert len(sources) == 2
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert not {tag for tag, _ in page.tags} & {"iframe", "object"}
    assert [attributes["href"] for tag, attributes in page.tags if tag == "link"] == ["data:,"]
    assert "http" not in re.sub(r"base64,[A-Za-z0-9+/=]+", "", report)


def test_only_pdfs_that_exist_are_linked(report):
    page = Nesting(report)
    links = [attributes["href"] for tag, attributes in page.tags if tag == "a"]
    assert "../../figures/mini/figure_weight_norms.pdf" in links
    assert not any("sampling_by_group" in link for link in links)
    assert "fasa render figure_sampling_by_group --scale mini" in page.text


def test_everything_that_is_read_is_escaped(report):
    assert "<script>alert" not in report and len(Nesting(report).scripts) == 2
    assert json.loads(Nesting(report).scripts[0])[0]["classes"][0][0] == "<script>alert(1)</script>"
    assert "50% of &lt;it&gt;." in report
    assert "&lt;b&gt;0.2&lt;/b&gt;" in report and "<b>0.2" not in report
    assert "What &lt;b&gt;it&lt;/b&gt; shows &amp; tells." in report


def test_an_empty_study_has_a_report_too(fake_study, invented):
    study = fake_study({}, figures=[invented.figure("learning_curves")])
    text = " ".join(Nesting(render_report(study).read_text()).text.split())
    assert "0 of 9 runs are here" in text
    assert "No run yet." in text and "No claim is tested yet" in text
    assert "1 tables without a run" in text and "1 figures without a run" in text


def test_a_comparable_scale_says_so(fake_study):
    text = render_report(fake_study(RUNS, comparable=True)).read_text()
    assert "Absolute numbers of this scale are comparable" in text


def test_the_same_runs_give_the_same_bytes(fake_study, invented):
    study = fake_study(RUNS, figures=[invented.figure("sampling_by_group")])
    assert render_report(study).read_bytes() == render_report(study).read_bytes()


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        ("confirmed", "good"),
        ("within 1.0", "good"),
        ("contradicted", "bad"),
        ("off by -5.00", "bad"),
        ("undecided", "open"),
        ("—", "none"),
    ],
)
def test_every_verdict_has_a_colour(verdict, expected):
    assert verdict_class(verdict) == expected


def test_it_opens_with_the_verdicts_then_figures_then_tables(report):
    page = Nesting(report)
    assert [attributes["id"] for tag, attributes in page.tags if tag == "h2"][:4] == [
        "claims",
        "figures",
        "tables",
        "classes",
    ]
    text = " ".join(page.text.split())
    # 51 − 46 points, of both seeds; the claim's other cells are not run
    claim = text[text.index("What holds The paper") : text.index("claims that no number decides here")]
    assert "undecided (1 confirmed, 1 not run)" in claim
    assert "LDAM-DRW + FASA − LDAM-DRW, Top-1: +5.00 [+5.00, +5.00], p (Holm) < 0.001 (< 0.001)" in claim


def test_every_link_leads_somewhere(report):
    page = Nesting(report)
    places = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    links = [attributes["href"] for tag, attributes in page.tags if tag == "a"]
    assert {link[1:] for link in links if link.startswith("#")} <= places
    assert "#table-cifar_lt" in links  # of a claim and of the contents
    assert links.count("runs/ldam_fasa/seed-1/metrics.json") >= 2  # of the claim and of the list of runs


def test_what_all_tables_have_in_common_is_said_once(fake_study, invented):
    study = fake_study(RUNS)
    study.tables["again"] = invented.table(name="again", note="Its own note.")
    text = " ".join(Nesting(render_report(study).read_text()).text.split())
    assert text.count("Reproduced: mean ± sample standard deviation") == 1
    assert text.count("Its own note.") == 1


def test_tables_without_a_run_are_folded(fake_study, invented):
    study = fake_study(RUNS)
    rows = tuple(row.model_copy(update={"recipe": "elsewhere"}) for row in invented.table().rows)
    study.tables["empty"] = invented.table(name="empty", title="Never run", rows=rows)
    page = Nesting(render_report(study).read_text())
    assert not any(attributes.get("id") == "table-empty" for _, attributes in page.tags)
    assert "1 tables without a run" in page.text and "Never run — Table 7" in page.text


def test_notes_of_figures_are_words_of_the_page(fake_study, invented):
    study = fake_study(RUNS, figures=[invented.figure("sampling_by_class")])
    assert "One run each (LDAM + FASA: seed 0)" in Nesting(render_report(study).read_text()).text


def test_differences_of_classes_are_paired_by_seed(invented):
    def runs(*levels):
        found = {seed: invented.metrics("ldam", seed, classes=2) for seed in range(len(levels))}
        for metrics, values in zip(found.values(), levels, strict=True):
            metrics["measurements"]["per_class_accuracy"] = values
        return found, {}

    loaded = {"ldam": runs([0.2, None], [0.3, 0.5]), "ldam_fasa": runs([0.3, 0.5], [0.5, 0.5]), "ldam_m2m": ({}, {})}
    (one,) = compare_classes([invented.table()], loaded)
    assert (one.label, one.measure, one.n) == ("Table 7 — ResNet-32: LDAM + FASA − LDAM", "accuracy", 2)
    ((name, count, baseline, difference, low, high),) = one.classes  # the second was not measured for one seed
    assert (name, count) == ("class 0", 500)
    # 10 and 20 points: mean 15, standard error 5, t of one degree 12.706
    assert (baseline, difference) == pytest.approx((25, 15))
    assert (low, high) == pytest.approx((15 - 63.531, 15 + 63.531), abs=1e-3)
    (single,) = compare_classes([invented.table()], {**loaded, "ldam_fasa": runs([0.3, 0.5])})
    assert single.n == 1 and single.classes[0][3] == pytest.approx(10) and math.isnan(single.classes[0][4])
