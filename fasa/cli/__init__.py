"""The command ``fasa``: every step of the workflow by hand, and the scoring of anybody's results."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from fasa.errors import UserError
from fasa.evaluation.score.arguments import add_arguments as add_score_arguments
from fasa.study import Run, Study, load_study
from fasa.study.detection_recipes import DetectionData

if TYPE_CHECKING:
    from rich.console import Console


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; 0, 2 after a mistake of the user's, told in one sentence, or 130 after Ctrl-C."""
    options = _parser().parse_args(arguments)
    try:
        return options.command(options) or 0
    except UserError as error:
        print(f"fasa: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _plan(options: argparse.Namespace) -> None:
    """What runs take: GPUs, hours, memory and disk, by table and figure, with what they start from; or run by run."""
    from fasa.reporting.plan_page import by_run, by_table
    from fasa.study.cost import plans, run_plans

    study = _study(options)
    if options.seeds is not None and options.seeds < 1:
        raise UserError("--seeds wants 1 or more.")
    names = options.names or list(study.in_all())
    if options.runs:
        _console().print(by_run(study, list(run_plans(study, names, options.seeds).values())[-1]))
    else:
        _console().print(by_table(study, plans(study, names, os.cpu_count() or 1, options.seeds)))
    if study.withheld and not options.names:
        print(f"Not at this scale: {', '.join(study.withheld)}.")
    if not options.names and (apart := [name for name in study.users() if name not in names]):
        print(f"Not with all, only by name: {', '.join(apart)}.")


def _status(options: argparse.Namespace) -> None:
    """What is done, running, failed and missing, by table and figure; or a live page of it until nothing is left."""
    from fasa.reporting import status_page, status_screen
    from fasa.study.status import Watch

    study, console = _study(options), _console()
    if options.watch:
        if options.every <= 0:
            raise UserError("--every wants seconds above 0.")
        return status_screen.watch(study, options.every, console)
    snapshot = Watch(study).look()
    if options.html:
        return print(status_page.write_status(study, snapshot))
    console.print(status_screen.summary(snapshot))
    for line in status_screen.failures(snapshot):
        console.print(line, soft_wrap=True)


def _doctor(options: argparse.Namespace) -> int:
    """What is missing here (packages, data, GPUs, Slurm, disk), and the command that mends it; exit code 1 if any."""
    from fasa.doctor import examine, screen

    study, console = _study(options), _console()
    with console.status("looking …") if console.is_terminal and not options.json else nullcontext():
        sections = examine(study, options.names)
    if options.json:
        print(screen.as_json(sections, study.scale.name, options.names))
    else:
        what = ", ".join(options.names) or "everything"
        screen.show(sections, f"fasa doctor: {what} at scale {study.scale.name}", console)
    return 1 if screen.states(sections)["missing"] else 0


def _data(options: argparse.Namespace) -> int:
    """Prepare the data of a recipe: download, read or generate, cut the long tail, pack; or check official files."""
    study = _study(options)
    data = study.recipe(options.recipe).data
    destination = study.pack_path(options.recipe)
    if study.recipe(options.recipe).task == "detection":
        return _detection_data(options, data, destination)
    if options.check:
        raise UserError(f"'{options.recipe}' is a classifier, whose data is checked as it is read; leave out --check.")
    from fasa import datasets

    if destination.exists():
        datasets.load_pack(destination)  # a damaged one is told, not kept
        print(f"{destination} is there already.")
        return 0
    datasets.prepare(
        name=data.name,
        imbalance_ratio=data.imbalance_ratio,
        heldout_per_class=data.heldout_per_class,
        subset_seed=data.subset_seed,
        source=options.source,
        downloads=study.root / "resources" / "downloads",
        destination=destination,
    )
    print(destination)
    return 0


def _detection_data(options: argparse.Namespace, data: DetectionData, destination: Path) -> int:
    from fasa.tasks.detection import prepare

    if options.check:
        found = prepare.check(data, options.source, destination.parent)
        print(*found.facts, *found.problems, sep="\n")
        return 2 if found.problems else 0
    if destination.exists():
        print(f"{destination} is there already.")
        return 0
    prepare.prepare(data, destination, options.source)
    print(destination)
    return 0


def _pretrain(options: argparse.Namespace) -> None:
    """Provide what a detector's backbone starts from: ImageNet's weights, or some made of glyphs that no scene has."""
    study = _study(options)
    if study.pretrained_path(options.recipe) is None:
        raise UserError(f"scale '{study.scale.name}' pre-trains nothing for '{options.recipe}'; choose another.")
    if not study.scale.detection.pretraining:
        from fasa.tasks.detection import published_weights

        print(published_weights.provide(study, options.recipe))
        return
    from rich.progress import Progress

    from fasa.tasks.detection.pretraining import provide

    with Progress(transient=True, disable=None) as progress:
        task = progress.add_task("pre-training", total=None)
        print(provide(study, options.recipe, lambda done, total, _: progress.update(task, completed=done, total=total)))


def _train(options: argparse.Namespace) -> int:
    """Train runs, classifiers side by side; a killed training goes on where it was."""
    study = _study(options)
    classifiers, detectors = _runs(study, options)
    failures: dict[Run, Exception] = {}
    if options.dump_config:
        if classifiers or len(detectors) != 1:
            raise UserError("--dump-config prints the MMDetection config of one detector with one --seed; name those.")
        from fasa.tasks.detection.training import dump_config

        print(dump_config(study, detectors[0]))
        return 0
    _choose_device(options, classifiers, detectors)
    if classifiers:
        from fasa.tasks.classification import session

        failures |= session.train(study, classifiers, session.choose_device(options.device))
    if detectors:
        from fasa.tasks.detection import session as detection_session

        failures |= detection_session.train(study, detectors)
    mistakes = [error for error in failures.values() if isinstance(error, UserError)]
    for error in mistakes:
        print(f"fasa: {error}", file=sys.stderr)
    return 0 if not failures else 2 if len(mistakes) == len(failures) else 1


def _evaluate(options: argparse.Namespace) -> int:
    """Measure trained runs and write their metrics.json; detectors' figures beside the official tools' if asked."""
    started = time.monotonic()  # of the first run, with the loading of torch: in the workflow it is the only one
    study = _study(options)
    classifiers, detectors = _runs(study, options)
    _choose_device(options, classifiers, detectors)
    if classifiers:
        from fasa.tasks.classification import session

        device = session.choose_device(options.device)
        for run in classifiers:
            print(session.evaluate(study, run, device, started))
            started = time.monotonic()
    if detectors:
        from fasa.tasks.detection import session as detection_session

        for run in detectors:
            print(detection_session.evaluate(study, run, started))
            started = time.monotonic()
    return _verify(study, detectors) if options.verify else 0


def _choose_device(options: argparse.Namespace, classifiers: list[Run], detectors: list[Run]) -> None:
    """Detectors run on the devices that they see, so they are shown but the one of ``--device``."""
    if options.device and detectors:
        if classifiers:
            raise UserError("--device is for classifiers or for detectors; name them in two commands.")
        from fasa.tasks.processes import restrict

        restrict(options.device)


def _verify(study: Study, runs: list[Run]) -> int:
    """Score the runs' detections by lvis-api or pycocotools and tidecv, too; 1 if a figure differs."""
    from fasa.evaluation.score.verification import verify
    from fasa.tasks.detection.manifest import read_manifest

    differ = 0
    for run in runs:
        annotations = Path(read_manifest(study.pack_path(run.recipe)).val.annotations)
        found = study.work_dir(run.recipe, run.seed) / "detections.npz"
        compared = verify(annotations, found, protocols=("standard",), tide=True)
        wrong = [c for c in compared if not c.equal]
        print(f"{run.recipe} seed {run.seed}: {len(compared) - len(wrong)} of {len(compared)} figures equal the tools'")
        for comparison in wrong:
            print(f"  {comparison.metric}: {comparison.ours} here, {comparison.official} by {comparison.tool}")
        differ += len(wrong)
    return 1 if differ else 0


def _runs(study: Study, options: argparse.Namespace) -> tuple[list[Run], list[Run]]:
    """The runs that the options name, classifiers' and detectors'; a typo is refused before torch is loaded."""
    runs = [Run(recipe, seed) for recipe in options.recipes for seed in options.seed or study.seeds(recipe)]
    tasks = [study.recipe(run.recipe).task for run in runs]
    both = list(zip(runs, tasks, strict=True))
    return [r for r, task in both if task == "classification"], [r for r, task in both if task == "detection"]


def _render(options: argparse.Namespace) -> None:
    """Make tables, figures, findings and the report from the runs that there are."""
    from fasa import reporting

    study = _study(options)
    names = options.names or [*study.current(), "findings", "report"]
    for name in names:
        if name in study.tables:
            made = reporting.render_table(study, name)
        elif name in study.figures:
            made = reporting.render_figure(study, name)
        elif name == "findings":
            made = [reporting.render_findings(study)]
        elif name == "report":
            made = [reporting.render_report(study)]
        else:
            study.check_user(name)
        print(*made, sep="\n")


def _findings(options: argparse.Namespace) -> None:
    """Test the paper's claims on the tables kept in results/reference, and write docs/findings.md, the summary in
    README.md and the last column of docs/deviations.md."""
    from fasa.reporting.findings import write_kept

    print(*write_kept(Path(".")), sep="\n")


def _score(options: argparse.Namespace) -> int:
    """Score LVIS or COCO results: AP, AP-Fixed, AP-Pool, TIDE, exactly as the official tools, in seconds."""
    from fasa.evaluation.score.command import score

    return score(options)


def _console() -> Console:
    """As wide as the terminal; a pipe or a file has no width, so lines are kept whole enough to search."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 120)


def _study(options: argparse.Namespace) -> Study:
    return load_study(Path("."), options.scale)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fasa", description="The reproduction of FASA (ICCV 2021), step by step.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, function, scale: bool = True) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=function.__doc__, description=function.__doc__)
        command.set_defaults(command=function)
        if scale:
            command.add_argument("--scale", default="mini", help="one of configs/scales (default: %(default)s)")
        return command

    def add_runs(command: argparse.ArgumentParser) -> None:
        command.add_argument("recipes", nargs="+", metavar="RECIPE", help="a recipe of configs/recipes")
        command.add_argument("--seed", type=int, nargs="+", help="seeds (default: the scale's)")
        command.add_argument("--device", help="cpu, cuda, cuda:1, … (default: cuda where there is one)")

    plan = add("plan", _plan)
    plan.add_argument("names", nargs="*", metavar="NAME", help="tables and figures (default: each, and all)")
    plan.add_argument("--seeds", type=int, metavar="N", help="only the first N seeds of each recipe")
    plan.add_argument("--runs", action="store_true", help="list every run")
    status = add("status", _status)
    status.add_argument("--watch", action="store_true", help="a live page, which results/SCALE/status.html shows, too")
    status.add_argument("--every", type=float, default=2, metavar="SECONDS", help="of --watch (default: %(default)s)")
    status.add_argument("--html", action="store_true", help="only write results/SCALE/status.html")
    doctor = add("doctor", _doctor)
    doctor.add_argument("names", nargs="*", metavar="NAME", help="tables, figures, recipes (default: all of the scale)")
    doctor.add_argument("--json", action="store_true", help="print the findings as JSON")
    data = add("data", _data)
    data.add_argument("recipe", metavar="RECIPE", help="the recipe whose data to prepare")
    data.add_argument("--source", type=Path, help="archive or folder that is here already, instead of a download")
    data.add_argument("--check", action="store_true", help="only list all that is wrong with LVIS's or COCO's files")
    pretrain = add("pretrain", _pretrain)
    pretrain.add_argument("recipe", metavar="RECIPE", help="a detector's recipe")
    train = add("train", _train)
    add_runs(train)
    train.add_argument("--dump-config", action="store_true", help="print a detector's whole MMDetection config instead")
    evaluate = add("evaluate", _evaluate)
    add_runs(evaluate)
    evaluate.add_argument("--verify", action="store_true", help="compare detectors' figures with the official tools'")
    render = add("render", _render)
    render.add_argument("names", nargs="*", metavar="NAME", help="tables, figures, findings, or report (default: all)")
    add("findings", _findings, scale=False)
    add_score_arguments(add("score", _score, scale=False))
    return parser
