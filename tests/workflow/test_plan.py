"""What the workflow plans, without running anything."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import yaml
import yte

from fasa.study import Run, load_study

ROOT = Path(__file__).parents[2]


def planned(output: str) -> dict[str, int]:
    """Jobs by rule, from a dry run's table."""
    return {rule: int(count) for rule, count in re.findall(r"^(\w+)\s+(\d+)$", output, re.MULTILINE)}


def test_everything_is_planned_from_nothing(snakemake):
    jobs = planned(snakemake("-n", "-q", "rules").stdout)
    study = load_study(ROOT, "smoke")
    assert jobs["train"] == jobs["evaluate"] == len(study.with_needed(study.runs()))
    assert jobs["table"] + jobs["figure"] == len(study.default_artifacts())
    assert jobs["figure"] == len(study.figures)
    assert jobs["findings"] == jobs["report"] == jobs["paper"] == 1
    assert jobs["prepare"] == jobs["prepare_detection"] == 1


def test_seeds_are_asked_for_of_every_recipe(snakemake):
    output = snakemake("table_adaptation_unit", "-n", "-p", "--config", "seeds=3", "scale=smoke", scale=None).stdout
    trained = set(re.findall(r"fasa train (\w+) --seed (\d+)", output))
    assert trained == {(name, seed) for name in ("ldam_fasa", "ldam_fasa_class_wise") for seed in "012"}
    assert "fasa render adaptation_unit --scale smoke --seeds 3 " in output


def test_make_reproduce_makes_what_the_paper_shows_of_classifiers_and_the_ablation(snakemake):
    assert "snakemake --cores all reproduce" in (ROOT / "Makefile").read_text()
    output = snakemake("reproduce", "-n", "-p").stdout
    jobs = planned(output)
    assert jobs["reproduce"] == 1 and not {"report", "table", "figure"} & set(jobs)
    study = load_study(ROOT, "smoke")
    trained, measured = (
        {(name, int(seed)) for name, seed in re.findall(rf"fasa {step} (\w+) --seed (\d+)", output)}
        for step in ("train", "evaluate")
    )
    seeds = study.seeds("ldam")
    # LDAM + M2m starts from CE, a control; no other control is trained
    classifiers = (
        "ldam ldam_m2m ldam_fasa ldam_fasa_metric ldam_fasa_class_wise tde tde_fasa ce_r34 ce_r34_chu ce_r34_fasa"
    )
    assert trained == {(name, seed) for name in ["ce", *classifiers.split()] for seed in seeds} | {
        ("rfs", 0),
        ("rfs_fa", 0),
        ("rfs_fasa", 0),
    }
    assert measured == trained
    (rendered,) = re.findall(r"fasa render (.*) findings report", output)
    named = rendered.split()
    assert len(named) == len(set(named)) and {"cifar_lt", "adaptation_signal", "cifar_fig5", "ablation"} < set(named)
    assert "sampling" not in named and "fig3" not in named


def test_a_recipe_that_is_not_there_is_one_sentence(snakemake):
    done = snakemake("-n", "results/smoke/runs/ldam_fasaa/seed-0/metrics.json", check=False)
    assert done.returncode == 2
    assert "fasa: there is no recipe 'ldam_fasaa'; closest: 'ldam_fasa'" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_a_table_that_the_scale_cannot_run_is_one_sentence(checkout, snakemake):
    (checkout / "configs/scales/alone.yaml").write_text("description: Detectors.\ndetection: {model: small}\n")
    done = snakemake("table_cifar_lt", "-n", scale="alone", check=False)
    assert done.returncode != 0
    assert done.stderr.splitlines()[-1].startswith(
        "fasa: scale 'alone' cannot run all of table 'cifar_lt': choose another"
    )
    assert "Traceback" not in done.stdout + done.stderr


def test_a_run_shared_by_two_tables_is_trained_once(snakemake):
    jobs = planned(snakemake("table_adaptation_signal", "table_adaptation_unit", "-n", "-q", "rules").stdout)
    assert jobs["train"] == 3 * 2  # ldam_fasa, _metric, _class_wise; two seeds


def test_a_table_plans_what_its_runs_start_from(snakemake):
    study = load_study(ROOT, "smoke")
    runs = study.with_needed((Run("ldam_m2m", 0), Run("ce_r34_chu", 1)))
    assert runs == (Run("ce", 0), Run("ldam_m2m", 0), Run("ce_r34", 1), Run("ce_r34_chu", 1))
    output = snakemake("results/smoke/runs/ldam_m2m/seed-0/metrics.json", "-n", "-q", "rules").stdout
    assert planned(output)["train"] == 2


def test_a_changed_recipe_trains_itself_and_what_starts_from_it_and_no_other():
    study = load_study(ROOT, "paper")
    before = {name: study.fingerprint(name) for name in study.resolved}
    for changed in ("mask_rcnn", "ce", "crt"):
        recipe = study.recipes[changed]
        longer = recipe.schedule.model_copy(update={"epochs": recipe.schedule.epochs + 1})
        other = replace(study, recipes=study.recipes | {changed: recipe.model_copy(update={"schedule": longer})})
        again = {name for name in before if other.fingerprint(name) != before[name]}
        runs = {name: {run.recipe for run in study.with_needed((Run(name, 0),))} for name in before}
        assert again == {name for name in before if changed in runs[name]}
        assert (len(again) > 1) == (changed != "crt")


def test_the_profiles_share_no_key():
    default = yaml.safe_load((ROOT / "profiles/default/profile.yaml").read_text())
    cluster = (ROOT / "slurm/profile.yaml").read_text()
    keys = set(re.findall(r"^(?!__)([\w-]+):", cluster, re.MULTILINE))
    assert keys and not keys & set(default)


def test_the_slurm_profile_is_found_from_the_root_and_means_the_paper_scale(snakemake):
    output = snakemake("table_adaptation_unit", "-n", "-p", "--profile", "slurm", scale=None).stdout
    assert planned(output)["train"] == 2 * 5
    assert "work_dirs/paper/ldam_fasa/seed-0/model.pt" in output


def test_the_slurm_profile_takes_partition_and_account_from_the_environment(monkeypatch):
    monkeypatch.delenv("FASA_PARTITION", raising=False)
    monkeypatch.setenv("FASA_ACCOUNT", "vision")
    resources = yte.process_yaml((ROOT / "slurm/profile.yaml").read_text())["default-resources"]
    assert resources["slurm_account"] == "vision" and "slurm_partition" not in resources


def test_an_unknown_scale_is_one_sentence(snakemake):
    done = snakemake("-n", scale="huge", check=False)
    assert done.returncode != 0
    assert "there is no scale 'huge'; there are mini, mini_60, " in done.stdout + done.stderr


def test_an_unknown_configuration_key_is_refused_by_name(snakemake):
    done = snakemake("-n", "--config", "sclae=mini", scale=None, check=False)
    assert done.returncode != 0
    assert "sclae" in done.stdout + done.stderr
