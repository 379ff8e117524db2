"""The findings in Markdown: a page with a summary and a section for each table and figure, and the README's part."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fasa.config_folders import OF_A_WHOLE
from fasa.reporting.cells import CONFIRMED, CONTRADICTED, NOTHING, UNDECIDED
from fasa.reporting.csv_tables import Results
from fasa.reporting.findings import words
from fasa.reporting.findings.evidence import BY_EYE, MIXED, NO_HEADROOM, NOT_RUN, Evidence, JudgedClaim, judge
from fasa.reporting.markdown import escape, insert, line
from fasa.study.artifacts import Figure, Table, is_ours
from fasa.study.claims import Claim

DECIDED = (CONFIRMED, CONTRADICTED, MIXED)
ORDER = (*DECIDED, UNDECIDED, NO_HEADROOM, NOT_RUN, BY_EYE)
IN_README = ("What the paper says", "Published")
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
its 95 % interval and the p value of a two-sided t test against what is claimed. A claim says that all its cells hold.
It is confirmed only if every cell is, each by its own p. It is contradicted if a cell is and none is confirmed; with
both it is mixed. As one cell can contradict it, contradictions use p values adjusted by Holm's method over all its
cells. Nothing is adjusted across claims: of twenty wrong ones, one may be decided by chance.

| Verdict | of a cell | of a claim |
| --- | --- | --- |
| confirmed | p ≤ 0.05, on the claimed side | every cell is confirmed |
| contradicted | p by Holm ≤ 0.05, on the other side | a cell is contradicted, and none is confirmed |
| mixed | | some cells are confirmed, some contradicted |
| no headroom | neither, and no control shows that there was something to gain | of all cells but the confirmed |
| undecided | none of these; with *one seed* nothing can be tested | none of these |
| not run | there is no pair of runs | of all cells |
| by eye | | no number decides it: look at the picture |

A gain can be confirmed only where there is something to gain. Whether there is, controls tell, such as Balanced Softmax
and NorCal below the line of a table. A control shows headroom in a column if its difference from its own baseline lies
above 0 by its 95 % interval. An undecided cell has no headroom if none of its controls shows any, and the best of them
has as many seeds as the cell or more. Such a cell could hardly have been confirmed, and says little about the method.
The best control, by the lower end of its interval, stands in brackets beside the verdict. A cell without controls stays
undecided.

A claim that one row varies less than another is about the ratio of their standard deviations over the seeds, with an F
test that it is 1. With three seeds the ratio has to lie below 1/6.2, with five below 1/3.1. That the rows share their
seeds makes the test cautious; but it takes the values for normally distributed, so one seed that fails can decide it.

What must be "no worse" or must "hardly" change may do so by the tolerance of its table, one point. The summary shows
the differences of each column of the claim, from the least to the largest."""


@dataclass(frozen=True)
class Paper:
    """What the findings are about: the claims, and the tables and figures that they are of."""

    claims: tuple[Claim, ...]
    tables: dict[str, Table]
    figures: dict[str, Figure]

    def judged_by(self, kept: Sequence[Results]) -> list[Results]:
        """The scales of ``kept`` that have a table whose cells decide a claim, and are no variation of another."""
        deciding = {check.table for claim in self.claims for check in claim.cells}
        return [results for results in kept if deciding & results.datasets.keys() and not results.scale.variation]

    def published(self) -> list[Table | Figure]:
        """The paper's own tables, then its figures."""
        artifacts: list[Table | Figure] = [*self.tables.values(), *self.figures.values()]
        return [artifact for artifact in artifacts if not is_ours(artifact)]

    def artifact(self, name: str) -> Table | Figure:
        """The table or figure of that name."""
        return self.tables[name] if name in self.tables else self.figures[name]


def render_page(paper: Paper, kept: Sequence[Results], page: Path, root: Path, run_at: str, origin: str) -> str:
    """The page as Markdown.

    Args:
        page: where it will lie; links are relative to it.
        root: of the repository.
        run_at: the scale that the commands of its sections name.
        origin: what makes the page of which tables, in words.
    """
    own = root / "configs" / OF_A_WHOLE
    claims = f"[the claims]({_link(page, own)})" if own.exists() else "the claims that fasa ships"
    intro = f"{origin} No figure here is typed: {claims} name the cells that decide them."
    parts = ["# What holds: the paper's claims, tested", intro, *map(_scale_in_words, kept), HOW_TO_READ]
    parts += ["## Summary", "\n".join(_counts(paper, kept)), _summary(paper, kept)]
    for artifact in paper.published():
        parts += _section(paper, artifact, kept, page, run_at)
    return "\n\n".join(part for part in parts if part) + "\n"


def insert_summary(text: str, paper: Paper, kept: Sequence[Results], path: Path) -> str:
    """``text`` of the README at ``path`` with its summary made anew: the main claims.

    Raises:
        UserError: the page has no place for it.
    """
    main = {claim: {one.scale: one for one in _judged(paper, claim, kept)} for claim in paper.claims if claim.main}
    scales = [one.scale.name for one in kept if any(one.scale.name in found for found in main.values())]
    heading = (*IN_README, *map(escape, scales))
    lines = [line(heading), line(["---"] * len(heading))]
    for claim, found in main.items():
        best = strongest([*found.values()]) if found else None
        cells = [_in_readme(found.get(scale), best) for scale in scales]
        lines.append(line([escape(claim.says), escape(words.published_range(best)) if best else NOTHING, *cells]))
    lines += [
        "",
        "Differences from the same without FASA (or from what the claim names), in the tables' units, where the "
        "largest scale decides a claim, or else at the largest that was run. All claims, cell by cell: "
        "[docs/findings.md](docs/findings.md).",
        "",
        *_counts(paper, kept),
    ]
    return insert(text, "findings", lines, path)


def strongest(judged: Sequence[JudgedClaim]) -> JudgedClaim:
    """Of a claim at several scales, the largest first: the largest that decides it, or else the largest."""
    return next((one for one in judged if one.verdict in DECIDED), judged[0])


def _judged(paper: Paper, claim: Claim, kept: Sequence[Results]) -> list[JudgedClaim]:
    """The claim at each scale that has a run for it, the largest first."""
    judged = [judge(claim, paper.tables, results) for results in kept]
    return [one for one in judged if one.verdict not in (NOT_RUN, BY_EYE)]


def _scale_in_words(results: Results) -> str:
    """What the tables of a scale are of, and what its verdicts can say."""
    scale = results.scale
    data = sorted({name for names in results.datasets.values() for name in names})
    parts = {name: part.description or scale.description for name, part in scale.parts.items()}
    about = [f"{name.capitalize()}: {text}" for name, text in parts.items()] if len(parts) > 1 else [*parts.values()]
    text = f"{' '.join(about)} Data: {', '.join(data)}."
    if not scale.comparable:
        text += (
            " Absolute figures do not compare with the published ones, and a verdict is about these data and networks:"
            " of LVIS, COCO-LT and CIFAR-100 at the paper's size it is at best a hint."
        )
    return f"**Scale {scale.name}.** {escape(text)}"


def _in_readme(one: JudgedClaim | None, best: JudgedClaim | None) -> str:
    """The verdict at a scale; where it speaks clearest, with the figures."""
    if one is None:
        return NOTHING
    if one is not best:
        return escape(one.verdict)
    return f"{_verdict_in_words(one)}: {escape(words.our_range(one))}, n = {words.seeds_range(one)}"


def _counts(paper: Paper, kept: Sequence[Results]) -> list[str]:
    """How many claims have which verdict, a line of a table for each scale."""
    heading = (f"Of {len(paper.claims)} claims, at scale", *ORDER)
    lines = [line(heading), line(["---", *["---:"] * len(ORDER)])]
    for results in kept:
        counts = Counter(judge(claim, paper.tables, results).verdict for claim in paper.claims)
        lines.append(line([escape(results.scale.name), *(str(counts[verdict]) for verdict in ORDER)]))
    return lines if kept else [f"{len(paper.claims)} claims; nothing of them has been run."]


def count_verdicts(judged: Sequence[JudgedClaim]) -> str:
    """How many claims have which verdict: "3 confirmed, 1 by eye"."""
    counts = Counter(one.verdict for one in judged)
    return ", ".join(f"{counts[verdict]} {verdict}" for verdict in ORDER if counts[verdict])


def _verdict_in_words(judged: JudgedClaim) -> str:
    """The verdict and, of several cells that do not agree, how many have which."""
    return f"**{judged.verdict}**" + (f" ({escape(judged.reason)})" if judged.reason else "")


def _summary(paper: Paper, kept: Sequence[Results]) -> str:
    lines, above = [line(SUMMARY), line(["---"] * len(SUMMARY))], ""
    places = [artifact.name for artifact in paper.published()]
    for claim in sorted(paper.claims, key=lambda claim: places.index(claim.of[0])):  # as their sections
        link = _link_to(paper.artifact(claim.of[0]))
        says = [link if link != above else "", escape(claim.says)]
        above = link
        judged = _judged(paper, claim, kept)
        if not judged:
            lines.append(line([*says, *[NOTHING] * 4, BY_EYE if claim.by_eye else NOT_RUN]))
        for one in judged:
            figures = [words.published_range(one), words.our_range(one), words.seeds_range(one), one.scale]
            lines.append(line([*says, *map(escape, figures), _verdict_in_words(one)]))
            says = ["", ""]
    return "\n".join(lines)


def _section(paper: Paper, artifact: Table | Figure, kept: Sequence[Results], page: Path, run_at: str) -> Iterator[str]:
    yield f"## {escape(_heading(artifact))}"
    yield escape(artifact.caption)
    claims = [claim for claim in paper.claims if artifact.name in claim.of]
    for claim in claims:
        if claim.of[0] != artifact.name:
            yield f"{escape(claim.says)} See {_link_to(paper.artifact(claim.of[0]))}."
            continue
        yield f"**{escape(claim.says)}** ({escape(claim.where)})" + (f" {escape(claim.note)}" if claim.note else "")
        if claim.by_eye:
            yield f"*By eye.* {escape(claim.by_eye)}"
            continue
        yield from _evidence_of(paper, claim, kept)
    yield from _sources(artifact, claims, kept, page, run_at)


def _evidence_of(paper: Paper, claim: Claim, kept: Sequence[Results]) -> Iterator[str]:
    judged = _judged(paper, claim, kept)
    if not judged:
        reasons = dict.fromkeys(c.missing for r in kept for c in judge(claim, paper.tables, r).evidence if c.missing)
        yield f"*Not run*{': ' + escape('; '.join(reasons)) if reasons else ''}."
        return
    for one in judged:
        yield f"Scale {escape(one.scale)}: {_verdict_in_words(one)}"
        rules = ["---", "---", *["---:"] * 7, "---"]
        lines = [[*map(escape, CELLS)], rules, *map(_cells, one.evidence)]
        if not any(cells[1] for cells in lines[2:]):  # a table of one column, or columns compared with each other
            lines = [[cells[0], *cells[2:]] for cells in lines]
        yield "\n".join(map(line, lines))
        missing = dict.fromkeys(cell.missing for cell in one.evidence if cell.missing)
        if missing:
            yield f"Missing: {escape('; '.join(missing))}."


def _cells(cell: Evidence) -> list[str]:
    texts = [
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
    return [*map(escape, (*texts, words.verdict(cell)))]


def _sources(
    artifact: Table | Figure, claims: Sequence[Claim], kept: Sequence[Results], page: Path, run_at: str
) -> Iterator[str]:
    """The pictures, links to the whole tables, and the command that runs the rest."""
    figures = [artifact.name] if isinstance(artifact, Figure) else []
    for results in kept if figures else ():
        if (path := results.figures / f"{artifact.name}.png").exists():
            yield f"![{escape(artifact.title)}, scale {results.scale.name}]({_link(page, path)})"
    tables = list(dict.fromkeys(check.table for claim in claims for check in claim.cells))
    files = [(f"{name}, {r.scale.name}", r.tables / f"{name}.md") for name in tables for r in kept]
    links = [f"[{escape(name)}]({_link(page, path)})" for name, path in files if path.exists()]
    whole = f"Whole tables: {', '.join(links)}. " if links else ""
    targets = " ".join([*(f"figure_{name}" for name in figures), *(f"table_{name}" for name in tables)])
    yield (
        f"{whole}To run it: `snakemake --cores all {targets} --config scale={run_at}`; what that takes: "
        f"`fasa plan {' '.join([*figures, *tables])} --scale {run_at}`."
    )


def _heading(artifact: Table | Figure) -> str:
    place = artifact.published_as
    return f"{place[:1].upper()}{place[1:]}: {artifact.title}"


def _link_to(artifact: Table | Figure) -> str:
    """A link to a section by where the paper has it, in few words: "Table 8", "Figure 5", "Suppl. Table 6"."""
    place = re.sub(r" \(.*\)|, drawn", "", artifact.published_as)
    short = re.sub(r"^[Ss]upplement, ([TFf])", lambda m: f"Suppl. {m[1].upper()}", place)
    anchor = re.sub(r"[^\w\- ]", "", _heading(artifact).lower()).replace(" ", "-")  # as GitHub makes it
    return f"[{escape(short)}](#{anchor})"


def _link(page: Path, target: Path) -> str:
    return Path(os.path.relpath(target, page.parent)).as_posix()
