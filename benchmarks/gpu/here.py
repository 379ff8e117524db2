"""What a part knows: where its lines go, on which device it runs, which runs it may make."""

from __future__ import annotations

import dataclasses
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.gpu.lines import Lines
from fasa.study import Run, Study, load_study
from fasa.tasks.task import Job

if TYPE_CHECKING:
    import torch

ROOT = Path(__file__).parents[2]
SCALES = {False: "paper", True: "smoke"}  # for a check, and for its rehearsal


@dataclasses.dataclass(frozen=True)
class Here:
    """A part in its process; everything that it writes lies in ``out``.

    Attributes:
        part: its name.
        out: the check's folder.
        scale: of the classifiers.
        rehearse: on the CPU, at sizes that take seconds.
    """

    part: str
    out: Path
    scale: str
    rehearse: bool

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        import torch

        return torch.device("cpu" if self.rehearse else "cuda")

    def say(self, what: str, told: str, **numbers: Any) -> None:
        """Write what was found: in a sentence, and its numbers."""
        Lines(self.out).add(self.part, what=what, told=told, **numbers)

    def fail(self, sentence: str) -> None:
        """Write that something failed; the part goes on."""
        Lines(self.out).add(self.part, failed=sentence)

    @cached_property
    def study(self) -> Study:
        """The repository's study at the check's scale."""
        return load_study(ROOT, self.scale)

    def job(self, run: Run) -> Job:
        """``run`` with its files in ``out``; its data is the repository's, and in a rehearsal made in ``out``, too."""
        job, elsewhere = self.study.job(run), dataclasses.replace(self.study, root=self.out)
        return self._moved(job, elsewhere)

    def _moved(self, job: Job, elsewhere: Study) -> Job:
        name, seed = job.run.recipe, job.run.seed
        if self.rehearse:
            job = dataclasses.replace(job, data=self.study.task(name).prepare(self.out, job.recipe, None))
        return dataclasses.replace(
            job,
            work_dir=elsewhere.work_dir(name, seed),
            metrics=elsewhere.metrics_path(name, seed),
            needed={recipe: self._moved(needed, elsewhere) for recipe, needed in job.needed.items()},
        )
