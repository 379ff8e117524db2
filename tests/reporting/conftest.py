"""A study made of plain objects, with invented runs: what the reporting reads, and nothing else."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from fasa.study import Run
from fasa.study.artifacts import Column, Row, Table

CONFIGS = Path(__file__).parents[2] / "configs"


def column(key="accuracy.last", label="Top-1", published="accuracy", unit="%", decimals=1, group=""):
    return Column(key=key, label=label, unit=unit, published=published, decimals=decimals, group=group)


def row(id, recipe, *, label=None, baseline=None, published=None, control=False, measure=None, group="ResNet-32"):
    return Row(
        id=id,
        label=label or id,
        group=group,
        recipe=recipe,
        measure=measure,
        baseline=baseline,
        published={} if published is None else {"accuracy": published},
        control=control,
    )


def cifar_table(**changes):
    rows = (
        row("ldam", "ldam", label="LDAM", published=(42.0, 0.09)),
        row("ldam_m2m", "ldam_m2m", label="LDAM + M2m", baseline="ldam", published=(43.5, 0.22)),
        row("ldam_fasa", "ldam_fasa", label="LDAM + FASA", baseline="ldam", published=(43.7, 0.25)),
        row("tuned", "ldam", label="LDAM + τ", baseline="ldam", control=True, measure="accuracy.logit_adjusted"),
    )
    values = dict(
        name="cifar_lt",
        title="Long-tailed classification",
        published_as="Table 7",
        dataset="cifar100_lt",
        note="",
        caption="Top-1 accuracy on CIFAR-100-LT & friends, 50% of <it>.",
        columns=(column(),),
        rows=rows,
        tolerance=1.0,
    )
    return Table(**values | changes)


def invent_metrics(recipe, seed, classes=10, epochs=12, accuracy=None, fasa=None):
    """One run's metrics with every measurement: a long tail, weight norms that follow it, rates that move by ±10 %."""
    rng = np.random.default_rng([seed, classes, sum(recipe.encode())])
    fasa = "fasa" in recipe if fasa is None else fasa
    counts = np.maximum(np.round(500 * 0.01 ** (np.arange(classes) / (classes - 1))), 1).astype(int)
    relative = np.log(counts) / np.log(500)
    tail = 0.25 if fasa else 0.0
    probabilities = np.clip(0.1 + 0.7 * relative + tail * (1 - relative) + rng.normal(0, 0.05, classes), 0.005, 0.99)
    last = float(probabilities.mean()) if accuracy is None else accuracy
    epoch = np.arange(epochs)
    curve = last * (1 - np.exp(-(epoch + 1) / 4))
    measurements = {
        "accuracy": {"last": last, "best": last + 0.004, "logit_adjusted": last + 0.01},
        "per_class_accuracy": probabilities.tolist(),
        "weight_norms": (
            (0.6 if fasa else 0.3) + (0.4 if fasa else 0.9) * relative + rng.normal(0, 0.03, classes)
        ).tolist(),
        "class_probabilities": probabilities.tolist(),
        "class_features": (
            rng.normal(0, 4, (classes // 3 + 1, 8))[np.arange(classes) // 3] + rng.normal(0, 1, (classes, 8))
        )
        .round(4)
        .tolist(),
        "learning_curve": {
            "epoch": (epoch + 1).tolist(),
            "train_loss": (3 * np.exp(-epoch / 5) + 0.1 + rng.uniform(0, 0.05, epochs)).tolist(),
            "accuracy": [None if index % 2 else float(value) for index, value in enumerate(curve)],
            "validation_loss": (2 * np.exp(-epoch / 5) + 0.5).tolist(),
        },
    }
    if fasa:
        steps = np.where(rng.random((epochs, classes)) < 0.6, 1.1, 0.9)
        start = (1 / counts) / (1 / counts).sum()
        rates = np.clip(start * np.cumprod(steps, axis=0), 0, 1)
        measurements["sampling_trajectory"] = {
            "probabilities": rates.tolist(),
            "groups": np.tile(np.arange(classes) // 3, (epochs, 1)).tolist(),
        }
        measurements["virtual_features"] = (rates.sum(axis=0) * 60).tolist()
    return {
        "recipe": recipe,
        "scale": "mini",
        "seed": seed,
        "fingerprint": f"{sum(recipe.encode()) * 7919 + seed:016x}",
        "dataset": "digits_lt",
        "config": {},
        "code_version": "0.1.0",
        "packages": {"torch": "2.9.0", "numpy": "2.2.6"},
        "device": "cpu",
        "device_seconds": 12.3,
        "class_names": [f"class {index}" for index in range(classes)],
        "class_counts": counts.tolist(),
        "measurements": measurements,
    }


def figure(kind, series=None):
    return SimpleNamespace(
        name=f"figure_{kind}",
        title=f"The {kind}",
        caption="What <b>it</b> shows & tells.",
        published_as="Figure 9",
        kind=kind,
        series=tuple(
            SimpleNamespace(label=label, recipe=recipe, group=group)
            for label, recipe, group in series or [("LDAM", "ldam", "LDAM"), ("LDAM + FASA", "ldam_fasa", "LDAM")]
        ),
    )


@dataclass
class FakeStudy:
    root: Path
    runs_by_key: dict
    tables: dict
    figures: dict
    all_seeds: tuple = (0, 1, 2)
    comparable: bool = False
    scale: SimpleNamespace = field(init=False)

    def __post_init__(self):
        self.scale = SimpleNamespace(
            name="mini", comparable=self.comparable, description="8x8 digits on a laptop's CPU"
        )

    def seeds(self, recipe):
        return self.all_seeds

    def description(self, recipe):
        return self.scale.description

    def descriptions(self, recipes):
        return self.scale.description

    def load_metrics(self, recipe, seed):
        return self.runs_by_key.get((recipe, seed))

    def missing_reason(self, recipe, seed):
        return "not run"

    def table_paths(self, name):
        folder = self.root / "results/mini/tables"
        return {extension: folder / f"{name}.{extension}" for extension in ("tabular.tex", "tex", "md", "csv")}

    def figure_paths(self, name, for_paper=False):
        folder = self.root / "figures/mini" / ("for_paper" if for_paper else "")
        return {extension: folder / f"{name}.{extension}" for extension in ("pdf", "png")}

    @property
    def results(self):
        return self.root / "results/mini"

    @property
    def paper_path(self):
        return self.results / "paper.tex"

    def metrics_path(self, recipe, seed):
        return self.results / "runs" / recipe / f"seed-{seed}" / "metrics.json"

    @property
    def report_path(self):
        return self.root / "results/mini/report.html"

    def started_artifacts(self):
        return (*self.tables, *self.figures)

    def runs(self, user=None):
        recipes = [series.recipe for item in self.figures.values() for series in item.series]
        recipes += [line.recipe for item in self.tables.values() for line in item.rows]
        return tuple(Run(recipe, seed) for recipe in dict.fromkeys(recipes) for seed in self.seeds(recipe))


@pytest.fixture
def invented():
    """The makers, for tests that need their own study: ``invented.study(...)``, ``invented.table(...)``, …"""
    return SimpleNamespace(
        table=cifar_table, row=row, column=column, figure=figure, metrics=invent_metrics, study=FakeStudy
    )


@pytest.fixture
def fake_study(tmp_path):
    """``fake_study({("ldam", 0): 0.42, …})``: a study of one table whose runs have these accuracies."""

    def make(accuracies, *, table=None, figures=(), classes=10, **changes):
        shutil.copytree(CONFIGS, tmp_path / "configs", dirs_exist_ok=True)  # the claims, and what they are of
        table = table or cifar_table()
        runs = {key: invent_metrics(*key, accuracy=accuracy, classes=classes) for key, accuracy in accuracies.items()}
        return FakeStudy(tmp_path, runs, {table.name: table}, {item.name: item for item in figures}, **changes)

    return make
