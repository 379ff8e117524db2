"""FASA's part of a step: at LVIS's size, against a loop and beside the classifier alone; then in a run of the table."""

from __future__ import annotations

from dataclasses import asdict

from benchmarks import fasa_operations, training_step
from benchmarks.fasa_operations import Size
from benchmarks.gpu.here import Here
from fasa.study import Run

MIB = 2**20
SMALL = Size(classes=30, dim=16, features=24, draws=5.0)  # of a rehearsal
PAIR = ("ldam", "ldam_fasa")


def measure(here: Here) -> None:
    """Time both."""
    _operations(here)
    _ratio(here)


def _operations(here: Here) -> None:
    size = SMALL if here.rehearse else Size()
    found = fasa_operations.measure(here.device, size, rounds=3 if here.rehearse else 30)
    step, alone = found.operations["step"], found.classifier
    here.say(
        "operations",
        f"{size.classes} x {size.dim} x {size.features}: observe, loss and backward {1e3 * step['fasa']:.2f} ms, "
        f"by a loop {1e3 * step['loop']:.2f} ms: {step['loop'] / step['fasa']:.1f} times as long",
        size=asdict(size),
        **asdict(found),
    )
    here.say(
        "the classifier alone",
        f"the classifier alone {1e3 * alone['without']:.2f} ms a step, with FASA {1e3 * alone['with']:.2f} ms: ratio "
        f"{alone['with'] / alone['without']:.2f}",
        ratio=alone["with"] / alone["without"],
    )
    more = "" if found.step_bytes is None else f", its part of a step at most {found.step_bytes / MIB:.1f} MiB more"
    here.say("memory", f"FASA's state {found.state_bytes / MIB:.1f} MiB{more}")


def _ratio(here: Here) -> None:
    """Pairs of neighbouring steps, as a run takes them: on a GPU as graphs."""
    without, with_fasa = (here.job(Run(recipe, 0)) for recipe in PAIR)
    found = training_step.measure(without, with_fasa, here.device, rounds=3 if here.rehearse else 200)
    here.say(
        "ratio",
        f"{PAIR[0]} {1e3 * found.without:.2f} ms a step, {PAIR[1]} {1e3 * found.with_fasa:.2f} ms: ratio "
        f"{found.ratio:.3f}",
        **asdict(found),
    )
