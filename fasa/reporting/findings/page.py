"""The findings as one Markdown page: how to read it, a summary, a section for every table and figure of the paper."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fasa.reporting.comparison import CONFIRMED, CONTRADICTED, NOTHING, UNDECIDED
from fasa.reporting.findings import words
from fasa.reporting.findings.evidence import BY_EYE, MIXED, NOT_RUN, Evidence, Finding, judge
from fasa.reporting.findings.kept import Results
from fasa.reporting.markdown import escape
from fasa.study.artifacts import Figure, Table, is_ours
from fasa.study.claims import Claim

ORDER = (CONFIRMED, CONTRADICTED, MIXED, UNDECIDED, NOT_RUN, BY_EYE)
SUMMARY = ("", "What the paper says", "Published", "Ours", "n", "Scale", "Verdict")
CELLS = (
    "Compared",
    "",
    "Claimed",
    "Published",
    "Ours",
    "n",
    "Δ published",
    "Δ ours [95 % interval]",
    "p (Holm)",
    "Verdict",
)

HOW_TO_READ = """\
A claim rests on the cells that its section lists. Each is a difference of two rows, paired by seed, over n seeds, with
its 95 % interval and the p of a two-sided t test against what is claimed. A claim says that all its cells hold. So it
is confirmed if every cell is, each by its own p: no chance find in one of many can do that. But one cell contradicts
it, so contradictions go by the p that Holm's method adjusts over all cells of the claim. Nothing is adjusted over
claims: of twenty that are wrong, one may be decided by chance.

| Verdict | of a cell | of a claim |
| --- | --- | --- |
| confirmed | p ≤ 0.05, on the claimed side | every cell is confirmed |
| contradicted | p by Holm ≤ 0.05, on the other side | a cell is contradicted, and none is confirmed |
| mixed | | some cells are confirmed, some contradicted |
| undecided | neither; with *one seed* nothing can be tested | none is contradicted, and not all are confirmed |
| not run | there is no pair of runs | of all cells |
| by eye | | no number decides it: look at the picture |

What must be "no worse" or must "hardly" change may do so by the tolerance of its table, one point. The summary shows
the differences of each column of the claim, from the least to the largest."""


@dataclass(frozen=True)
class Paper:
    """What the findings are about: the claims, and the tables and figures that they are of."""

    claims: tuple[Claim, ...]
    tables: dict[str, Table]
    figures: dict[str, Figure]

    def judged_by(self, kept: Sequence[Results]) -> list[Results]:
        """The scales of ``kept`` that have a table whose cells decide a claim; others have nothing to say of them."""
        deciding = {check.table for claim in self.claims for check in claim.cells}
        return [results for results in kept if deciding & results.datasets.keys()]

    def published(self) -> list[Table | Figure]:
        """The paper's own tables, then its figures."""
        users = [*self.tables.values(), *self.figures.values()]
        return [user for user in users if not is_ours(user)]


def findings_of(paper: Paper, claim: Claim, kept: Sequence[Results]) -> list[Finding]:
    """The claim at each scale that has a run for it, the largest first; without any, at none."""
    judged = [judge(claim, paper.tables, results) for results in kept]
    return [finding for finding in judged if finding.verdict not in (NOT_RUN, BY_EYE)]


def render_page(paper: Paper, kept: Sequence[Results], page: Path, root: Path, run_at: str, origin: str) -> str:
    """The page as Markdown.

    Args:
        page: where it will lie; links are relative to it.
        root: of the repository.
        run_at: the scale that the commands of its sections name.
        origin: what makes the page of which tables, in words.
    """
    claims = _link(page, root / "configs/claims.yaml")
    intro = f"{origin} No figure here is typed: [the claims]({claims}) name the cells that decide them."
    parts = ["# What holds: the paper's claims, tested", intro, *map(scale_in_words, kept), HOW_TO_READ]
    parts += ["## Summary", counts_in_words(paper, kept), _summary(paper, kept)]
    for user in paper.published():
        parts += _section(paper, user, kept, page, run_at)
    return "\n\n".join(part for part in parts if part) + "\n"


def scale_in_words(results: Results) -> str:
    """What the tables of a scale are of, and what its verdicts can say."""
    scale = results.scale
    data = sorted({name for names in results.datasets.values() for name in names})
    own = scale.detection.description if scale.detection and scale.detection.description else ""
    told = f"Classifiers: {scale.description} Detectors: {own}" if own and scale.seeds else own or scale.description
    text = f"{told} Data: {', '.join(data)}."
    if not scale.comparable:
        text += (
            " Absolute figures do not compare with the published ones, and a verdict is about these data and networks:"
            " of LVIS, COCO-LT and CIFAR-100 at the paper's size it is at best a hint."
        )
    return f"**Scale {scale.name}.** {escape(text)}"


def counts_in_words(paper: Paper, kept: Sequence[Results]) -> str:
    """How many claims have which verdict, a sentence for each scale."""
    told = []
    for results in kept:
        counts = Counter(judge(claim, paper.tables, results).verdict for claim in paper.claims)
        verdicts = ", ".join(f"{counts[verdict]} {verdict}" for verdict in ORDER if counts[verdict])
        told.append(f"Of {len(paper.claims)} claims, at scale {results.scale.name}: {verdicts}.")
    return " ".join(told) or f"{len(paper.claims)} claims; nothing of them has been run."


def verdict_in_words(finding: Finding) -> str:
    """The verdict and, of several cells that do not agree, how many have which."""
    return f"**{finding.verdict}**" + (f" ({escape(finding.reason)})" if finding.reason else "")


def row(cells: Sequence[str]) -> str:
    """A line of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def _summary(paper: Paper, kept: Sequence[Results]) -> str:
    lines, above = [row(SUMMARY), row(["---"] * len(SUMMARY))], ""
    for claim in _in_order(paper):
        user = _user(paper, claim.of[0])
        link = f"[{escape(_short(user))}](#{_anchor(_heading(user))})"
        says = [link if link != above else "", escape(claim.says)]
        above = link
        found = findings_of(paper, claim, kept)
        if not found:
            verdict = BY_EYE if claim.by_eye else NOT_RUN
            lines.append(row([*says, *[NOTHING] * 4, verdict]))
        for finding in found:
            told = [words.published_range(finding), words.our_range(finding), words.seeds_range(finding), finding.scale]
            lines.append(row([*says, *map(escape, told), verdict_in_words(finding)]))
            says = ["", ""]
    return "\n".join(lines)


def _section(paper: Paper, user: Table | Figure, kept: Sequence[Results], page: Path, run_at: str) -> Iterator[str]:
    yield f"## {escape(_heading(user))}"
    yield escape(user.caption)
    claims = [claim for claim in paper.claims if user.name in claim.of]
    for claim in claims:
        if claim.of[0] != user.name:
            first = _user(paper, claim.of[0])
            yield f"{escape(claim.says)} See [{escape(_short(first))}](#{_anchor(_heading(first))})."
            continue
        yield f"**{escape(claim.says)}** ({escape(claim.where)})" + (f" {escape(claim.note)}" if claim.note else "")
        if claim.by_eye:
            yield f"*By eye.* {escape(claim.by_eye)}"
            continue
        yield from _evidence_of(paper, claim, kept)
    yield from _sources(user, claims, kept, page, run_at)


def _evidence_of(paper: Paper, claim: Claim, kept: Sequence[Results]) -> Iterator[str]:
    found = findings_of(paper, claim, kept)
    if not found:
        reasons = dict.fromkeys(c.missing for r in kept for c in judge(claim, paper.tables, r).evidence if c.missing)
        yield f"*Not run*{': ' + escape('; '.join(reasons)) if reasons else ''}."
        return
    for finding in found:
        yield f"Scale {escape(finding.scale)}: {verdict_in_words(finding)}"
        rules = ["---", "---", *["---:"] * 7, "---"]
        lines = [[*map(escape, CELLS)], rules, *map(_cells, finding.evidence)]
        if not any(line[1] for line in lines[2:]):  # a table of one column, or columns compared with each other
            lines = [[line[0], *line[2:]] for line in lines]
        yield "\n".join(map(row, lines))
        missing = dict.fromkeys(cell.missing for cell in finding.evidence if cell.missing)
        if missing:
            yield f"Missing: {escape('; '.join(missing))}."


def _cells(cell: Evidence) -> list[str]:
    told = [
        words.comparison_of(cell),
        words.column_of(cell.column) if cell.over is None and len(cell.table.columns) > 1 else "",
        words.claimed(cell),
        words.published_levels(cell),
        words.our_levels(cell),
        str(cell.n) if cell.n else NOTHING,
        words.published_change(cell),
        words.our_change(cell),
        words.p_values(cell),
    ]
    return [*map(escape, told), cell.verdict]


def _sources(
    user: Table | Figure, claims: Sequence[Claim], kept: Sequence[Results], page: Path, run_at: str
) -> Iterator[str]:
    """The pictures, links to the whole tables, and the command that runs the rest."""
    if isinstance(user, Figure):
        for results in kept:
            if (path := results.figures / f"{user.name}.png").exists():
                yield f"![{escape(user.title)}, scale {results.scale.name}]({_link(page, path)})"
    tables = list(dict.fromkeys(check.table for claim in claims for check in claim.cells))
    files = [(f"{name}, {r.scale.name}", r.tables / f"{name}.md") for name in tables for r in kept]
    links = [f"[{escape(name)}]({_link(page, path)})" for name, path in files if path.exists()]
    told = f"Whole tables: {', '.join(links)}. " if links else ""
    figures = [user.name] if isinstance(user, Figure) else []
    targets = " ".join([*(f"figure_{name}" for name in figures), *(f"table_{name}" for name in tables)])
    yield (
        f"{told}To run it: `snakemake --cores all {targets} --config scale={run_at}`; what that takes: "
        f"`fasa plan {' '.join([*figures, *tables])} --scale {run_at}`."
    )


def _in_order(paper: Paper) -> list[Claim]:
    """The claims in the order of their sections."""
    places = [user.name for user in paper.published()]
    return sorted(paper.claims, key=lambda claim: places.index(claim.of[0]))


def _user(paper: Paper, name: str) -> Table | Figure:
    return paper.tables[name] if name in paper.tables else paper.figures[name]


def _heading(user: Table | Figure) -> str:
    place = user.published_as
    return f"{place[:1].upper()}{place[1:]}: {user.title}"


def _short(user: Table | Figure) -> str:
    """ "Table 8", "Figure 5", "Suppl. Table 6": where it is, in as few words as a narrow column holds."""
    place = re.sub(r" \(.*\)|, drawn", "", user.published_as)
    return re.sub(r"^[Ss]upplement, ([TFf])", lambda m: f"Suppl. {m[1].upper()}", place)


def _anchor(heading: str) -> str:
    """The anchor that GitHub makes of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _link(page: Path, target: Path) -> str:
    return Path(os.path.relpath(target, page.parent)).as_posix()
