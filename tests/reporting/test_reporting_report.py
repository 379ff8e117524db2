"""The report: whole, self-contained, escaped."""

import re
from html.parser import HTMLParser

import pytest

from fasa.reporting import render_figure, render_report
from fasa.reporting.report import verdict_class

RUNS = {(recipe, seed): 0.42 + 0.01 * len(recipe) + 0.001 * seed for recipe in ("ldam", "ldam_fasa") for seed in (0, 1)}
VOID = {"meta", "img", "br", "link", "hr"}


class Nesting(HTMLParser):
    """Fails on a tag that is closed out of order; collects tags and the visible text."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.text = [], [], ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.fixture
def report(fake_study, invented):
    study = fake_study(RUNS, figures=[invented.figure("weight_norms"), invented.figure("sampling_by_group")])
    study.runs_by_key["ldam", 0]["class_names"][0] = "<script>alert(1)</script>"
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
    assert not {tag for tag, _ in page.tags} & {"script", "link", "iframe"}
    assert "http" not in re.sub(r"base64,[A-Za-z0-9+/=]+", "", report)


def test_only_pdfs_that_exist_are_linked(report):
    page = Nesting(report)
    links = [attributes["href"] for tag, attributes in page.tags if tag == "a"]
    assert "../../figures/mini/figure_weight_norms.pdf" in links
    assert not any("sampling_by_group" in link for link in links)
    assert "fasa render figure_sampling_by_group --scale mini" in page.text


def test_everything_that_is_read_is_escaped(report):
    assert "<script>" not in report
    assert "50% of &lt;it&gt;." in report
    assert "&lt;b&gt;0.2&lt;/b&gt;" in report and "<b>0.2" not in report
    assert "What &lt;b&gt;it&lt;/b&gt; shows &amp; tells." in report


def test_an_empty_study_has_a_report_too(fake_study, invented):
    study = fake_study({}, figures=[invented.figure("learning_curves")])
    text = " ".join(Nesting(render_report(study).read_text()).text.split())
    assert "0 of 9 runs are here" in text
    assert "No run yet." in text


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
