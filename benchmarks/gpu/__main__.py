"""Ten minutes on a machine with a GPU: what breaks, what a step costs, then runs of the table as time allows.

    python -m benchmarks.gpu OUT [--minutes 10] [--scale paper] [--only PART …]
    python -m benchmarks.gpu OUT --rehearse         on the CPU, at sizes that take seconds; its numbers mean nothing

All that it finds is in OUT, as soon as it is found; a second call with the same OUT goes on. Exit codes: 0, nothing
failed; 1, something did; 2, it cannot begin; 143 or 130, it was told to stop.
"""

from __future__ import annotations

import argparse
import fcntl
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.gpu import process, screen
from benchmarks.gpu.here import ROOT, SCALES
from benchmarks.gpu.lines import Lines
from benchmarks.gpu.plan import TABLE, Part, parts
from fasa.doctor.torch_probe import ask_torch
from fasa.errors import UserError, closest
from fasa.study import Study, load_study
from fasa.tasks.provenance import code_version

CHECK = "the check"  # the part of lines about the whole of it
LOADING = 120.0  # seconds to load torch for the first time, from a disk that may be slow
CLOSING = process.GRACE + 3.0  # seconds for the last part to leave, and for the table


def main() -> int:
    """Run the command line."""
    began = time.monotonic()
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="folder for all that it finds; the same again goes on")
    parser.add_argument("--minutes", type=float, default=10.0, help="at most (default: 10)")
    parser.add_argument("--scale", help="of the classifiers (default: paper; of a rehearsal smoke)")
    parser.add_argument("--only", nargs="+", metavar="PART", help="these parts alone, by their names")
    parser.add_argument("--rehearse", action="store_true", help="on the CPU, in a minute; its numbers mean nothing")
    options = parser.parse_args()
    try:
        return check(options, began)
    except UserError as error:
        print(f"gpu-check: {error}", file=sys.stderr)
        return 2


def check(options: argparse.Namespace, began: float) -> int:
    """Run what is not finished, as far as time allows.

    Raises:
        UserError: there is no GPU, no data, no such part, or the folder is another check's.
    """
    scale, out = options.scale or SCALES[options.rehearse], options.out.absolute()
    study = load_study(ROOT, scale)
    if TABLE not in study.tables:
        raise UserError(f"scale '{scale}' has no classifiers; choose another.")
    planned = _chosen(parts(study, options.rehearse), options.only)
    if options.rehearse:
        machine = "the CPU: a rehearsal, whose numbers mean nothing"
    else:
        machine = _gpu(scale)
        _see_data(study)
    with _held(out, scale, options.rehearse, machine):
        waiting = {}
        lines, signals = Lines(out), process.Signals()
        for part in planned:
            left = 60 * options.minutes - (time.monotonic() - began) - CLOSING
            if lines.finished(part.name) or signals.told:
                continue
            if left < part.planned:
                waiting[part.name] = f"it needs some {part.planned} s, and {max(0, left):.0f} were left"
                continue
            print(f"{part.name} …", flush=True)
            process.run(part, out, scale, options.rehearse, min(left, part.limit), signals)
        took = time.monotonic() - began
        failures = screen.show(planned, out, waiting, f"{machine}; scale {scale}; this call took {took:.0f} s")
    if signals.told:
        return 128 + signals.told
    return 1 if failures else 0


def _chosen(known: list[Part], only: list[str] | None) -> list[Part]:
    names = [part.name for part in known]
    for name in only or ():
        if name not in names:
            raise UserError(f"there is no part '{name}'{closest(name, names)}; known: {'; '.join(names)}.")
    return [part for part in known if not only or part.name in only]


def _gpu(scale: str) -> str:
    """The GPU and torch, in words; torch is asked in a process of its own, and this one leaves the GPU alone."""
    torch = ask_torch(ROOT, operators=False, seconds=LOADING)
    if not torch.devices:
        reason = torch.error or torch.unseen or f"torch {torch.version} is a build for CPUs"
        remedy = f"`fasa doctor --scale {scale}` says what is missing, and --rehearse needs none"
        raise UserError(f"this check needs a GPU, and none can be used here: {reason}; {remedy}.")
    return f"{torch.devices[0].name}, torch {torch.version}, CUDA {torch.cuda}"


def _see_data(study: Study) -> None:
    for run in study.runs(TABLE):
        path = study.data_path(run.recipe)
        if not path.exists():
            raise UserError(f"{path} is missing; run: fasa data {run.recipe} --scale {study.scale.name}")


@contextmanager
def _held(out: Path, scale: str, rehearse: bool, machine: str) -> Iterator[None]:
    """Hold ``out`` for this check alone, and see that an earlier one there was alike."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = (out / ".lock").open("w")
    except OSError as error:
        raise UserError(f"{out} cannot be written ({error.strerror}); choose another folder.") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(f"another check writes to {out}; wait for it, or choose another folder.") from error
        lines, alike = Lines(out), {"scale": scale, "rehearse": rehearse}
        for line in lines.of(CHECK):
            if {key: line[key] for key in alike} != alike:
                other = f"a rehearsal at scale {line['scale']}" if line["rehearse"] else f"scale {line['scale']}"
                raise UserError(f"{out} holds a check of {other}; choose another folder.")
        lines.add(CHECK, **alike, machine=machine, code=code_version(ROOT), time=round(time.time()))
        yield


if __name__ == "__main__":
    sys.exit(main())
