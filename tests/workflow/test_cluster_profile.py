"""What `--profile slurm` asks a cluster for: the lines given to an sbatch that only writes them down."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yte

from fasa.study import Study, load_study
from fasa.study.cost import runtime_minutes

ROOT = Path(__file__).parents[2]
RUNS = ("mask_rcnn_24", "rfs_x101_24", "ldam_fasa")  # a ResNet-50, a ResNeXt-101, a classifier
STARVED = (
    "--target-jobs train:recipe=ldam_fasa,seed=0 --config scale=paper\nerror: Detected 1 oom_kill event in StepId=1.0"
)
TOOLS = {  # of a cluster that takes no job
    "sbatch": 'echo "$@" >> {lines}\necho "this one only writes down" >&2\nexit 1',
    "sinfo": 'echo PARTITION; echo "main*"',
    "sacct": "exit 1",
    "sacctmgr": "exit 1",
}


def lines_of(checkout: Path, tools: Path, targets: list[str], *options: str, **site: str) -> str:
    """What sbatch was given when ``targets`` were asked of the cluster."""
    tools.mkdir()
    for name, content in TOOLS.items():
        (tools / name).write_text(f"#!/bin/sh\n{content.format(lines=tools / 'lines.txt')}\n")
        (tools / name).chmod(0o755)
    command = [sys.executable, "-m", "snakemake", *targets, "--profile", "slurm", "--retries", "0", "--no-hooks"]
    command += ["--slurm-init-seconds-before-status-checks", "1", *options]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FASA_")}
    paths = {"PATH": f"{tools}:{os.environ['PATH']}", "PYTHONPATH": str(checkout)}
    environment = kept | paths | {"FASA_STATUS_COMMAND": "squeue"} | site
    subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, timeout=300)
    return (tools / "lines.txt").read_text() if (tools / "lines.txt").exists() else ""


def sent(checkout: Path, tools: Path, **site: str) -> dict[str, str]:
    """The line with which each of :data:`RUNS` is sent off at scale ``paper``."""
    study = load_study(checkout, "paper")
    for recipe in RUNS:  # as if its data were prepared and its first weights fetched
        for path in filter(None, (study.data_path(recipe), study.first_weights(recipe))):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    text = lines_of(checkout, tools, [f"work_dirs/paper/{recipe}/seed-0/model.pt" for recipe in RUNS], **site)
    lines = re.split(r"^(?=--parsable)", text, flags=re.MULTILINE)
    return {recipe: line for recipe in RUNS for line in lines if f"train_wildcards_{recipe}_0" in line}


def asked(line: str, *options: str) -> list[str]:
    """The values of ``options`` in a line of sbatch."""
    found = [re.search(rf"(?:^| ){re.escape(option)}[ =](\S+)", line) for option in options]
    return [match[1] if match else "" for match in found]


def minutes(study: Study, recipe: str) -> str:
    return str(runtime_minutes(study, recipe))


@pytest.mark.slow
def test_a_job_asks_for_what_its_recipe_needs(checkout, tmp_path):
    lines, study = sent(checkout, tmp_path / "tools"), load_study(checkout, "paper")
    assert len(lines) == len(RUNS)
    options = ("--gpus", "--mem", "--cpus-per-task", "--nodes", "-t", "-p", "-A", "--qos", "-C")
    r50, x101, cifar = (asked(lines[recipe], *options) for recipe in RUNS)
    none_of_the_site = ["main", "", "", ""]  # the cluster's default partition
    assert r50 == ["8", "180000", "40", "1", minutes(study, "mask_rcnn_24"), *none_of_the_site]
    assert x101 == ["8", "180000", "40", "1", minutes(study, "rfs_x101_24"), *none_of_the_site]
    assert cifar == ["1", "8000", "2", "1", minutes(study, "ldam_fasa"), *none_of_the_site]
    assert int(x101[4]) > int(r50[4]) > int(cifar[4])
    assert all("--requeue" in line for line in lines.values())


@pytest.mark.slow
def test_a_site_says_where_jobs_go_and_how_long_they_may_be(checkout, tmp_path):
    site = {"FASA_PARTITION": "gpu", "FASA_QOS": "long", "FASA_CONSTRAINT": "nvlink", "FASA_GPU_MODEL": "a100"}
    starved = checkout / "logs/slurm/rule_train/ldam_fasa_0/1.log"
    starved.parent.mkdir(parents=True)
    starved.write_text(STARVED)
    lines = sent(checkout, tmp_path / "tools", **site, FASA_MAX_RUNTIME="120")
    options = ("-p", "--qos", "-C", "--gpus", "-t")
    assert asked(lines["rfs_x101_24"], *options) == ["gpu", "long", "nvlink", "a100:8", "120"]
    minutes_of_cifar = minutes(load_study(checkout, "paper"), "ldam_fasa")
    assert asked(lines["ldam_fasa"], "-t", "--mem") == [minutes_of_cifar, "16000"]  # the first job had 8,000 MB


@pytest.mark.slow
def test_measuring_asks_for_no_longer_than_the_site_allows(checkout, tmp_path):
    study, run = load_study(checkout, "paper"), ("mask_rcnn_24", 0)
    made = [study.work_dir(*run) / name for name in ("cost.json", "history.json", "model.pt")]
    for path in (study.data_path(run[0]), study.first_weights(run[0]), *made):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    measured = study.metrics_path(*run).relative_to(checkout)
    evaluate = ["--allowed-rules", "evaluate"]  # its training is done
    for site, minutes in (({}, "4320"), ({"FASA_MAX_RUNTIME": "1440"}, "1440")):
        line = lines_of(checkout, tmp_path / f"tools-{minutes}", [str(measured)], *evaluate, **site)
        assert asked(line, "--gpus", "-t") == ["1", minutes]


@pytest.mark.slow
def test_data_is_prepared_where_the_head_is(checkout, tmp_path):
    study = load_study(checkout, "smoke")
    packs = [study.data_path(recipe) for recipe in ("crt", "ldam_fasa")]
    names = [str(path.relative_to(checkout)) for path in packs]
    assert lines_of(checkout, tmp_path / "tools", names, "--config", "scale=smoke") == ""
    assert all(path.exists() for path in packs)


def test_a_site_sets_account_jobs_and_retries(monkeypatch):
    text = (ROOT / "slurm/profile.yaml").read_text()
    for name in ("FASA_JOBS", "FASA_RETRIES", "FASA_PARTITION"):
        monkeypatch.delenv(name, raising=False)
    usual = yte.process_yaml(text)
    assert (usual["jobs"], usual["retries"]) == (64, 2)
    for name, value in (("FASA_JOBS", "8"), ("FASA_RETRIES", "20"), ("FASA_ACCOUNT", "vision")):
        monkeypatch.setenv(name, value)
    site = yte.process_yaml(text)
    assert (site["jobs"], site["retries"]) == (8, 20)
    assert site["default-resources"]["slurm_account"] == "vision"
    assert "slurm_partition" not in site["default-resources"]


def test_a_longest_run_time_that_is_no_number_is_one_sentence(snakemake, monkeypatch):
    monkeypatch.setenv("FASA_MAX_RUNTIME", "2 days")
    done = snakemake("-n", check=False)
    assert done.returncode != 0
    assert "FASA_MAX_RUNTIME is '2 days', not a whole number of minutes; mend it." in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_an_executor_that_starts_a_training_once_for_each_gpu_is_refused(checkout, tmp_path):
    old = tmp_path / "snakemake_executor_plugin_slurm-2.6.1.dist-info"
    old.mkdir()
    (old / "METADATA").write_text("Metadata-Version: 2.1\nName: snakemake-executor-plugin-slurm\nVersion: 2.6.1\n")
    command = [sys.executable, "-m", "snakemake", "-n", "--cores", "1", "table_cifar_lt"]
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}:{checkout}"}
    done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode != 0
    assert "snakemake-executor-plugin-slurm is 2.6.1, which starts a training on N GPUs N times" in done.stderr
