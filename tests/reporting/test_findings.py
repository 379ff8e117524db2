"""The findings: verdicts from numbers worked out by hand, and the kept pages against a regeneration."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from fasa.cli import main
from fasa.errors import UserError
from fasa.reporting.cells import summarise
from fasa.reporting.csv_tables import KeptCell, Results, measure_kept, read_kept
from fasa.reporting.findings import load_paper, render_kept, words
from fasa.reporting.findings.evidence import holm, judge, spread_ratio, two_sided_p
from fasa.reporting.findings.page import Paper, insert_summary, render_page, strongest
from fasa.study import load_study
from fasa.study.artifacts import Column, Row, Table
from fasa.study.claims import Check, Claim
from fasa.study.scales import scale_model

ROOT = Path(__file__).parents[2]
COLUMNS = "table,row,column,recipe,measure,unit,seeds,values,missing,scale,dataset\n"
SCALE = scale_model()(name="mini", description="Small.", classification={"seeds": [0, 1, 2]})


def table(**changes):
    """A baseline, rows that the paper has 2 points above it with half its spread, and two controls."""
    rows = [Row(id="base", label="Base", recipe="r", published={"a": [10, 1.0]})]
    rows += [
        Row(id=i, label=i, recipe="r", baseline="base", published={"a": [12, 0.5]}) for i in ("up", "also", "alone")
    ]
    rows += [Row(id=i, label=i, recipe="r", baseline="base", control=True) for i in ("norcal", "softmax")]
    values = dict(
        name="t", title="T", published_as="Table 1", dataset="lvis_v1", caption="C.", rows=tuple(rows), tolerance=1.0
    )
    return Table(columns=(Column(key="k", label="AP", published="a"),), **values | changes)


def claim(*checks, **changes):
    values = dict(name="c", of=("t",), says="It rises.", where="Table 1", main=True)
    return Claim(
        cells=tuple(Check(**{"table": "t", "columns": ("k",), **check}) for check in checks), **values | changes
    )


def results(scale=SCALE, tables=Path("tables"), **rows):
    """The kept cells of rows, each a list of values by seed from 0 on."""
    cells = {("t", row, "k"): KeptCell(dict(enumerate(values)), "") for row, values in rows.items()}
    return Results(scale, tables, Path("figures"), cells, {"t": ("glyphs",)})


def finding(*checks, **rows):
    return judge(claim(*checks), {"t": table()}, results(**rows))


RISES = {"rows": ("up",), "expect": "higher"}
BOTH = {"rows": ("up", "also"), "expect": "higher"}
BASE = [10.0, 11.0, 12.0]
CLEAR = [11.0, 12.1, 12.9]  # differences 1.0, 1.1, 0.9: mean 1, std 0.1, t = 17.3 with 2 degrees, p = 0.0033
HAZY = [11.0, 13.0, 15.0]  # 1, 2, 3: mean 2, std 1, t = 3.46, p = 0.0742
WORSE = [9.0, 9.9, 11.1]  # −1.0, −1.1, −0.9


def test_p_values_are_students_and_holms():
    assert two_sided_p([1, 2, 3], 0) == pytest.approx(0.0741799)  # t = 2 sqrt(3), from a table
    assert two_sided_p([1, 2, 3], 2) == 1
    assert two_sided_p([0.5, 0.5, 0.5], 0) == 0 and two_sided_p([0.5, 0.5], 0.5) == 1
    assert two_sided_p([1], 0) is None
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])  # 3 x, then 2 x 0.03 above 0.04
    assert holm([0.5, 0.9]) == [1.0, 1.0]


@pytest.mark.parametrize(
    ("rows", "check", "verdict", "reason"),
    [
        ({"base": BASE, "up": CLEAR}, RISES, "confirmed", ""),
        ({"base": BASE, "up": WORSE}, RISES, "contradicted", ""),
        ({"base": BASE, "up": HAZY}, RISES, "undecided", ""),
        ({"base": BASE, "up": CLEAR[:1]}, RISES, "undecided", "one seed"),
        ({"base": BASE}, RISES, "not run", ""),
        ({"base": BASE, "up": CLEAR, "also": HAZY}, BOTH, "undecided", "1 confirmed, 1 undecided"),
        ({"base": BASE, "up": CLEAR, "also": WORSE}, BOTH, "mixed", "1 confirmed, 1 contradicted"),
        ({"base": BASE, "up": HAZY, "also": WORSE}, BOTH, "contradicted", "1 contradicted, 1 undecided"),
        ({"base": BASE, "up": CLEAR}, BOTH, "undecided", "1 confirmed, 1 not run"),
        ({"base": BASE, "up": CLEAR, "also": CLEAR}, BOTH, "confirmed", ""),
    ],
)
def test_the_verdict_of_a_claim_is_that_of_its_cells(rows, check, verdict, reason):
    found = finding(check, **rows)
    assert (found.verdict, found.reason) == (verdict, reason)


def test_a_contradiction_must_stand_beside_the_number_of_cells():
    slightly = [9.0, 10.3, 10.9]  # −1.0, −0.7, −1.1: mean −0.933, std 0.208, t = 7.77, p = 0.0162
    many = {"rows": ("up", "also", "alone"), "expect": "higher"}
    assert finding(RISES, base=BASE, up=slightly).verdict == "contradicted"
    crowd = finding(many, base=BASE, up=slightly, also=HAZY, alone=HAZY)
    assert crowd.evidence[0].p == pytest.approx(0.0162, abs=1e-4)
    assert crowd.evidence[0].adjusted == pytest.approx(0.0486, abs=3e-4)  # times 3: still under 0.05
    assert crowd.verdict == "contradicted"
    four = (many, {"rows": ("alone",), "expect": "lower"})
    assert finding(*four, base=BASE, up=slightly, also=HAZY, alone=HAZY).verdict == "undecided"  # times 4


def test_no_worse_allows_the_tolerance_and_no_more():
    keeps = {"rows": ("up",), "expect": "not lower"}
    little = [9.5, 10.6, 11.5]  # −0.5, −0.4, −0.5: half a point below, the tolerance is one
    assert finding(keeps, base=BASE, up=little).verdict == "confirmed"
    assert finding(RISES, base=BASE, up=little).verdict == "contradicted"
    assert finding(keeps, base=BASE, up=WORSE).verdict == "undecided"  # at the bound
    much = [8.0, 9.1, 10.0]
    assert finding(keeps, base=BASE, up=much).verdict == "contradicted"
    assert finding({"rows": ("up",), "expect": "not higher"}, base=BASE, up=HAZY).verdict == "undecided"


def test_growth_is_in_per_cent_of_each_seeds_own():
    dear = {"rows": ("up",), "expect": "at most", "percent": 10}
    found = finding(dear, base=[10.0, 20.0], up=[10.5, 21.02])  # 5 % and 5.1 %
    assert found.evidence[0].difference.mean == pytest.approx(5.05)
    assert found.verdict == "confirmed"
    assert words.our_change(found.evidence[0]) == "+5.0 % [+4.4 %, +5.7 %]"  # 12.71 x 0.0707 / sqrt(2) = 0.64
    assert words.claimed(found.evidence[0]) == "< +10 %"
    assert finding(dear, base=[10.0, 20.0], up=[12.0, 24.02]).verdict == "contradicted"


def test_a_level_is_held_against_a_number_and_a_row_against_another():
    level = finding({"rows": ("up",), "expect": "lower", "than": 20}, up=CLEAR).evidence[0]
    assert level.verdict == "confirmed" and level.difference.mean == pytest.approx(12 - 20)
    assert (words.comparison_of(level), words.claimed(level), words.our_levels(level)) == ("up", "< 20", "12.00 ± 0.95")
    other = finding(
        {"rows": ("up",), "expect": "higher", "against": "also"}, up=HAZY, also=[10.0, 12.0, 14.1]
    ).evidence[0]
    assert other.verdict == "confirmed" and words.comparison_of(other) == "up − also"
    assert other.published == (12, 12) and other.published_holds is False


GAINS = RISES | {"headroom": {"table": "t"}}
BOTH_GAIN = BOTH | {"headroom": {"table": "t", "over": "base"}}
FLAT = [10.1, 10.9, 12.0]  # 0.1, −0.1, 0


@pytest.mark.parametrize(
    ("rows", "check", "verdict", "reason"),
    [
        ({"up": HAZY, "norcal": FLAT}, GAINS, "no headroom", ""),
        ({"up": HAZY, "norcal": FLAT, "softmax": CLEAR}, GAINS, "undecided", ""),  # one control is enough
        ({"up": HAZY, "norcal": WORSE}, GAINS, "no headroom", ""),
        ({"up": HAZY}, GAINS, "undecided", ""),  # no control was run
        ({"up": HAZY, "norcal": FLAT[:1]}, GAINS, "undecided", ""),
        ({"up": HAZY, "norcal": FLAT[:2]}, GAINS, "undecided", ""),  # fewer seeds than the cell itself
        ({"up": HAZY[:1], "norcal": FLAT}, GAINS, "undecided", "one seed"),
        ({"up": CLEAR, "norcal": FLAT}, GAINS, "confirmed", ""),  # what came out stands
        ({"up": WORSE, "norcal": FLAT}, GAINS, "contradicted", ""),
        ({"up": HAZY, "norcal": FLAT}, RISES, "undecided", ""),  # a claim that names no controls
        ({"up": CLEAR, "also": HAZY, "norcal": FLAT}, BOTH_GAIN, "no headroom", "1 confirmed, 1 no headroom"),
        ({"up": WORSE, "also": HAZY, "norcal": FLAT}, BOTH_GAIN, "contradicted", "1 contradicted, 1 no headroom"),
        ({"up": HAZY, "also": HAZY[:1], "norcal": FLAT}, BOTH_GAIN, "undecided", "1 no headroom, 1 one seed"),
        ({"up": HAZY, "norcal": CLEAR}, GAINS | {"expect": "lower"}, "no headroom", ""),  # of errors less is better
        ({"up": HAZY, "norcal": WORSE}, GAINS | {"expect": "lower"}, "undecided", ""),
    ],
)
def test_a_gain_is_undecided_only_where_a_control_gains(rows, check, verdict, reason):
    found = finding(check, base=BASE, **rows)
    assert (found.verdict, found.reason) == (verdict, reason)


def test_the_best_control_stands_beside_the_verdict():
    rows = {"base": BASE, "up": HAZY, "norcal": FLAT, "softmax": [9.5, 14.0, 12.0]}
    (cell,) = finding(GAINS, **rows).evidence  # softmax is higher, but its interval begins far lower
    assert words.verdict(cell) == "no headroom (best control: norcal +0.00 [−0.25, +0.25], n = 3)"  # 4.303 x 0.1 / √3
    assert words.verdict(finding(GAINS, **rows | {"up": CLEAR}).evidence[0]) == "confirmed"


def test_less_varied_is_an_f_test_of_two_spreads():
    steady, wild = summarise({0: 1.0, 1: 2.0, 2: 3.0}), summarise({0: 13.0, 1: 10.0, 2: 16.0})
    ratio, p = spread_ratio(steady, wild)  # F = 1/9 with 2 and 2 degrees: P(F ≤ f) = f / (1 + f) = 0.1
    assert ratio.mean == pytest.approx(1 / 3) and p == pytest.approx(0.2)
    assert (ratio.low, ratio.high) == pytest.approx((1 / 3 / 39**0.5, 39**0.5 / 3))  # 39 is F's 97.5 % point
    assert spread_ratio(wild, steady)[1] == pytest.approx(0.2)
    still = summarise({0: 5.0, 1: 5.0, 2: 5.0})
    assert [spread_ratio(*pair)[1] for pair in ((still, still), (still, wild), (wild, still))] == [1, 0, 0]
    assert spread_ratio(summarise({0: 1.0}), summarise({0: 2.0})) == (None, None)


def test_a_claim_may_be_that_a_row_varies_less():
    calm = {"rows": ("up",), "expect": "less varied"}
    (cell,) = finding(calm, base=[10.0, 20.0, 30.0], up=[1.0, 1.1, 1.2]).evidence  # ratio 0.01
    assert (cell.verdict, words.our_change(cell)) == ("confirmed", "× 0.01 [× 0.00, × 0.06]")
    assert (words.comparison_of(cell), words.claimed(cell)) == ("up over Base", "ratio of ± < 1")
    assert (words.published_levels(cell), words.published_change(cell)) == ("± 1.00 → ± 0.50", "× 0.50")
    assert cell.published_holds is True
    assert finding(calm, base=[1.0, 1.1, 1.2], up=[10.0, 20.0, 30.0]).verdict == "contradicted"
    assert finding(calm, base=BASE, up=HAZY).verdict == "undecided"
    assert finding(calm, base=BASE, up=HAZY[:1]).reason == "one seed"


def test_levels_are_those_of_the_paired_seeds():
    cell = finding(RISES, base=BASE, up=[14.0]).evidence[0]
    assert words.our_levels(cell) == "10.00 → 14.00" and words.our_change(cell) == "+4.00"


def test_scales_stand_beside_each_other_the_largest_first(tmp_path):
    for scale in ("mini", "paper", "proxy"):
        folder = tmp_path / "kept" / scale / "tables"
        folder.mkdir(parents=True)
        (folder / "t.csv").write_text(
            f"{COLUMNS}t,base,k,r,k,,0,10.0,,{scale},lvis\nt,up,k,r,k,,0 1,11.5 12.0,seed 2: not run,{scale},lvis\n"
        )
    kept = read_kept(tmp_path / "kept", tmp_path / "pictures", ROOT)
    assert [one.scale.name for one in kept] == ["paper", "proxy", "mini"]
    assert kept[0].cells["t", "up", "k"] == KeptCell({0: 11.5, 1: 12.0}, "seed 2: not run", ("r", "k", ""))
    paper = Paper((claim(RISES),), {"t": table()}, {})
    page = render_page(paper, kept, tmp_path / "docs/findings.md", tmp_path, "paper", "Made so.")
    summary = [line for line in page.splitlines() if "one seed" in line and "+2.0" in line]
    assert [line.split(" | ")[5] for line in summary if line.count(" | ") == 6] == ["paper", "proxy", "mini"]
    assert "| Of 1 claims, at scale | confirmed |" in page and "| paper | 0 | 0 | 0 | 1 | 0 | 0 | 0 |" in page
    assert "Missing: up: seed 2: not run." in page
    assert page.count("at best a hint") == 2  # not at the paper's own scale
    assert "snakemake --cores all table_t --config scale=paper" in page
    readme = insert_summary("a\n<!-- findings -->\nold\n<!-- /findings -->\nb\n", paper, kept, Path("README.md"))
    assert readme.startswith("a\n<!-- findings -->\n| What") and readme.endswith("\n<!-- /findings -->\nb\n")
    assert "| It rises. | +2.0 | **undecided** (one seed): +1.50, n = 1 | undecided | undecided |" in readme
    assert "| mini | 0 | 0 | 0 | 1 |" in readme
    assert readme.count("It rises.") == 1 and "old" not in readme


def test_a_decided_verdict_of_a_smaller_scale_beats_an_undecided_one_of_a_larger():
    def at(scale, up):
        here = scale_model()(name=scale, description="x", classification={"seeds": [0, 1, 2]})
        return judge(claim(RISES), {"t": table()}, results(here, base=BASE, up=up))

    paper, proxy, mini = at("paper", HAZY), at("proxy", WORSE), at("mini", CLEAR)
    assert strongest([paper, proxy, mini]) is proxy
    assert strongest([paper, mini]) is mini and strongest([paper]) is paper


def test_a_scale_without_any_table_of_the_claims_is_not_told_of():
    paper = Paper((claim(RISES),), {"t": table()}, {})
    ours, other = results(base=BASE), Results(SCALE, Path(), Path(), {}, {"ambiguities_processes": ("glyphs",)})
    assert paper.judged_by([other, ours]) == [ours]


@pytest.mark.parametrize("text", ["no marker", "<!-- /findings --> <!-- findings -->", "<!-- findings -->" * 2])
def test_a_readme_without_its_markers_is_told(text):
    with pytest.raises(UserError, match=r"README.md needs the lines <!-- findings --> and <!-- /findings -->"):
        insert_summary(text, Paper((), {}, {}), [], Path("README.md"))


@pytest.mark.parametrize(
    ("content", "words_"),
    [
        ("a,b\n1,2\n", "is not a table of results (no column 'table', no column 'row'"),
        (COLUMNS, "is not a table of results (no rows)"),
        (f"{COLUMNS}t,r,k,r,k,,0 1,1.5,,mini,x\n", "are not seeds and a value"),
        (f"{COLUMNS}t,r,k,r,k,,0 0,1.5 1.6,,mini,x\n", "are not seeds and a value"),
        (f"{COLUMNS}t,r,k,r,k,,0,nan,,mini,x\n", "are not seeds and a value"),
        (f"{COLUMNS}t,r,k,r,k,,0,1.5,,mini,x\nt,r,k,r,k,,1,1.5,,mini,x\n", "has row r, column k twice"),
        (f"{COLUMNS}t,r,k,r,k,,0,1.5,,paper,x\n", "is of table t, scale paper"),
        (f"{COLUMNS}t,r,k,r,k,,0,1.5,,mini\n", "(lines of unequal length)"),
        ('table,row\n"t,r', "cannot be read"),
    ],
)
def test_a_file_that_is_no_table_is_told(tmp_path, content, words_):
    path = tmp_path / "mini/tables/t.csv"
    path.parent.mkdir(parents=True)
    path.write_text(content)
    with pytest.raises(UserError) as error:
        read_kept(tmp_path, tmp_path, ROOT)
    assert str(path) in str(error.value) and words_ in str(error.value)


def test_a_kept_table_of_other_rows_than_todays():
    """A row that was added since was not run; values of another recipe, measure or unit are refused."""
    study = SimpleNamespace(tables={"t": table()}, description=lambda recipe: "Small.")
    cells = {("t", "base", "k"): KeptCell({0: 1.0}, "", ("r", "k", "%"))}
    kept = Results(SCALE, Path("mini/tables"), Path("figures"), cells, {"t": ("glyphs",)})
    measured = measure_kept(study, "t", kept)
    assert measured.cells["base", "k"].ours.values == (1.0,) and measured.cells["up", "k"].missing == "not run"
    cells["t", "base", "k"] = KeptCell({0: 1.0}, "", ("s", "k", "%"))
    with pytest.raises(
        UserError, match=r"mini/tables/t.csv: row base, column k is s k %, and by configs/tables it is r k"
    ):
        measure_kept(study, "t", kept)


def test_the_kept_pages_are_those_that_the_kept_tables_give():
    for path, text in render_kept(ROOT).items():
        assert path.read_text() == text, f"{path} is not what the tables give: run fasa findings"


def test_every_link_of_the_kept_page_leads_somewhere():
    page = ROOT / "docs/findings.md"
    text = page.read_text()
    anchors = {
        re.sub(r"[^\w\- ]", "", line.lstrip("# ").lower()).replace(" ", "-")
        for line in text.splitlines()
        if line.startswith("#")
    }
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert len(links) > 50
    for link in links:
        assert link[1:] in anchors if link.startswith("#") else (page.parent / link).resolve().exists(), link


def test_every_command_of_the_kept_page_names_what_there_is():
    users = load_study(ROOT, "paper").artifacts()
    commands = re.findall(r"`(?:snakemake --cores all|fasa plan) ([^`]+?) --", (ROOT / "docs/findings.md").read_text())
    named = [name.removeprefix("table_").removeprefix("figure_") for command in commands for name in command.split()]
    assert len(commands) == 48 and all(name in users for name in named)


def test_a_scale_has_findings_of_its_own_tables(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    assert main(["render", "findings", "--scale", "mini"]) == 2
    assert "results/mini/tables has no table to test the claims on" in capsys.readouterr().err
    assert main(["render", "ablation", "findings", "--scale", "mini"]) == 0  # without a run: all is not run
    page = (tmp_path / "results/mini/findings.md").read_text()
    assert re.search(r"^\| mini \|( 0 \|){5} \d+ \| \d+ \|$", page, re.MULTILINE)
    assert "[ablation, mini](tables/ablation.md)" in page and "--config scale=mini" in page


def test_a_variation_of_a_scale_is_no_evidence_of_its_own():
    """Those of tail are kept, and claims are judged without them."""
    kept = read_kept(ROOT / "results/reference", ROOT / "figures/reference", ROOT)
    judged = {results.scale.name for results in load_paper(ROOT).judged_by(kept)}
    assert {"tail_apart", "tail_close"} <= {results.scale.name for results in kept} and judged == {
        "proxy",
        "tail",
        "mini",
    }
