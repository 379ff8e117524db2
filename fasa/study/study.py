"""The study: recipes, one scale, tables and figures together; which runs they need and where every file lies."""

from __future__ import annotations

import ast
import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from fasa.errors import UserError
from fasa.study.artifacts import Figure, Table, load_figures, load_tables
from fasa.study.detection_recipes import DetectionRecipe
from fasa.study.detection_scales import DEFAULT, DetectionScale
from fasa.study.recipes import AnyRecipe, load_recipes
from fasa.study.scales import Scale, load_scale

# Raise when a change of the code changes what a recipe trains, so that old runs count as stale.
RECIPE_VERSION = 1

REASONS = {
    "done": "measured",
    "trained": "trained, not yet evaluated",
    "training": "training unfinished",
    "stale": "its results are of an older recipe",
    "failed": "failed",
    "missing": "not run",
}
STATES = tuple(REASONS)


@dataclass(frozen=True, order=True)
class Run:
    """A recipe at the study's scale with a seed: trained once, however many tables use it."""

    recipe: str
    seed: int


@dataclass(frozen=True, eq=False)
class Study:
    """Everything that ``configs/`` says, at one scale, with paths relative to ``root``.

    ``tables`` and ``figures`` are those that the scale can run whole; ``withheld`` has the others' names, and which
    of the two each is.
    """

    root: Path
    scale: Scale
    recipes: dict[str, AnyRecipe]
    tables: dict[str, Table]
    figures: dict[str, Figure]
    withheld: dict[str, str] = field(default_factory=dict)

    @cached_property
    def resolved(self) -> dict[str, AnyRecipe]:
        """Every recipe that this scale can run, at this scale."""
        return {name: self.scale.apply(recipe) for name, recipe in self.recipes.items() if not self.scale.lacks(recipe)}

    def recipe(self, name: str) -> AnyRecipe:
        """The recipe ``name`` at this scale.

        Raises:
            UserError: there is none of that name, or this scale does not run it.
        """
        if name not in self.resolved:
            if name in self.recipes:
                lack = self.scale.lacks(self.recipes[name])
                raise UserError(f"scale '{self.scale.name}' has {lack}, so it cannot run '{name}'; choose another.")
            raise UserError(f"there is no recipe '{name}'; known: {', '.join(self.resolved)}.")
        return self.resolved[name]

    def description(self, name: str) -> str:
        """One sentence of what a run of recipe ``name`` is at this scale."""
        own = self.scale.detection.description if isinstance(self.recipe(name), DetectionRecipe) else ""
        return own or self.scale.description

    def fingerprint(self, name: str) -> str:
        """A hash of all that decides a run of recipe ``name`` but its seed, the runs that it starts from included.

        Made once for a study, as its recipes are: a plan asks for it many times for each run.
        """
        if name not in self._fingerprints:
            self._fingerprints[name] = self._hash(name)
        return self._fingerprints[name]

    @cached_property
    def _fingerprints(self) -> dict[str, str]:
        return {}

    def _hash(self, name: str) -> str:
        recipe = self.recipe(name)
        content = {
            "recipe": recipe.model_dump(exclude={"name"}),
            **self._beside(recipe),
            "needs": [self.fingerprint(needed) for needed in recipe.needs()],
            "version": RECIPE_VERSION,
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]

    def _beside(self, recipe: AnyRecipe) -> dict[str, Any]:
        """What else decides a run: parts of the scale, and for a detector the files that its config is made of."""
        if isinstance(recipe, DetectionRecipe):
            files = self.config_files(recipe)
            return {
                "config": [_code(path) for path in files],
                "pretraining": self.scale.detection.pretraining,
            }
        return {"backbone": self.scale.backbones.get(recipe.backbone, {}), "precision": self.scale.precision}

    def config_files(self, recipe: DetectionRecipe) -> list[Path]:
        """The files of ``configs/detection`` that make a detector's config, each laid over the ones before."""
        folder = self.root / "configs" / "detection"
        data = "coco_lt" if self.recipes[recipe.name].data.name == "coco_lt" else "lvis"
        files = [folder / f"{recipe.detector}_{data}.py"]
        backbone = folder / "backbones" / f"{recipe.backbone}.py"
        files += [backbone] if backbone.exists() else []  # r50 is what the first file has
        scale = self.scale.detection.model
        if scale:
            own = folder / "scales" / f"{scale}_{recipe.backbone}.py"
            files += [folder / "scales" / f"{scale}.py", *([own] if own.exists() else [])]
        for path in files:
            if not path.exists():
                raise UserError(f"{path} is missing, which recipe '{recipe.name}' at scale '{self.scale.name}' needs.")
        return files

    def pretrained_path(self, name: str) -> Path | None:
        """The weights that the backbone of recipe ``name`` starts from; None where its config says what."""
        recipe = self.recipe(name)
        if not isinstance(recipe, DetectionRecipe):
            return None
        if urls := self.scale.detection.weights.get(recipe.backbone):
            return self.root / "resources" / "weights" / urls[0].rpartition("/")[2]
        if self.scale.detection.pretraining is None:
            return None
        return self.root / "resources" / "glyphs" / "backbones" / f"{self.scale.name}_{recipe.backbone}.pt"

    def part(self, name: str) -> Scale | DetectionScale:
        """The part of the scale that recipe ``name`` is run by: that of detectors or that of classifiers."""
        return self.scale.detection if isinstance(self.recipe(name), DetectionRecipe) else self.scale

    def threads(self, name: str) -> int:
        """CPU threads of a run of recipe ``name``."""
        return self.part(name).threads

    def resources(self, name: str) -> dict[str, int]:
        """What a run of recipe ``name`` asks a cluster for: ``gpu``, ``mem_mb``, ``runtime`` in minutes."""
        return self.part(name).resources

    def users(self) -> dict[str, tuple[str, ...]]:
        """The recipes that each table and figure reads, by its name."""
        return {user.name: user.recipes() for user in (*self.tables.values(), *self.figures.values())}

    def in_all(self) -> tuple[str, ...]:
        """The tables and figures that are made together: all but those made on request."""
        return tuple(name for name in self.users() if name not in self.tables or not self.tables[name].on_request)

    def current(self) -> tuple[str, ...]:
        """:meth:`in_all`, and what is made on request where a run that only it reads was begun."""
        shared = set(self.runs())

        def begun(run: Run) -> bool:
            places = self.work_dir(run.recipe, run.seed), self.metrics_path(run.recipe, run.seed)
            return any(place.exists() for place in places)

        together = self.in_all()
        return tuple(
            name for name in self.users() if name in together or any(map(begun, set(self.runs(name)) - shared))
        )

    def asked(self, recipe: str) -> frozenset[str]:
        """The measurements that rows of tables print of ``recipe``, by the first part of their names."""
        return frozenset(
            (row.measure or column.key).split(".")[0]
            for table in self.tables.values()
            for row in table.rows
            if row.recipe == recipe
            for column in table.columns
        )

    def check_user(self, name: str) -> None:
        """See that this scale has the table or figure ``name``.

        Raises:
            UserError: there is none of that name, or this scale cannot run it.
        """
        if name in self.withheld:
            raise UserError(
                f"scale '{self.scale.name}' cannot run all of {self.withheld[name]} '{name}': choose another scale, "
                f"or one of {', '.join(self.users())}."
            )
        if name not in self.users():
            raise UserError(f"there is no table or figure '{name}'; known: {', '.join(self.users())}.")

    def seeds(self, recipe: str) -> tuple[int, ...]:
        """The seeds of recipe ``recipe``: a detector's are all that the tables and figures of it ask for."""
        if not isinstance(self.recipe(recipe), DetectionRecipe):
            return self.scale.seeds
        asked = self.scale.detection.seeds
        users = [name for name, recipes in self.users().items() if recipe in recipes]
        named = {seed for name in (recipe, *users) for seed in asked.get(name, ())}
        return tuple(sorted(named)) or asked[DEFAULT]

    def runs(self, user: str | None = None) -> tuple[Run, ...]:
        """The runs that a table or figure reads, or all that are made together."""
        if user is not None:
            self.check_user(user)
        users = self.users()
        names = dict.fromkeys(name for one in ([user] if user else self.in_all()) for name in users[one])
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

    def pack_path(self, name: str) -> Path:
        """The prepared data of recipe ``name``: one file for each way to cut a data set."""
        data = self.recipe(name).data
        if isinstance(self.recipe(name), DetectionRecipe):
            cut = "-".join(f"{key}-{_short(value)}" for key, value in data.options.items()) or "official"
            return self.root / "resources" / data.name / cut / "manifest.json"
        cut = f"ratio-{data.imbalance_ratio:g}-heldout-{data.heldout_per_class}-subset-{data.subset_seed}"
        return self.root / "resources" / data.name / f"{cut}.npz"

    def work_dir(self, recipe: str, seed: int) -> Path:
        """Where a run leaves its weights and history."""
        return self.root / "work_dirs" / self.scale.name / recipe / f"seed-{seed}"

    def checkpoint_dir(self, recipe: str, seed: int) -> Path:
        """Where a run keeps its checkpoints: a changed recipe starts in a new folder, and the old one stays."""
        return self.work_dir(recipe, seed) / "checkpoints" / self.fingerprint(recipe)

    @property
    def results(self) -> Path:
        """This scale's results."""
        return self.root / "results" / self.scale.name

    def metrics_path(self, recipe: str, seed: int) -> Path:
        """The measurements of a run."""
        return self.results / "runs" / recipe / f"seed-{seed}" / "metrics.json"

    def table_paths(self, name: str) -> dict[str, Path]:
        """A table's files by their kind."""
        return {kind: self.results / "tables" / f"{name}.{kind}" for kind in ("tex", "md", "csv")}

    def figure_paths(self, name: str) -> dict[str, Path]:
        """A figure's files by their kind."""
        return {kind: self.root / "figures" / self.scale.name / f"{name}.{kind}" for kind in ("pdf", "png")}

    @property
    def findings_path(self) -> Path:
        """The paper's claims, tested on this scale's tables."""
        return self.results / "findings.md"

    @property
    def report_path(self) -> Path:
        """This scale's report."""
        return self.results / "report.html"

    def load_metrics(self, recipe: str, seed: int) -> dict[str, Any] | None:
        """The measurements of a run made by today's recipe; None where there are none.

        Raises:
            UserError: the file is not what ``evaluate`` writes.
        """
        path = self.metrics_path(recipe, seed)
        if not path.exists():
            return None
        try:
            metrics = json.loads(path.read_text())
            fingerprint, _ = metrics["fingerprint"], metrics["measurements"]
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path} is damaged; delete it and run the workflow again.") from error
        return metrics if fingerprint == self.fingerprint(recipe) else None

    def state(self, recipe: str, seed: int) -> str:
        """One of :data:`STATES` for a run; what older recipes left counts as ``stale`` where nothing newer is there."""
        if self.load_metrics(recipe, seed) is not None:
            return "done"
        folder = self.work_dir(recipe, seed)
        if (folder / "failed.json").exists():
            return "failed"
        if _fingerprint_in(folder / "cost.json") == self.fingerprint(recipe) and (folder / "model.pt").exists():
            return "trained"
        if any(self.checkpoint_dir(recipe, seed).glob("epoch*.pt*")):  # ours, or MMEngine's
            return "training"
        return "stale" if self.metrics_path(recipe, seed).exists() else "missing"

    def missing_reason(self, recipe: str, seed: int) -> str:
        """Why :meth:`load_metrics` gives nothing for a run, in a few words."""
        state = self.state(recipe, seed)
        if state == "failed":
            return f"failed: {json.loads((self.work_dir(recipe, seed) / 'failed.json').read_text())['message']}"
        return REASONS[state]


def _code(path: Path) -> str:
    """A config file's statements: its comments and its layout train nothing."""
    try:
        return ast.unparse(ast.parse(path.read_text()))
    except (SyntaxError, ValueError) as error:
        raise UserError(f"{path} is not a config: {error}.") from error


def _short(value: Any) -> str:
    return "to".join(map(str, value)) if isinstance(value, list) else f"{value:g}"


def _fingerprint_in(path: Path) -> str | None:
    try:
        return json.loads(path.read_text())["fingerprint"]
    except (OSError, ValueError, KeyError):
        return None


def load_study(root: Path = Path("."), scale: str = "mini") -> Study:
    """Read ``configs/`` under ``root`` for a scale.

    Raises:
        UserError: anything unknown, missing or out of range, by file and field.
    """
    configs = root / "configs"
    if not configs.is_dir():
        raise UserError(f"{configs} is missing; run this from the repository's root.")
    recipes = load_recipes(configs / "recipes")
    tables = load_tables(configs / "tables", recipes)
    figures = load_figures(configs / "figures.yaml", recipes)
    size = load_scale(configs / "scales", scale)
    for name in size.detection.seeds if size.detection else ():
        if name not in (DEFAULT, *tables, *figures, *recipes):
            path = configs / "scales" / f"{scale}.yaml"
            raise UserError(f"{path}: 'detection.seeds' names '{name}', which is no table, figure or recipe.")

    def whole(user: Table | Figure) -> bool:
        return not any(size.lacks(recipes[recipe]) for recipe in user.recipes())

    return Study(
        root,
        size,
        recipes,
        {name: table for name, table in tables.items() if whole(table)},
        {name: figure for name, figure in figures.items() if whole(figure)},
        {name: "table" for name, table in tables.items() if not whole(table)}
        | {name: "figure" for name, figure in figures.items() if not whole(figure)},
    )
