"""What the doctor says of Slurm: clusters that are commands in a folder, each printing what a real one prints."""

from __future__ import annotations

import math
import re
import stat
from functools import partial
from pathlib import Path

import pytest

from fasa.doctor import filesystems, slurm, slurm_settings
from fasa.doctor.ask import ask
from fasa.doctor.chosen import choose
from fasa.doctor.slurm_nodes import gpus, groups, minutes

ROOT = Path(__file__).parents[2]
DETECTION = {
    "data": {"lvis": {"name": "glyphs", "options": {"classes": 4}}},
    "model": "small",
    "threads": 40,
    "resources": {"gpu": 8, "mem_mb": 180000, "runtime": 60},
    "seconds": {"r50": 38000},  # of the paper's scale: 12 epochs on 8 GPUs take 950 minutes, and ask for 1,430
}
WIDE = "main*|up|2-00:00:00|idle|4|64|500000|gpu:a100:8(S:0-1)|nvlink,ib|REQUEUE"
NARROW = "small|up|infinite|mix|2|32|250000|gpu:v100:4|(null)|OFF"
OTHERS = {"sbatch": "", "srun": "", "squeue": "", "scancel": "", "sacct": "", "scontrol": "", "sacctmgr": "exit 1"}


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """``cluster(line, …, sacct=…)``: commands that print those lines of sinfo, or do as they are told."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))  # alone: the machine may have Slurm's real commands

    def make(*lines: str, **commands: str) -> None:
        listed = "".join(f"echo '{line}'\n" for line in lines)
        nodes = 'case "$*" in *--Node*) echo n1; echo n2; exit;; esac\n'
        for name, body in (OTHERS | {"sinfo": nodes + listed} | commands).items():
            (folder / name).write_text(f"#!/bin/sh\n{body}\n")
            (folder / name).chmod(stat.S_IRWXU)

    return make


@pytest.fixture
def say(make_study):
    """``say(FASA_…=…)``: the findings of Slurm, as (state, what, mend), for detectors on eight GPUs."""

    def look(names=("ablation",), detection=DETECTION, **environment: str):
        chosen = choose(make_study(detection=detection), names)
        return [(f.state, f.what, f.mend) for f in slurm.findings(chosen, slurm.look(), environment)]

    return look


def the_one(found, words: str):
    (one,) = [finding for finding in found if words in finding[1]]
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
    ("gres", "found"),
    [
        ("(null)", {}),
        ("gpu:8", {"": 8}),
        ("gpu:a100:8(S:0-1)", {"a100": 8}),
        ("gpu:v100:2,gpu:a100:4(S:0,1),nvme:1", {"v100": 2, "a100": 4}),
        ("gpu", {"": 1}),
    ],
)
def test_gpus_of_a_node_by_model(gres, found):
    assert gpus(gres) == found


def test_groups_of_nodes():
    wide, narrow = groups(f"{WIDE}\nnonsense\n{NARROW}\n")
    assert (wide.partition, wide.default, wide.up, wide.minutes, wide.nodes) == ("main", True, True, 2880, 4)
    assert (wide.cpus, wide.memory_mb, wide.features, wide.preempt) == (64, 500000, {"nvlink", "ib"}, "REQUEUE")
    assert (wide.gpus_of(""), wide.gpus_of("a100"), wide.gpus_of("h100")) == (8, 8, 0)
    assert not narrow.default and narrow.features == set()
    for state in ("down*", "drain", "drng", "maint"):
        assert not groups(WIDE.replace("idle", state))[0].up, state
    assert groups(WIDE.replace("idle", "alloc"))[0].up


# ------------------------------------------------------------------------------------------------------ nodes and times
def test_a_cluster_that_has_all(cluster, say):
    cluster(WIDE, NARROW)
    found = [finding for finding in say() if "lies" not in finding[1]]  # on this machine's disk
    assert {state for state, _, _ in found} == {"ok"}
    assert the_one(found, "Partition main has 4 nodes with 8 GPUs, 40 CPUs and 180 GB")
    assert the_one(found, "asks for 1,430 minutes; partition main allows 2,880")
    assert the_one(found, "sacct answers")


def test_a_partition_must_be_there_and_wide_enough(cluster, say):
    cluster(WIDE.replace("main*", "main"), NARROW)
    assert the_one(say(), "no default partition") == (
        "missing",
        "The cluster has no default partition, and none is named; there are main, small.",
        "export FASA_PARTITION=main",
    )
    assert the_one(say(FASA_PARTITION="gpu"), "no partition gpu")[2] == "export FASA_PARTITION=main"
    state, what, mend = the_one(say(FASA_PARTITION="small"), "No node of partition small")
    assert state == "missing" and "the best has 4 GPUs, 32 CPUs and 250 GB. Partition main has some." in what
    assert mend == "export FASA_PARTITION=main"


def test_where_no_node_is_wide_enough_the_same_training_is_sent_with_less(cluster, say):
    cluster(NARROW.replace("small", "small*"))
    # Half the GPUs: half the CPUs and memory, and twice 1,430 minutes.
    state, _, mend = the_one(say(), "No node of partition small")
    assert state == "missing" and mend == (
        "snakemake --profile slurm --set-resources train:gpu=4 train:mem_mb=90000 train:runtime=2860 "
        "--set-threads train=20"
    )
    assert "train:runtime=600 " in the_one(say(FASA_MAX_RUNTIME="600"), "No node")[2]
    cluster(WIDE.replace("|64|", "|32|").replace("gpu:a100:8", "gpu:a100:3"))  # 3 does not divide 8, and 2 does
    assert "train:gpu=2 train:mem_mb=45000 train:runtime=5720 --set-threads train=10" in the_one(say(), "No node")[2]
    cluster(WIDE.replace("|64|", "|32|"))  # enough GPUs, but fewer CPUs
    assert "train:gpu=8 train:mem_mb=180000 train:runtime=1430 --set-threads train=32" in the_one(say(), "No node")[2]
    cluster(WIDE.replace("gpu:a100:8(S:0-1)", "(null)"))
    assert the_one(say(), "the best has no GPU, 64 CPUs")[2] == "sinfo --Node --long"


def test_a_model_and_a_feature_are_among_those_there(cluster, say):
    cluster(WIDE)
    assert the_one(say(FASA_GPU_MODEL="a100", FASA_CONSTRAINT="ib&nvlink"), "Partition main has 4 nodes")[0] == "ok"
    assert the_one(say(FASA_GPU_MODEL="h100"), "GPUs of model h100; there are a100")[2] == "export FASA_GPU_MODEL=a100"
    assert the_one(say(FASA_CONSTRAINT="nvlnk"), "feature nvlnk")[2] == "export FASA_CONSTRAINT=ib"
    assert the_one(say(FASA_CONSTRAINT="ib|roce"), "Partition main has 4 nodes")[0] == "ok"  # Slurm's to judge


def test_nodes_out_of_use_and_pre_emption_are_warned_of(cluster, say):
    cluster(WIDE.replace("idle", "down*").replace("REQUEUE", "CANCEL"))
    found = say()
    assert the_one(found, "out of use at the moment")[0] == "warning"
    assert the_one(found, "waits for ever: choose one that requeues")[0] == "warning"


def test_a_partition_shorter_than_the_longest_job(cluster, say):
    cluster(WIDE.replace("2-00:00:00", "12:00:00"))
    # 950 minutes in pieces of 720 are two: one retry, and two there are.
    assert the_one(say(), "asks for 1,430 minutes, and partition main allows 720")[2] == "export FASA_MAX_RUNTIME=720"
    assert the_one(say(FASA_MAX_RUNTIME="720"), "asks for 720 minutes; partition main allows 720")[0] == "ok"
    cluster(WIDE.replace("2-00:00:00", "4:00:00"))
    # 950 / 240: four pieces, three retries.
    assert the_one(say(), "allows 240")[2] == "export FASA_MAX_RUNTIME=240 FASA_RETRIES=3"
    short = the_one(
        say(FASA_MAX_RUNTIME="240"), "about 950 minutes, 4 pieces of 240, and a job is sent again 2 times only"
    )
    assert short[0] == "missing" and short[2] == "export FASA_RETRIES=3"
    assert the_one(say(FASA_MAX_RUNTIME="240", FASA_RETRIES="3"), "asks for 240 minutes")[0] == "ok"


def test_measuring_may_be_the_longest_job(cluster, say):
    cluster(WIDE)
    long = {**DETECTION, "resources": {**DETECTION["resources"], "runtime": 4320}}
    state, what, mend = the_one(say(detection=long), "The longest job, measuring rfs")
    assert state == "missing" and "asks for 4,320 minutes, and partition main allows 2,880" in what
    assert mend == "export FASA_MAX_RUNTIME=2880"
    assert the_one(say(detection=long, FASA_MAX_RUNTIME="2880"), "asks for 2,880 minutes")[0] == "ok"


# ---------------------------------------------------------------------------------------------- accounting, accounts
def test_without_accounting_squeue_is_to_be_asked(cluster, say):
    cluster(WIDE, sacct="echo 'Slurm accounting storage is disabled' >&2; exit 1")
    assert the_one(say(), "sacct does not tell of jobs (Slurm accounting storage is disabled)")[2] == (
        "export FASA_STATUS_COMMAND=squeue"
    )
    assert not any("sacct" in what for _, what, _ in say(FASA_STATUS_COMMAND="squeue"))


@pytest.mark.parametrize(("seconds", "state"), [(300, "ok"), (120, "ok"), (10, "warning")])
def test_squeue_must_remember_ended_jobs(cluster, say, seconds, state):
    cluster(WIDE, scontrol=f"echo 'MessageTimeout = 10 sec'; echo 'MinJobAge               = {seconds} sec'")
    assert the_one(say(FASA_STATUS_COMMAND="squeue"), "squeue is asked")[0] == state


def test_account_and_quality_are_among_the_users(cluster, say):
    cluster(WIDE, sacctmgr="echo 'vision|normal,long'; echo 'speech|normal'")
    found = say(FASA_ACCOUNT="vision", FASA_QOS="short")
    assert the_one(found, "The account vision is among yours")[0] == "ok"
    assert the_one(found, "quality of service short is not among yours: long, normal")[2] == "export FASA_QOS=long"
    assert the_one(say(FASA_ACCOUNT="visoin"), "speech, vision")[:1] == ("missing",)


# ------------------------------------------------------------------------------------------------- no cluster, no need
def test_a_machine_without_slurm(cluster, say, tmp_path):
    assert [finding[0] for finding in say()] == ["note"]
    cluster(sinfo="echo 'sinfo: error: one' >&2; echo 'sinfo: fatal: no config.' >&2; exit 1")
    (found,) = say()
    assert found == (
        "warning",
        "Slurm's commands are here, but no cluster answers: sinfo: fatal: no config.",
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
    for name in ("sbatch", "srun"):
        (tmp_path / "bin" / name).unlink()
    assert the_one(say(), "sbatch, srun cannot be found")[0] == "missing"


def test_where_no_run_wants_gpus_nothing_of_slurm_is_missing(cluster, say):
    cluster(NARROW, sacct="exit 1")
    found = say(names=["cifar_lt"], FASA_JOBS="many")
    assert {"warning"} <= {state for state, _, _ in found} <= {"ok", "note", "warning"}
    assert the_one(found, "FASA_JOBS is 'many'")[2] == "export FASA_JOBS=64"


# ------------------------------------------------------------------------------------------------------------ settings
def test_settings_that_nothing_reads_or_that_are_no_numbers():
    said = {"FASA_PARTITON": "gpu", "FASA_ZZZ": "1", "FASA_MAX_RUNTIME": "12h", "FASA_RETRIES": "0", "FASA_JOBS": ""}
    found = {(f.state, f.mend) for f in slurm_settings.mistakes(said | {"FASA_STATUS_COMMAND": "qstat"})}
    assert found == {
        ("warning", "export FASA_PARTITION=gpu; unset FASA_PARTITON"),
        ("warning", "unset FASA_ZZZ"),
        ("missing", "unset FASA_MAX_RUNTIME"),
        ("missing", "export FASA_STATUS_COMMAND=squeue"),
    }


def test_every_setting_that_anything_reads_is_known():
    places = [*ROOT.glob("fasa/**/*.py"), *ROOT.glob("workflow/**/*.smk"), *ROOT.glob("tests/**/*.py")]
    places += [ROOT / "slurm/profile.yaml", ROOT / "requirements/install.sh"]
    pattern = r"(?:environ(?:\.get\(|\[)|getenv\(|\$\{)\"?(FASA_[A-Z_]+)"
    read = {name for path in places for name in re.findall(pattern, path.read_text())}
    assert {"FASA_PARTITION", "FASA_ENV", "FASA_MAX_RUNTIME"} <= read
    assert read <= {*slurm_settings.PROFILE, *slurm_settings.OTHERS}
    rows = re.findall(r"^\| `(FASA_[A-Z_]+)`", (ROOT / "slurm/README.md").read_text(), re.MULTILINE)
    assert set(rows) == set(slurm_settings.PROFILE)


# --------------------------------------------------------------------------------------------------- disks of the nodes
MOUNTS = """\
/dev/sda1 / ext4 rw 0 0
tmpfs /tmp tmpfs rw 0 0
home:/export /home nfs4 rw,vers=4.2 0 0
scratch@o2ib:/s /scratch lustre rw,localflock 0 0
/dev/sdb /home/ann/my\\040disk xfs rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/usr", "ext4"),
        ("/tmp/x", "tmpfs"),
        ("/home/bob", "nfs4"),
        ("/scratch/fasa", "lustre"),
        ("/home/ann/my disk/fasa", "xfs"),
        ("/homes", "ext4"),
    ],
)
def test_the_file_system_of_a_folder(tmp_path, path, kind):
    (tmp_path / "mounts").write_text(MOUNTS)
    assert filesystems.mount_of(Path(path), tmp_path / "mounts").type == kind
    assert filesystems.mount_of(Path(path), tmp_path / "absent") is None


@pytest.mark.parametrize(
    ("line", "state", "words"),
    [
        ("d / nfs rw 0 0", "ok", "which other machines can see"),
        ("d / ext4 rw 0 0", "warning", "nodes must see it under the same path"),
        ("d / tmpfs rw 0 0", "missing", "in this machine's memory"),
        ("d / lustre rw,localflock 0 0", "note", "locks on one node only"),
    ],
)
def test_whether_nodes_see_this_folder(cluster, say, tmp_path, monkeypatch, line, state, words):
    cluster(WIDE)
    (tmp_path / "mounts").write_text(line + "\n")
    monkeypatch.setattr(filesystems, "mount_of", partial(filesystems.mount_of, table=tmp_path / "mounts"))
    assert state in {found for found, what, _ in say() if words in what}
