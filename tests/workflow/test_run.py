"""The workflow end to end on tiny data: what runs, what runs again, and what a failure leaves."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import pytest
from test_plan import planned

pytestmark = pytest.mark.slow
TABLE = "results/smoke/tables/adaptation_unit.md"


@pytest.fixture
def checkout(tmp_path: Path, made: tuple[Path, str]) -> Path:
    """A copy of the one in which a table and a figure were made."""
    return shutil.copytree(made[0], tmp_path / "checkout")


def test_from_nothing_to_a_table_and_what_makes_it_run_again(checkout: Path, snakemake, made: tuple[Path, str]):
    assert "Plan: 4 runs to train, about 1 minute of device time, 1 minute on 2 cores (4 of them guessed)" in made[1]
    metrics = json.loads((checkout / "results/smoke/runs/ldam_fasa/seed-0/metrics.json").read_text())
    assert metrics["recipe"] == "ldam_fasa" and metrics["fingerprint"] and metrics["packages"]["torch"]
    for suffix in ("md", "tex", "csv"):
        assert (checkout / f"results/smoke/tables/adaptation_unit.{suffix}").stat().st_size
    assert (checkout / "figures/smoke/cifar_fig4a.pdf").stat().st_size

    def again(*targets: str) -> dict[str, int]:
        return planned(snakemake(*targets, "-n", "-q", "rules").stdout)

    assert again("table_adaptation_unit", "figure_cifar_fig4a") == {}

    # An edited comment in the package trains nothing.
    source = checkout / "fasa/tasks/classification/training.py"
    source.write_text(source.read_text() + "\n# a comment\n")
    assert again("table_adaptation_unit", "figure_cifar_fig4a") == {}

    # A deleted measurement is measured again from the weights that are there.
    metrics_path = checkout / "results/smoke/runs/ldam_fasa/seed-0/metrics.json"
    whole = metrics_path.read_bytes()
    metrics_path.unlink()
    jobs = again("table_adaptation_unit")
    assert "train" not in jobs and jobs["evaluate"] == 1 and jobs["table"] == 1

    # One cut short is named; what the log says of it mends it, and the table is the same bytes.
    tables = {path: path.read_bytes() for path in (checkout / "results/smoke/tables").iterdir()}
    metrics_path.write_bytes(whole[:1000])
    assert snakemake("table_adaptation_unit", check=False).returncode != 0
    log = (checkout / "logs/smoke/render/adaptation_unit.log").read_text()
    assert "ldam_fasa/seed-0/metrics.json is damaged; delete it and run the workflow again" in log
    metrics_path.unlink()
    jobs = again("table_adaptation_unit")
    assert "train" not in jobs and jobs["evaluate"] == jobs["table"] == 1
    snakemake("table_adaptation_unit")
    assert {path: path.read_bytes() for path in tables} == tables

    # One changed hyper-parameter of one recipe trains that recipe's runs again, and no other.
    recipes = checkout / "configs/recipes/cifar100_lt.yaml"
    recipes.write_text(
        recipes.read_text().replace("options: {grouping: class}", "options: {grouping: class, draws_per_step: 2}")
    )
    jobs = again("table_adaptation_unit")
    assert jobs["train"] == jobs["evaluate"] == 2
    # Its old results are no longer shown, whoever asks for the table before they are made anew.
    done = snakemake("table_adaptation_unit")
    assert "train" in done.stderr + done.stdout


def test_a_run_is_measured_before_others_are_trained(made: tuple[Path, str]):
    def times(pattern: str) -> list[float]:
        return sorted(path.stat().st_mtime for path in made[0].glob(pattern))

    measured, trained = times("results/smoke/runs/*/*/metrics.json"), times("work_dirs/smoke/*/*/model.pt")
    assert len(measured) == len(trained) == 4 and measured[0] < trained[-1]


def test_another_device_makes_nothing_again_and_a_mistyped_file_is_told(again):
    config = "--config", "scale=smoke", "device=cpu"
    done = again("table_adaptation_unit", "-n", *config, scale=None)
    assert "Nothing to be done" in done.stdout + done.stderr
    done = again("resources/digits_lt/nope.npz", "-n", check=False)
    assert "fasa: no recipe at scale smoke uses the data digits_lt/nope." in done.stdout + done.stderr


def test_a_failing_run_leaves_the_other_tables_and_a_dash_with_the_reason(checkout: Path, snakemake):
    recipes = checkout / "configs/recipes/cifar100_lt.yaml"
    text = recipes.read_text().replace("options: {grouping: class}", "options: {grouping: class, momentum: 7.0}")
    recipes.write_text(text)
    done = snakemake("table_adaptation_unit", "table_adaptation_signal", check=False)
    assert done.returncode != 0
    assert (checkout / "results/smoke/tables/adaptation_signal.md").exists()  # keep-going
    partial = (checkout / TABLE).read_text()
    row = next(line for line in partial.splitlines() if "Class-wise" in line)
    assert "—" in row
    assert "momentum" in partial and "failed" in partial
    assert "ldam_fasa_class_wise" in done.stdout + done.stderr

    # Mended, the partial table does not pass for a finished one.
    recipes.write_text(text.replace(", momentum: 7.0", ""))
    jobs = planned(snakemake("table_adaptation_unit", "-n", "-q", "rules").stdout)
    assert jobs["train"] == 2 and jobs["table"] == 1
    snakemake("table_adaptation_unit")
    whole = (checkout / TABLE).read_text()
    assert "momentum" not in whole


def test_snakemakes_own_report_holds_the_results(checkout: Path, snakemake):
    snakemake("table_adaptation_unit", "figure_cifar_fig4a", "--report", "report.zip")
    with zipfile.ZipFile(checkout / "report.zip") as archive:
        held = {Path(name).name for name in archive.namelist()}
        (page,) = (name for name in archive.namelist() if name.endswith("report.html"))
        text = archive.read(page).decode()
    assert {"adaptation_unit.csv", "cifar_fig4a.png"} <= held
    assert "Tables" in text and "at scale" in text
