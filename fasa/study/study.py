"""The study: recipes, one scale, tables and figures together; which runs they need and where every file lies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

from fasa import sealed
from fasa.errors import UserError, closest
from fasa.study.artifacts import Figure, Table
from fasa.study.fingerprints import fingerprint
from fasa.study.out_of_memory import Starved, starved_jobs, starved_reason
from fasa.study.scales import Scale
from fasa.tasks.recipe import DEFAULT, Recipe, TaskScale
from fasa.tasks.records import FAILED, identity, why_failed
from fasa.tasks.task import Job, Run, Task

REASONS = {
    "done": "measured",
    "trained": "trained, not yet evaluated",
    "training": "training unfinished",
    "stale": "its results are of an older recipe or version",
    "failed": "failed",
    "missing": "not run",
}
STATES = tuple(REASONS)
MOST_SEEDS = 999  # that can be asked for of every recipe
# What tables, figures and the report read of a run's measurements.
METRICS: dict[str, type] = {
    **{name: str for name in ("recipe", "scale", "fingerprint", "dataset", "code_version", "device")},
    **{name: dict for name in ("config", "packages", "measurements")},
    **{name: list for name in ("class_names", "class_counts")},
    "seed": int,
}


@dataclass(frozen=True, eq=False)
class Study:
    """Everything that ``configs/`` says, at one scale, with paths relative to ``root``.

    ``tables`` are those of which the scale can run a comparison, less the rows that it cannot run; ``figures`` those
    that it can run whole; ``unavailable`` has the others' names, and which of the two each is. ``asked_seeds`` is N for
    the seeds 0 to N - 1 of every recipe; with None they are the scale's.
    """

    root: Path
    scale: Scale
    recipes: dict[str, Recipe]
    tables: dict[str, Table]
    figures: dict[str, Figure]
    unavailable: dict[str, str] = field(default_factory=dict)
    asked_seeds: int | None = None

    # ------------------------------------------------------------------------------------------- recipes at this scale
    @cached_property
    def resolved(self) -> dict[str, Recipe]:
        """Every recipe that this scale can run, at this scale."""
        able = {name: recipe for name, recipe in self.recipes.items() if not self.scale.unsupported_reason(recipe)}
        return {name: self.scale.apply(recipe) for name, recipe in able.items()}

    def recipe(self, name: str) -> Any:
        """The recipe ``name`` at this scale, of its task's own class.

        Raises:
            UserError: there is none of that name, or this scale does not run it.
        """
        if name not in self.resolved:
            if name in self.recipes:
                reason = self.scale.unsupported_reason(self.recipes[name])
                raise UserError(f"scale '{self.scale.name}' has {reason}, so it cannot run '{name}'; choose another.")
            raise UserError(f"there is no recipe '{name}'{closest(name, self.resolved)}; fasa plan --runs lists all.")
        return self.resolved[name]

    def task(self, name: str) -> Task:
        """The task that runs recipe ``name`` at this scale."""
        task = self.scale.task(self.recipe(name))
        assert task is not None
        return task

    def task_scale(self, name: str) -> TaskScale:
        """The part of the scale that recipe ``name`` is run by."""
        return self.scale.parts[self.task(name).name]

    def description(self, name: str) -> str:
        """One sentence of what a run of recipe ``name`` is at this scale."""
        return self.task_scale(name).description or self.scale.description

    def descriptions(self, names: Iterable[str]) -> str:
        """What runs of the recipes ``names`` are at this scale, each sentence once."""
        return " ".join(dict.fromkeys(self.description(name) for name in names)) or self.scale.description

    def fingerprint(self, name: str) -> str:
        """A hash of all that decides a run of recipe ``name`` but its seed, the runs that it starts from included.

        Made once for a study, as its recipes are: a plan asks for it many times for each run.
        """
        if name not in self._fingerprints:
            recipe = self.recipe(name)
            beside = self.task(name).decided_by(self.recipes[name], recipe, self.task_scale(name), self.root)
            needed = [self.fingerprint(needed) for needed in recipe.needs()]
            self._fingerprints[name] = fingerprint(recipe, beside, needed)
        return self._fingerprints[name]

    @cached_property
    def _fingerprints(self) -> dict[str, str]:
        return {}

    def identity(self, recipe: str, seed: int, kind: str, any_version: bool = False) -> dict[str, Any]:
        """What a file of a run says that it is (:mod:`fasa.sealed`); ``any_version``: of an older recipe, too."""
        fingerprint = None if any_version else self.fingerprint(recipe)
        return identity(Run(recipe, seed), self.scale.name, kind, fingerprint)

    def job(self, run: Run) -> Job:
        """All that its task must know of ``run``."""
        name = run.recipe
        return Job(
            run=run,
            scale_name=self.scale.name,
            declared=self.recipes[name],
            recipe=self.recipe(name),
            scale=self.task_scale(name),
            fingerprint=self.fingerprint(name),
            root=self.root,
            data=self.data_path(name),
            first_weights=self.first_weights(name),
            work_dir=self.work_dir(name, run.seed),
            metrics=self.metrics_path(name, run.seed),
            measurements=self.measurements(name),
            needed={needed: self.job(Run(needed, run.seed)) for needed in self.recipe(name).needs()},
        )

    # ---------------------------------------------------------------------------------------------- tables and figures
    def artifacts(self) -> Mapping[str, tuple[str, ...]]:
        """The recipes that each table and figure reads, by its name."""
        return self._artifacts

    @cached_property
    def _artifacts(self) -> Mapping[str, tuple[str, ...]]:
        every: list[Table | Figure] = [*self.tables.values(), *self.figures.values()]
        return MappingProxyType({artifact.name: artifact.recipes() for artifact in every})

    @cached_property
    def _readers(self) -> dict[str, list[str]]:
        """The tables and figures that read each recipe."""
        readers: dict[str, list[str]] = {}
        for name, recipes in self.artifacts().items():
            for recipe in recipes:
                readers.setdefault(recipe, []).append(name)
        return readers

    def default_artifacts(self) -> tuple[str, ...]:
        """The tables and figures that are made together: all but those made on request."""
        return tuple(name for name in self.artifacts() if name not in self.tables or not self.tables[name].on_request)

    def started_artifacts(self) -> tuple[str, ...]:
        """:meth:`default_artifacts`, and what is made on request where a run that only it reads was begun."""
        shared = set(self.runs())

        def begun(run: Run) -> bool:
            places = self.work_dir(run.recipe, run.seed), self.metrics_path(run.recipe, run.seed)
            return any(place.exists() for place in places)

        together = self.default_artifacts()
        return tuple(
            name for name in self.artifacts() if name in together or any(map(begun, set(self.runs(name)) - shared))
        )

    def measurements(self, recipe: str) -> frozenset[str]:
        """What rows of tables print of ``recipe``, by the first part of its name."""
        return frozenset(self._measurements.get(recipe, ()))

    @cached_property
    def _measurements(self) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for table in self.tables.values():
            for row in table.rows:
                names = [row.measure] if row.measure else [column.key for column in table.columns]
                found.setdefault(row.recipe, set()).update(name.split(".")[0] for name in names)
        return found

    def check_artifact(self, name: str) -> None:
        """See that this scale has the table or figure ``name``.

        Raises:
            UserError: there is none of that name, or this scale cannot run it.
        """
        if name in self.unavailable:
            raise UserError(
                f"scale '{self.scale.name}' cannot run all of {self.unavailable[name]} '{name}': choose another scale, "
                f"or another table or figure{closest(name, self.artifacts())}; fasa plan lists all."
            )
        if name not in self.artifacts():
            told = f"there is no table or figure '{name}'"
            if name in self._readers:
                raise UserError(f"{told}: that is a recipe; ask for what reads it, {', '.join(self._readers[name])}.")
            raise UserError(f"{told}{closest(name, self.artifacts())}; fasa plan lists all.")

    def seeds(self, recipe: str) -> tuple[int, ...]:
        """The seeds of recipe ``recipe``: those asked for, or all that the scale has for tables and figures of it."""
        if self.asked_seeds:
            return tuple(range(self.asked_seeds))
        asked = self.task_scale(recipe).seeds
        named = {seed for name in (recipe, *self._readers.get(recipe, ())) for seed in asked.get(name, ())}
        return tuple(sorted(named)) or asked[DEFAULT]

    def runs(self, artifact: str | None = None) -> tuple[Run, ...]:
        """The runs that a table or figure reads, or all that are made together."""
        if artifact is not None:
            self.check_artifact(artifact)
        recipes = self.artifacts()
        wanted = [artifact] if artifact else self.default_artifacts()
        names = dict.fromkeys(name for one in wanted for name in recipes[one])
        return tuple(Run(name, seed) for name in names for seed in self.seeds(name))

    def with_needed(self, runs: tuple[Run, ...]) -> tuple[Run, ...]:
        """``runs`` and all that they start from, needed ones first."""
        ordered: dict[Run, None] = {}

        def add(run: Run) -> None:
            for needed in self.recipe(run.recipe).needs():
                add(Run(needed, run.seed))
            ordered[run] = None

        for run in runs:
            add(run)
        return tuple(ordered)

    def every_run(self, names: Iterable[str] = ()) -> tuple[Run, ...]:
        """The runs of the tables and figures ``names``, or of all, those on request too, and what they start from."""
        return self.with_needed(tuple(run for name in names or self.artifacts() for run in self.runs(name)))

    # ------------------------------------------------------------------------------------------------- where files lie
    def data_path(self, name: str) -> Path:
        """The prepared data of recipe ``name``: one file for each way to cut a data set."""
        return self.task(name).data_path(self.root, self.recipe(name))

    def first_weights(self, name: str) -> Path | None:
        """The file that the backbone of recipe ``name`` starts from; None where its config says what."""
        return self.task(name).first_weights(self.root, self.scale.name, self.recipe(name), self.task_scale(name))

    def work_dir(self, recipe: str, seed: int) -> Path:
        """Where a run leaves its weights and history."""
        return Path(self.root, "work_dirs", self.scale.name, recipe, f"seed-{seed}")

    def checkpoint_dir(self, recipe: str, seed: int) -> Path:
        """Where a run keeps its checkpoints: a changed recipe starts in a new folder, and the old one stays."""
        return self.work_dir(recipe, seed) / "checkpoints" / self.fingerprint(recipe)

    @cached_property
    def results(self) -> Path:
        """This scale's results."""
        return self.root / "results" / self.scale.name

    def metrics_path(self, recipe: str, seed: int) -> Path:
        """The measurements of a run."""
        return Path(self.results, "runs", recipe, f"seed-{seed}", "metrics.json")

    def table_paths(self, name: str) -> dict[str, Path]:
        """A table's files by their kind."""
        return {kind: self.results / "tables" / f"{name}.{kind}" for kind in ("tabular.tex", "tex", "md", "csv")}

    def figure_paths(self, name: str, for_paper: bool = False) -> dict[str, Path]:
        """A figure's files by their kind; those for a paper have no notes in the picture."""
        folder = self.root / "figures" / self.scale.name / ("for_paper" if for_paper else "")
        return {kind: folder / f"{name}.{kind}" for kind in ("pdf", "png")}

    @property
    def paper_path(self) -> Path:
        """This scale's tables and figures as a document; numbers.tex and the PDF lie beside it."""
        return self.results / "paper.tex"

    @property
    def findings_path(self) -> Path:
        """The paper's claims, tested on this scale's tables."""
        return self.results / "findings.md"

    @property
    def report_path(self) -> Path:
        """This scale's report."""
        return self.results / "report.html"

    # --------------------------------------------------------------------------------------------------- what is there
    def load_metrics(self, recipe: str, seed: int) -> dict[str, Any] | None:
        """The measurements of a run made by today's recipe; None where there are none.

        Raises:
            UserError: the file is not what ``evaluate`` writes.
        """
        path = self.metrics_path(recipe, seed)
        if not path.exists():
            return None
        mend = "delete it and run the workflow again"
        try:
            metrics = sealed.read(path, self.identity(recipe, seed, "metrics", any_version=True), mend)
        except sealed.Unsealed:  # of an older version: measured again, as an older recipe's is
            return None
        for name, kind in METRICS.items():
            if not isinstance(metrics.get(name), kind):
                raise UserError(f"{path} is damaged: '{name}' is missing or is no {kind.__name__}; {mend}.")
        return metrics if metrics["fingerprint"] == self.fingerprint(recipe) else None

    def state(self, recipe: str, seed: int) -> str:
        """One of :data:`STATES` for a run; what older recipes left counts as ``stale`` where nothing newer is there."""
        if self.load_metrics(recipe, seed) is not None:
            return "done"
        folder = self.work_dir(recipe, seed)
        if (folder / FAILED).exists() and self._failed(folder / FAILED, recipe, seed):
            return "failed"
        if self._trained(folder, Run(recipe, seed)) and (folder / "model.pt").exists():
            return "trained"
        if any(self.checkpoint_dir(recipe, seed).glob("epoch*.pt*")):  # ours, or MMEngine's
            return "training"
        return "stale" if self.metrics_path(recipe, seed).exists() else "missing"

    def missing_reason(self, recipe: str, seed: int) -> str:
        """Why :meth:`load_metrics` gives nothing for a run, in a few words."""
        state = self.state(recipe, seed)
        if state == "failed":
            return f"failed: {why_failed(self.work_dir(recipe, seed), Run(recipe, seed), self.scale.name)}"
        return starved_reason(self._starved, Run(recipe, seed), state) or REASONS[state]

    @cached_property
    def _starved(self) -> Mapping[tuple[str, Run], Starved]:
        return starved_jobs(self.root, self.scale.name)

    def _failed(self, path: Path, recipe: str, seed: int) -> bool:
        """Whether ``failed.json`` is of today's recipe, or damaged: then it does not say whose it is."""

        def reads(any_version: bool) -> bool:
            try:
                sealed.read(path, self.identity(recipe, seed, "failed", any_version), "see the log")
            except UserError:
                return False
            return True

        return reads(any_version=False) or not reads(any_version=True)

    def _trained(self, folder: Path, run: Run) -> bool:
        """Whether a training of today's recipe has ended in ``folder``."""
        try:
            sealed.read(folder / "cost.json", self.identity(run.recipe, run.seed, "cost"), "train it")
        except UserError:
            return False
        return True
