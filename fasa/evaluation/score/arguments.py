"""The command line of ``fasa score``; imports nothing heavy, so that ``fasa --help`` stays quick."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

PROTOCOLS = ("standard", "fixed", "pool")  # fasa.evaluation has the same; importing it would load numpy
STDOUT = Path("-")

EXAMPLES = """\
examples:
  fasa score lvis_v1_val.json baseline.segm.json fasa.segm.json --tide --bootstrap 1000
  fasa score lvis_v1_val.json results.segm.json --images minival --protocol fixed
  fasa score lvis_v1_val.json baseline.json new.json --page page.html --image-folder coco
  fasa score instances_val2017.json results.npz --instance-counts instances_train2017_lt.json --json scores.json

--json, whose FILE may be left out, goes after the files.
What looks like a mistake but can be scored (classes counted from 0, boxes of corners, …) is told on the error stream.
Exit status: 0; 1 if --verify found a figure that differs; 2 after a mistake in the input, explained in one sentence, or
if an official tool fails.
"""


def add_to(commands: Any) -> None:
    """Add the command to argparse's subparsers."""
    command: argparse.ArgumentParser = commands.add_parser("score", help=score.__doc__, description=score.__doc__)
    command.set_defaults(command=score)
    command.formatter_class = argparse.RawDescriptionHelpFormatter
    command.epilog = EXAMPLES
    command.add_argument(
        "annotations",
        metavar="ANNOTATIONS",
        type=Path,
        help="official LVIS or COCO annotations, .json or .json.gz; LVIS is known by its negative categories",
    )
    command.add_argument(
        "detections",
        nargs="+",
        metavar="DETECTIONS",
        type=Path,
        help="results in the official format, .json or .json.gz, or the .npz that fasa writes; "
        "with several files the table has each one's difference from the first",
    )
    command.add_argument(
        "--protocol",
        action="append",
        choices=PROTOCOLS,
        help="one or more; standard: the official AP (the default); fixed: LVIS AP with the best 10,000 detections of "
        "each class and no limit an image; pool: LVIS AP of all classes ranked together",
    )
    command.add_argument(
        "--iou-type",
        choices=("segm", "bbox", "boundary"),
        default="segm",
        help="compare masks (the default), boxes, or masks and their boundaries: Boundary AP",
    )
    command.add_argument(
        "--images",
        metavar="minival|FILE",
        help="score these images only, and leave out detections of others: minival, those of val2017 (4,809 of LVIS "
        "v1's validation set); or a file of ids, one a line, a JSON list, or annotations",
    )
    command.add_argument(
        "--tide", action="store_true", help="TIDE's six errors at IoU 0.5, as tidecv 1.0.1 counts them"
    )
    command.add_argument(
        "--lrp",
        action="store_true",
        help="optimal LRP at IoU 0.5, an error, and its localisation, FP and FN components; with --per-class or --json "
        "also the score that is best for each class",
    )
    command.add_argument(
        "--bootstrap",
        type=_at_least(2),
        metavar="N",
        help="95 %% intervals from N resamplings of the images (seed 0), also of the differences between files",
    )
    command.add_argument(
        "--json",
        nargs="?",
        type=Path,
        const=STDOUT,
        metavar="FILE",
        help="everything as JSON, as fractions: to FILE, or to the screen instead of the table",
    )
    command.add_argument(
        "--per-class",
        type=Path,
        metavar="FILE.csv",
        help="AP, AP50, AP75 and AR of every class and file, with --lrp also LRP, as CSV",
    )
    command.add_argument(
        "--page",
        type=Path,
        metavar="FILE.html",
        help="one page with all of it, PR curves, every class, and the images that cost most; it needs no network",
    )
    command.add_argument(
        "--image-folder",
        type=Path,
        metavar="FOLDER",
        help="where the images lie, for --page: by the annotations' file_name or coco_url (train2017/ and val2017/ "
        "below FOLDER, or all in FOLDER)",
    )
    command.add_argument(
        "--areas",
        choices=("mask", "box"),
        default="mask",
        help="size of a detected mask for APs, APm and APl: its own (the default), or its box's, which the official "
        "tools take when mask results have a bbox",
    )
    command.add_argument(
        "--instance-counts",
        type=Path,
        metavar="FILE",
        help="training instances of each COCO class, for the bins of COCO-LT: {category id: count}, a list of "
        "categories with instance_count, or the training annotations themselves",
    )
    command.add_argument(
        "--verify",
        action="store_true",
        help="run lvis-api or pycocotools (and tidecv with --tide) on the same files too, and compare every figure",
    )


def score(options: argparse.Namespace) -> int:
    """Score LVIS or COCO results: AP, AP-Fixed, AP-Pool, TIDE, exactly as the official tools, in seconds."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # numpy starts one a core, and here are no products of matrices
    from fasa.evaluation.score import command

    return command.score(options)


def _at_least(least: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"'{text}' is not a whole number of at least {least}")
        return int(text)

    return parse
