"""The parts of the check in their order, and the seconds that they are given. Guesses: none is measured yet."""

from __future__ import annotations

from dataclasses import dataclass

from fasa.study import Study

TABLE = "cifar_lt"
FIRST_SEEDS = 3  # as many as the paper has; what the scale has beyond them comes last
# The recipes of the table, as they are trained side by side: baselines and what is plugged into them together.
WAVES = (
    ("ldam", "ldam_fasa", "tde", "tde_fasa"),
    ("ce", "ce_fasa", "ce_drw", "balanced_softmax"),
    ("ce_r34", "ce_r34_fasa"),
    ("ce_r34_chu",),
    ("ldam_no_drw", "ldam_no_drw_fasa", "ldam_fasa_static", "ldam_fasa_released"),
    ("ldam_m2m",),
    ("ce_mixup", "ce_remix"),
)
CELLS = (
    ("ldam", "fp32"),
    ("ldam_fasa", "fp32"),
    ("ldam_fasa", "bf16"),
    ("tde_fasa", "fp32"),
    ("ce_r34_fasa", "fp32"),
    ("ce_r34_fasa", "bf16"),
)


@dataclass(frozen=True)
class Part:
    """What runs in a process of its own.

    Attributes:
        name: of the part, in every line about it.
        work: module and function.
        arguments: of the function.
        planned: seconds that it should take: with fewer left it is not begun.
        limit: seconds after which it is stopped.
        resumes: stopped, it goes on in the next call, so that is no failure.
    """

    name: str
    work: str
    arguments: tuple[str, ...] = ()
    planned: int = 20
    limit: int = 60
    resumes: bool = False


def parts(study: Study, rehearse: bool) -> list[Part]:
    """All parts; of a rehearsal one of each kind."""
    measured = [
        Part("GPU tests", "gpu_tests:run", planned=60, limit=130),
        Part("FASA's part of a step", "fasa_step:measure", planned=25),
        *(Part(f"a step of {' '.join(cell)}", "classifier:measure", cell) for cell in CELLS),
        Part("a detector", "detector:measure", planned=90, limit=150),
    ]
    waves = [_wave(recipes, seed) for seeds in _rounds(study) for recipes in WAVES for seed in seeds]
    if not rehearse:
        return measured + waves
    first = {part.work: part for part in reversed(measured)}
    return [part for part in measured if first[part.work] is part] + [_wave(WAVES[0][:2], 0)]


def _rounds(study: Study) -> tuple[tuple[int, ...], ...]:
    seeds = sorted({run.seed for run in study.runs(TABLE)})
    return tuple(seeds[:FIRST_SEEDS]), tuple(seeds[FIRST_SEEDS:])


def _wave(recipes: tuple[str, ...], seed: int) -> Part:
    name, arguments = f"{', '.join(recipes)}: seed {seed}", (str(seed), *recipes)
    return Part(name, "table:train", arguments, planned=30, limit=3600, resumes=True)
