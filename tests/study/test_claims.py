"""The claims file: it covers the paper, it says what the paper's own figures say, and its mistakes are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from fasa.errors import UserError
from fasa.reporting.csv_tables import Results
from fasa.reporting.findings import load_paper
from fasa.reporting.findings.evidence import judge
from fasa.study.claims import load_claims
from fasa.study.scales import load_scale

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def paper():
    return load_paper(ROOT)


def test_every_table_and_figure_of_the_paper_has_a_claim(paper):
    users = paper.published()
    assert len(users) == 14 + 10  # 1a, 1b, 1c, 3, 4a, 4b, 5, one of the supplement, and two tables drawn
    told = {name for claim in paper.claims for name in claim.of}
    assert {user.name for user in users} == told


def test_the_papers_own_figures_are_as_its_claims_say(paper):
    nothing = Results(load_scale(ROOT, "paper"), Path(), Path(), {}, {})
    cells = [cell for claim in paper.claims for cell in judge(claim, paper.tables, nothing).evidence]
    holds = [cell.published_holds for cell in cells]
    assert holds.count(True) > 100 and holds.count(False) == 0
    unpublished = {(cell.table.name, cell.column.key) for cell in cells if cell.published_holds is None}
    assert unpublished == {
        ("figures_in_numbers", "figures"),
        ("figures_in_numbers_cifar", "figures"),
        ("feature_augmentation", "mask_ap.AP"),
        ("cost", "cost.seconds_per_iteration"),
        ("cost_cifar", "cost.seconds"),
    }  # what the paper prints no figure of


def test_gains_over_a_baseline_with_controls_are_judged_by_their_headroom(paper):
    free = {
        (claim.name, check.table)
        for claim in paper.claims
        for check in claim.cells
        if check.expect == "higher" and "mask_ap.AP" in check.columns and check.headroom is None
    }
    assert free == {  # nothing is below the line there
        ("gains_on_backbones", "backbones"),
        ("coco_lt_gains", "coco_lt"),
        ("coco_lt_beats_simcal", "coco_lt"),
    }


CLAIM = """
one:
  of: [ablation]
  says: FA helps.
  where: Table 1
  cells:
    - {table: ablation, rows: [fa], columns: [mask_ap.AP], expect: higher}
"""


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("of: [ablation]", "of: [ablations]", "claim 'one' is of 'ablations', which is no table or figure"),
        ("of: [ablation]", "of: [cifar_fig3]", "claim 'one' is of 'cifar_fig3', which is not the paper's"),
        ("table: ablation", "table: ablations", "claim 'one' names an unknown table 'ablations'"),
        ("rows: [fa]", "rows: [fb]", "claim 'one' names an unknown row 'fb' of table 'ablation'"),
        ("mask_ap.AP]", "mask_ap.AR]", "claim 'one' names an unknown column 'mask_ap.AR' of table 'ablation'"),
        ("rows: [fa]", "rows: [baseline]", "compares row 'baseline', which has no baseline; say 'against' which row"),
        ("expect: higher", "expect: at most", "'percent' goes with 'at most', and only with it"),
        ("expect: higher", "expect: higher, than: 1, against: fa_fs", "give 'against', 'over' or 'than'"),
        ("expect: higher", "expect: less varied, than: 1", "'less varied' compares two rows"),
        ("expect: higher", "expect: not lower, headroom: {table: ablation}", "'headroom' goes with 'higher' and"),
        ("expect: higher", "expect: higher, headroom: {table: ablations}", "from an unknown table 'ablations'"),
        ("expect: higher", "expect: higher, headroom: {table: sampling}", "another table, 'sampling'; say 'over'"),
        ("expect: higher", "expect: higher, headroom: {table: ablation, over: base}",
         "its headroom over an unknown row 'base' of table 'ablation'; closest: 'baseline'"),
        ("expect: higher", "expect: higher, headroom: {table: ablation, over: fa}",
         "its headroom from table 'ablation', which has no control over row 'fa'"),
        ("expect: higher", "expect: higher, headroom: {table: cifar_lt, over: ce}", "which has no column 'mask_ap.AP'"),
        ("expect: higher", "expects: higher", "unknown key 'cells.0.expects'"),
        ("  cells:", "  by_eye: It shows.\n  cells:", "it needs 'cells' that decide it, or 'by_eye', why none can"),
        ("ablation, rows: [fa], columns: [mask_ap.AP], expect: higher",
         "cost, rows: [rfs_fasa], columns: [cost.memory_gb], expect: not higher",
         "allows the tolerance of table 'cost', which has none"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_claim_is_named(tmp_path, paper, old, new, words):
    path = tmp_path / "claims.yaml"
    path.write_text(CLAIM)
    (claim,) = load_claims(path, paper.tables, paper.figures)
    assert claim.cells[0].rows == ("fa",)
    assert old in CLAIM
    path.write_text(CLAIM.replace(old, new))
    with pytest.raises(UserError) as error:
        load_claims(path, paper.tables, paper.figures)
    assert words in str(error.value) and str(path) in str(error.value)
