"""What the doctor says of Slurm: clusters that are commands in a folder, each printing what a real one prints."""

from __future__ import annotations

import math
import re
import stat
from functools import partial
from pathlib import Path

import pytest

from fasa.doctor import slurm
from fasa.doctor.check import ask
from fasa.doctor.chosen import choose
from fasa.doctor.slurm import Size, minutes, parse

ROOT = Path(__file__).parents[2]
DETECTION = {
    "data": {
        "lvis": {
            "name": "glyphs",
            "options": {"classes": 4, "train_images": 8, "val_images": 4, "side": 64, "objects": [1, 2]},
        }
    },
    "model": "small",
    "threads": 40,
    "resources": {"gpu": 8, "mem_mb": 180000, "runtime": 60},
    "seconds": {"r50": 38000},  # of the paper's scale: 12 epochs on 8 GPUs take 950 minutes, and ask for 1,430
}
WIDE = "main*|2-00:00:00|4|64|500000|gpu:a100:8(S:0-1)|nvlink,ib"
NARROW = "small|infinite|2|32|250000|gpu:v100:4|(null)"
OTHERS = {"sbatch": "", "sacct": "", "sacctmgr": "exit 1", "stat": "echo nfs"}


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """``cluster(line, …, sacct=…)``: commands that print those lines of sinfo, or do as they are told."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))  # alone: the machine may have Slurm's real commands

    def make(*lines: str, **commands: str) -> None:
        listed = "".join(f"echo '{line}'\n" for line in lines)
        nodes = 'case "$*" in *--Node*) echo n1; echo n2; exit;; *small*%M) echo CANCEL; exit;; esac\n'
        for name, body in (OTHERS | {"sinfo": nodes + listed} | commands).items():
            (folder / name).write_text(f"#!/bin/sh\n{body}\n")
            (folder / name).chmod(stat.S_IRWXU)

    return make


@pytest.fixture
def say(make_study):
    """``say(FASA_…=…)``: the checks of Slurm, as (state, message, fix), for detectors on eight GPUs."""

    def look(names=("ablation",), detection=DETECTION, **environment: str):
        chosen = choose(make_study(detection=detection), names)
        return [(one.state, one.message, one.fix) for one in slurm.checks(chosen, slurm.look(), environment)]

    return look


def the_one(found, words: str):
    (one,) = [check for check in found if words in check[1]]
    return one


# ------------------------------------------------------------------------------------------------- what sinfo prints
@pytest.mark.parametrize(
    ("limit", "found"),
    [
        ("infinite", math.inf),
        ("2-00:00:00", 2880),
        ("1-12:30:00", 2190),
        ("12:00:00", 720),
        ("30:00", 30),
        ("0:30", 0.5),
    ],
)
def test_a_time_limit_in_minutes(limit, found):
    assert minutes(limit) == found


@pytest.mark.parametrize(
    ("gres", "number", "models"),
    [
        ("(null)", 0, set()),
        ("gpu:8", 8, set()),
        ("gpu:a100:8(S:0-1)", 8, {"a100"}),
        ("gpu:v100:2,gpu:a100:4(S:0,1),nvme:1", 6, {"v100", "a100"}),
        ("gpu:1g.5gb:7", 7, {"1g.5gb"}),
        ("gpu", 1, set()),
    ],
)
def test_gpus_of_a_node(gres, number, models):
    (nodes,) = parse(f"main|infinite|1|8|1000|{gres}|(null)")
    assert (nodes.size.gpus, nodes.models) == (number, models)


def test_kinds_of_nodes():
    wide, narrow = parse(f"{WIDE}\nnonsense\n{NARROW}\n")
    assert (wide.partition, wide.default, wide.limit, wide.number) == ("main", True, 2880, 4)
    assert (wide.size, wide.features) == (Size(8, 500000, 64), {"nvlink", "ib"})
    assert not narrow.default and narrow.features == set()


# ------------------------------------------------------------------------------------------------------ nodes and times
def test_a_cluster_that_has_all(cluster, say):
    cluster(WIDE, NARROW)
    found = say()
    assert {state for state, _, _ in found} == {"ok"}
    assert the_one(found, "Partition main has 4 nodes with 8 GPUs, 40 CPUs and 180 GB")
    assert the_one(found, "asks for 1,430 minutes; partition main allows 2,880")
    assert the_one(found, "sacct answers")


def test_a_partition_must_be_there_and_wide_enough(cluster, say):
    cluster(WIDE.replace("main*", "main"), NARROW)
    assert the_one(say(), "no default partition") == (
        "missing",
        "The cluster has no default partition; there are main, small.",
        "export FASA_PARTITION=main",
    )
    assert the_one(say(FASA_PARTITION="gpu"), "no partition gpu")[2] == "export FASA_PARTITION=main"
    state, what, fix = the_one(say(FASA_PARTITION="small"), "No node of partition small")
    assert state == "missing" and "the best has 4 GPUs, 32 CPUs and 250 GB. Partition main has some." in what
    assert fix == "export FASA_PARTITION=main"
    assert the_one(say(FASA_PARTITION="small,main"), "has 4 nodes with 8 GPUs")[0] == "ok"  # Slurm takes either


def test_where_no_node_is_wide_enough_the_same_training_is_sent_with_less(cluster, say):
    cluster(NARROW.replace("small", "small*"))
    # Half the GPUs take twice 1,430 minutes.
    state, _, fix = the_one(say(), "No node of partition small")
    assert state == "missing" and fix == (
        "snakemake --profile slurm --set-resources train:gpu=4 train:mem_mb=180000 train:runtime=2860 "
        "--set-threads train=32"
    )
    assert "train:runtime=600 " in the_one(say(FASA_MAX_RUNTIME="600"), "No node")[2]
    cluster(WIDE.replace("gpu:a100:8", "gpu:a100:6"))  # 6 does not divide 8, and 2 does
    assert "train:gpu=2 train:mem_mb=180000 train:runtime=5720 --set-threads train=40" in the_one(say(), "No node")[2]
    cluster(WIDE.replace("|64|", "|32|"))  # enough GPUs, but fewer CPUs
    assert "train:gpu=8 train:mem_mb=180000 train:runtime=1430 --set-threads train=32" in the_one(say(), "No node")[2]
    cluster(WIDE.replace("gpu:a100:8(S:0-1)", "(null)"))
    assert the_one(say(), "the best has no GPU, 64 CPUs")[2] == "sinfo --Node --long"


def test_a_partition_shorter_than_the_longest_job(cluster, say):
    cluster(WIDE.replace("2-00:00:00", "12:00:00"))
    # 1,430 minutes in pieces of 720 are two: one retry, and two there are.
    assert the_one(say(), "asks for 1,430 minutes; partition main allows 720")[2] == "export FASA_MAX_RUNTIME=720"
    assert the_one(say(FASA_MAX_RUNTIME="720"), "partition main allows 720")[0] == "ok"
    cluster(WIDE.replace("2-00:00:00", "4:00:00"))
    # 1,430 / 240: six pieces, five retries.
    assert the_one(say(), "allows 240")[2] == "export FASA_MAX_RUNTIME=240 FASA_RETRIES=5"
    assert the_one(say(FASA_MAX_RUNTIME="240"), "allows 240")[::2] == ("missing", "export FASA_RETRIES=5")
    assert the_one(say(FASA_MAX_RUNTIME="240", FASA_RETRIES="5"), "allows 240")[0] == "ok"
    found = the_one(say(FASA_MAX_RUNTIME="120"), "allows 240, and FASA_MAX_RUNTIME 120.")
    assert found[::2] == ("missing", "export FASA_RETRIES=11")


def test_measuring_may_be_the_longest_job(cluster, say):
    cluster(WIDE)
    long = {**DETECTION, "resources": {**DETECTION["resources"], "runtime": 4320}}
    state, _, fix = the_one(say(detection=long), "asks for 4,320 minutes; partition main allows 2,880")
    assert state == "missing" and fix == "export FASA_MAX_RUNTIME=2880"
    assert the_one(say(detection=long, FASA_MAX_RUNTIME="2880"), "asks for 4,320 minutes")[0] == "ok"


# ------------------------------------------------------------------------------------------------- the site's settings
def test_a_model_and_a_feature_are_among_those_there(cluster, say):
    cluster(WIDE)
    assert the_one(say(FASA_GPU_MODEL="a100", FASA_CONSTRAINT="ib&nvlink"), "Partition main has 4 nodes")[0] == "ok"
    assert the_one(say(FASA_GPU_MODEL="h100"), "'h100', which is none of a100")[2] == "export FASA_GPU_MODEL=a100"
    assert the_one(say(FASA_CONSTRAINT="ib&nvlnk"), "none of ib, nvlink")[2] == "export FASA_CONSTRAINT=ib"
    assert the_one(say(FASA_CONSTRAINT="ib|roce"), "Partition main has 4 nodes")[0] == "ok"  # Slurm's to judge


def test_account_and_quality_are_among_the_users(cluster, say):
    cluster(WIDE, sacctmgr="echo 'vision|normal,long'; echo 'speech|normal'")
    found = say(FASA_ACCOUNT="vision", FASA_QOS="short")
    assert not any("FASA_ACCOUNT" in what for _, what, _ in found)
    assert the_one(found, "FASA_QOS is 'short', which is none of long, normal")[2] == "export FASA_QOS=long"
    assert the_one(say(FASA_ACCOUNT="visoin"), "speech, vision")[:1] == ("missing",)
    cluster(WIDE, sacctmgr="echo 'no accounting here'; exit 1")
    assert {state for state, _, _ in say(FASA_ACCOUNT="any")} == {"ok"}


def test_settings_that_are_not_what_they_must_be(cluster, say):
    cluster(WIDE)
    found = say(FASA_MAX_RUNTIME="12h", FASA_RETRIES="0", FASA_JOBS="", FASA_STATUS_COMMAND="qstat")
    assert {(state, fix) for state, _, fix in found if state != "ok"} == {
        ("missing", "unset FASA_MAX_RUNTIME"),
        ("missing", "export FASA_STATUS_COMMAND=sacct"),
    }


def test_every_setting_of_the_profile_is_checked():
    rows = re.findall(r"^\| `(FASA_[A-Z_]+)`", (ROOT / "slurm/README.md").read_text(), re.MULTILINE)
    assert rows and set(rows) == set(re.findall(r'"(FASA_[A-Z_]+)"', Path(slurm.__file__).read_text()))


# --------------------------------------------------------------------------------------------------------- accounting
def test_without_accounting_squeue_is_to_be_asked(cluster, say):
    cluster(WIDE, sacct="echo 'Slurm accounting storage is disabled' >&2; exit 1")
    assert the_one(say(), "sacct does not tell of jobs (Slurm accounting storage is disabled)")[2] == (
        "export FASA_STATUS_COMMAND=squeue"
    )
    assert not any("sacct" in what for _, what, _ in say(FASA_STATUS_COMMAND="squeue"))


# ------------------------------------------------------------------------------------------------- no cluster, no need
def test_a_machine_without_slurm(cluster, say, tmp_path):
    assert [check[0] for check in say()] == ["note"]
    cluster(sinfo="echo 'sinfo: error: one' >&2; echo 'sinfo: fatal: no config.' >&2; exit 1")
    (found,) = say()
    assert found == (
        "warning",
        "Slurm is installed, but no cluster answers: sinfo: fatal: no config.",
        "scontrol ping",
    )
    (tmp_path / "bin/sinfo").write_text("no program")  # without its first line it cannot be run
    assert "cannot be run" in the_one(say(), "no cluster answers")[1]


def test_a_cluster_that_does_not_answer_is_not_waited_for(cluster, say, monkeypatch):
    cluster(sinfo="exec /bin/sleep 30")
    monkeypatch.setattr(slurm, "ask", partial(ask, seconds=0.3))
    assert the_one(say(), "sinfo gave no answer within 0.3 seconds")[0] == "warning"


def test_commands_that_are_not_there(cluster, say, tmp_path):
    cluster(WIDE)
    (tmp_path / "bin/sbatch").unlink()
    assert the_one(say(), "sbatch cannot be found")[0] == "missing"


def test_where_no_run_wants_gpus_nothing_of_slurm_is_missing(cluster, say):
    cluster(NARROW, sacct="exit 1")
    found = say(names=["cifar_lt"], FASA_JOBS="many")
    assert {"warning"} <= {state for state, _, _ in found} <= {"ok", "note", "warning"}
    assert the_one(found, "FASA_JOBS is 'many'")[2] == "unset FASA_JOBS"


# --------------------------------------------------------------------------------------------------- disks of the nodes
@pytest.mark.parametrize(
    ("kind", "state", "words"),
    [
        ("nfs", "ok", "that nodes may see"),
        ("ext2/ext3", "warning", "nodes must see it under the same path"),
        ("tmpfs", "warning", "a disk of this machine (tmpfs)"),
    ],
)
def test_whether_nodes_see_this_folder(cluster, say, kind, state, words):
    cluster(WIDE, stat=f"echo {kind}")
    assert the_one(say(), words)[0] == state


def test_a_partition_that_cancels_what_it_preempts(cluster, say):
    cluster(WIDE, WIDE.replace("main*", "small"))
    assert not [check for check in say() if "pre-empts" in check[1]]
    found = the_one(say(FASA_PARTITION="small"), "pre-empts")
    told = "Partition small cancels what it pre-empts: Snakemake would wait forever for such a job."
    assert found == ("warning", told, "scontrol requeue JOB")
