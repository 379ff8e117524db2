"""The paper's claims, tested on tables of results: docs/findings.md, the README's summary, what deviations change."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from fasa.config_folders import config_folders, config_paths
from fasa.errors import UserError
from fasa.reporting.csv_tables import as_results, read_kept, read_results
from fasa.reporting.findings.deviations import insert_effects
from fasa.reporting.findings.evidence import JudgedClaim, judge
from fasa.reporting.findings.page import Paper, insert_summary, render_page
from fasa.study.artifacts import load_figures, load_tables
from fasa.study.claims import load_claims
from fasa.study.recipes import load_recipes

if TYPE_CHECKING:
    from fasa.reporting.cells import MeasuredTable
    from fasa.study import Study

KEPT, PICTURES = Path("results/reference"), Path("figures/reference")
LARGEST = "paper"
ORIGIN = (
    "Made by `fasa findings` from the tables in `results/reference/SCALE/tables`; the same tables give the same bytes. "
    "To add the results of a scale, copy `results/SCALE/tables` there and `figures/SCALE/*.png` to "
    "`figures/reference/SCALE`."
)


def render_kept(root: Path) -> dict[Path, str]:
    """What the kept tables give: the whole texts of docs/findings.md, README.md and docs/deviations.md, by path.

    Raises:
        UserError: a mistake in the configs, a damaged table, or a page that is missing or has no place for it.
    """
    paper = load_paper(root)
    kept = read_kept(root / KEPT, root / PICTURES, root)
    judged = paper.judged_by(kept)
    page, readme, deviations = (root / name for name in ("docs/findings.md", "README.md", "docs/deviations.md"))
    return {
        page: render_page(paper, judged, page, root, LARGEST, ORIGIN),
        readme: insert_summary(_text(readme), paper, judged, readme),
        deviations: insert_effects(_text(deviations), paper.tables, kept, deviations),
    }


def render_own(study: Study) -> str:
    """The findings of the tables that are rendered at the scale of ``study``, for its ``findings_path``.

    Raises:
        UserError: no table is rendered, or as of :func:`render_kept`.
    """
    root, scale, tables = study.root, study.scale.name, study.results / "tables"
    if not any(tables.glob("*.csv")):
        raise UserError(f"{tables} has no table to test the claims on; run fasa render --scale {scale} first.")
    own = read_results(tables, root / "figures" / scale, root)
    origin = f"Made by `fasa render findings --scale {scale}` from the tables in `results/{scale}/tables`."
    return render_page(load_paper(root), [own], study.findings_path, root, scale, origin)


def judge_measured(study: Study, measured: Iterable[MeasuredTable]) -> list[JudgedClaim]:
    """Every claim, tested on tables of ``study`` as they are now.

    Raises:
        UserError: a mistake in a config, by file and field.
    """
    paper, results = load_paper(study.root), as_results(study, measured)
    return [judge(claim, paper.tables, results) for claim in paper.claims]


def load_paper(root: Path) -> Paper:
    """The claims of the study in ``root`` and what they are of.

    Raises:
        UserError: a mistake in a config, by file and field.
    """
    recipes = load_recipes(config_paths(root, "recipes/*.yaml"))
    tables = load_tables(config_paths(root, "tables/*.yaml"), recipes)
    figures = load_figures(config_paths(root, "figures.yaml"), recipes, tables)
    return Paper(load_claims(config_folders(root)[0] / "claims.yaml", tables, figures), tables, figures)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); run this in the root of a clone.") from error
