"""``fasa render`` and ``fasa findings``: everything that is made from measurements."""

from __future__ import annotations

import argparse
from pathlib import Path

from fasa.cli.common import Commands, add_command, add_seeds, study_of
from fasa.errors import UserError
from fasa.study import Study
from fasa.study.loading import DEFAULT_SCALE


def add_to(commands: Commands) -> None:
    """Add the commands."""
    command = add_command(commands, "render", render)
    add_seeds(command, named=False)
    command.add_argument(
        "names", nargs="*", metavar="NAME", help="tables, figures, findings, report or paper (default: all)"
    )
    command.add_argument(
        "--for-paper", action="store_true", help="figures without notes in the picture, into figures/SCALE/for_paper"
    )
    command.add_argument(
        "--from", type=Path, metavar="BUNDLE", dest="bundle",
        help="a file of 'fasa bundle': unpacked beside it, and rendered there",
    )  # fmt: skip
    add_command(commands, "findings", findings, scale=False)


def render(options: argparse.Namespace) -> None:
    """Make tables, figures, findings and the report from the runs that there are."""
    from fasa.reporting.together import rendered_together
    from fasa.study.bundle import unpack, unpacked

    if options.bundle and options.seeds:
        raise UserError("--from takes the seeds that the bundle has; leave --seeds out.")
    study = unpack(options.bundle, unpacked(options.bundle)) if options.bundle else study_of(options)
    if options.scale not in (DEFAULT_SCALE, study.scale.name):
        raise UserError(f"{options.bundle} is of scale {study.scale.name}; leave --scale {options.scale} out.")
    with rendered_together():
        for name in options.names or [*study.started_artifacts(), "findings", "report", "paper"]:
            print(*_rendered(study, name, options.for_paper), sep="\n")


def _rendered(study: Study, name: str, for_paper: bool) -> list[Path]:
    """The files of a table, a figure or a page, made now."""
    from fasa import reporting

    if name in study.tables:
        return reporting.render_table(study, name)
    if name == "findings":
        return [reporting.render_findings(study)]
    if name == "report":
        return [reporting.render_report(study)]
    if name == "paper":
        made = reporting.render_paper(study)
        if made[-1].suffix != ".pdf":
            print(reporting.NO_TEX)
        return made
    study.check_artifact(name)
    return reporting.render_figure(study, name, for_paper)


def findings(options: argparse.Namespace) -> None:
    """Test the paper's claims on the tables kept in results/reference, and write docs/findings.md, the summary in
    README.md, the effects in docs/deviations.md, and the kept tables' Markdown and LaTeX."""
    from fasa import atomic
    from fasa.reporting.findings import render_kept
    from fasa.reporting.kept import render_tables

    for path, text in (render_kept(Path(".")) | render_tables(Path("."))).items():
        atomic.write_text(path, text)
        print(path)
