"""``fasa score``: from the command line's options to tables, files and an exit status."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from fasa import atomic
from fasa.errors import UserError
from fasa.evaluation import GroundTruth, load_ground_truth, subset
from fasa.evaluation.io.files import real
from fasa.evaluation.io.subset import MINIVAL
from fasa.evaluation.score import scores, verification
from fasa.evaluation.score.arguments import STDOUT
from fasa.evaluation.score.document import document, per_class_csv, protocol_by_class
from fasa.evaluation.score.progress import Display
from fasa.evaluation.score.report import print_comparisons, print_report

if TYPE_CHECKING:
    from fasa.evaluation.score.page.photos import Photos

REPLACED = (".html", ".htm", ".json", ".csv")  # what may be written again in a folder of images
WIDE = 10_000  # columns of a file: nothing is cut off


def score(options: argparse.Namespace) -> int:
    """Score, print and write; 0, or 1 if a figure differs from the official tools', or 2 if one of those fails.

    Raises:
        UserError: a mistake in the input; nothing is written then, unless only a later output cannot be.
    """
    begin = time.perf_counter()
    _refuse_overwriting(options)
    protocols = tuple(dict.fromkeys(options.protocol or ["standard"]))
    for asked, option in ((options.per_class, "--per-class"), (options.lrp, "--lrp"), (options.page, "--page")):
        if asked:
            protocol_by_class(protocols, option)
    photos = _photos(options)
    with Display() as display:
        with display.stage(options.annotations.name):
            truth = load_ground_truth(options.annotations, masks=options.iou_type != "bbox")
            if options.images:
                truth = subset(truth, options.images)
        counts = options.instance_counts
        request = scores.ScoreRequest(
            protocols=protocols,
            iou_type=options.iou_type,
            areas=options.areas,
            tide=options.tide,
            lrp=options.lrp,
            samples=options.bootstrap,
            instance_counts=scores.load_instance_counts(counts, truth) if counts else None,
            verify=options.verify,
            page=protocol_by_class(protocols, "--page") if options.page else None,
        )
        scores.check(request, options.annotations, truth, options.detections)
        warning = verification.memory_warning(truth, request.tide) if request.verify else None
        if warning:
            print(f"fasa: {warning}", file=sys.stderr)
        files = scores.score_files(request, options.annotations, truth, options.detections, display)
        shown, missing = "", None
        if options.page:
            with display.stage(options.page.name):
                shown, missing = _page(request, truth, files, photos)
    for warning in [*(w for file in files for w in file.warnings), *([missing] if missing else [])]:
        print(f"fasa: {warning}", file=sys.stderr)
    described = (
        document(request, options.annotations, truth, files, time.perf_counter() - begin) if options.json else None
    )
    if options.json == STDOUT:
        _show(json.dumps(described, indent=1, allow_nan=False) + "\n")
    else:
        console = _console()
        with console.capture() as report:
            print_report(console, request, truth, files)
            if request.verify:
                print_comparisons(console, files)
        text = report.get()
        _show(text if console.is_terminal else re.sub(" +$", "", text, flags=re.MULTILINE))
    if described and options.json != STDOUT:
        atomic.write_json(options.json, described)
    if options.per_class:
        atomic.write_text(options.per_class, per_class_csv(files))
    if options.page:
        atomic.write_bytes(options.page, shown.encode("utf-8", "replace"))  # names of files may be no text
    failures = [file.failure for file in files if file.failure]
    for failure in failures:
        print(f"fasa: {failure}", file=sys.stderr)
    different = [c for file in files for c in file.comparisons if not c.equal]
    if different:
        print(f"fasa: {len(different)} figures differ from the official tools'.", file=sys.stderr)
    return 2 if failures else 1 if different else 0


def _photos(options: argparse.Namespace) -> Photos | None:
    if not options.image_folder:
        return None
    if not options.page:
        raise UserError("--image-folder is for the images of a page: add --page FILE.html, or leave it out.")
    from fasa.evaluation.score.page.photos import Photos  # as all that makes a page: the command starts without

    return Photos(options.image_folder, options.annotations)


def _page(
    request: scores.ScoreRequest, truth: GroundTruth, files: list[scores.FileScores], photos: Photos | None
) -> tuple[str, str | None]:
    from fasa.evaluation.score.page.content import page

    return page(request, truth, files, photos)


def _refuse_overwriting(options: argparse.Namespace) -> None:
    images = Path(options.images) if options.images and options.images != MINIVAL else None
    inputs = [options.annotations, *options.detections, options.instance_counts, images]
    read = {real(path) for path in inputs if path}
    written: set[Path] = set()
    folder = options.image_folder and real(options.image_folder)
    for option, path in (("--json", options.json), ("--per-class", options.per_class), ("--page", options.page)):
        if path is None or path == STDOUT:
            continue
        if real(path) in read | written:
            raise UserError(f"{path} would be overwritten; give {option} a file of its own.")
        if os.path.isdir(path):  # Path.is_dir fails where it may not look
            raise UserError(f"{path} is a folder; give {option} a file in it.")
        if folder and real(path).is_relative_to(folder) and path.exists() and path.suffix not in REPLACED:
            raise UserError(f"{path} may be one of the images; give {option} a file of its own.")
        written.add(real(path))


def _console() -> Console:
    """For the report: as wide as the screen; where the output goes to a file, of any width and without colours."""
    # No markup and no emoji: names of files may have brackets and colons.
    width = None if sys.stdout.isatty() else WIDE
    return Console(width=width, markup=False, highlight=False, emoji=False)


def _show(text: str) -> None:
    """Print ``text``, whatever the encoding of the output, and though its reader (``| head``) may have left."""
    encoding = sys.stdout.encoding or "utf-8"
    try:
        print(text.encode(encoding, "replace").decode(encoding), end="", flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains at its exit
