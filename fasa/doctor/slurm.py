"""Slurm: whether a cluster answers, knows the site's settings, and has nodes and time for the largest job."""

from __future__ import annotations

import math
import re
import shutil
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from fasa.doctor.check import Answer, Check, ask, count
from fasa.doctor.chosen import Chosen
from fasa.study.cost import runtime_minutes

# A line for each kind of node: partition (the default's ends in *), time limit, nodes, CPUs, MB, gres, features.
SINFO = ("sinfo", "--noheader", "--exact", "--noconvert", "--format", "%P|%l|%D|%c|%m|%G|%f")
GPU = re.compile(r"(?:^|,)gpu(?::(?!\d+(?:[(,]|$))([^:,(]+))?(?::(\d+))?")  # gpu, gpu:8, gpu:a100:8(S:0-1)
LOCAL = {"ext2/ext3", "xfs", "btrfs", "zfs", "f2fs", "overlayfs", "tmpfs", "ramfs"}  # file systems, as stat names them


class Size(NamedTuple):
    """What a job asks for, or a node has."""

    gpus: int
    memory_mb: int
    cpus: int

    def __str__(self) -> str:
        return f"{count(self.gpus, 'GPU')}, {count(self.cpus, 'CPU')} and {self.memory_mb / 1000:g} GB"


class Nodes(NamedTuple):
    """Like nodes of one partition, with the partition's limit in minutes, and models of GPUs."""

    partition: str
    default: bool
    limit: float
    number: int
    size: Size
    models: frozenset[str]
    features: frozenset[str]


def look() -> Answer | None:
    """What `sinfo` says; None where Slurm is not installed."""
    return ask(*SINFO) if shutil.which("sinfo") else None


def parse(text: str) -> list[Nodes]:
    """The nodes that :data:`SINFO` printed; lines of another form are none."""
    lines = [line.strip().split("|") for line in text.splitlines()]
    return [_nodes(*cells) for cells in lines if len(cells) == 7]


def _nodes(name: str, limit: str, number: str, cpus: str, memory: str, gres: str, features: str) -> Nodes:
    gpus = GPU.findall(gres)
    size = Size(sum(int(each or 1) for _, each in gpus), int(memory), int(cpus))
    models, words = frozenset(model for model, _ in gpus) - {""}, frozenset(features.split(",")) - {"(null)"}
    return Nodes(name.rstrip("*"), name.endswith("*"), minutes(limit), int(number), size, models, words)


def minutes(limit: str) -> float:
    """Minutes of a time as Slurm writes it: ``infinite``, ``2-00:00:00``, ``12:00:00``, ``30:00``."""
    match = re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)", limit)
    if match is None:
        return math.inf
    days, hours, mins, seconds = (int(part or 0) for part in match.groups())
    return days * 1440 + hours * 60 + mins + seconds / 60


def checks(chosen: Chosen, answer: Answer | None, environment: Mapping[str, str]) -> Iterator[Check]:
    """Of Slurm, by what :func:`look` said and the site's settings; where runs do without it, nothing is missing."""
    if answer is None:
        need = "runs train on this machine" if chosen.gpus else f"scale {chosen.study.scale.name} does not need it"
        yield Check("note" if chosen.gpus else "ok", f"Slurm is not installed here (no sinfo); {need}.")
    elif nodes := parse(answer.text):
        site = {name: value for name, value in environment.items() if value}
        for check in _of_cluster(chosen, nodes, site):
            yield replace(check, state="warning") if check.state == "missing" and not chosen.gpus else check
    else:
        told = f"Slurm is installed, but no cluster answers: {answer.reason or 'it names no partition'}."
        yield Check("warning" if chosen.gpus else "note", told, "scontrol ping")


def _of_cluster(chosen: Chosen, nodes: Sequence[Nodes], site: Mapping[str, str]) -> Iterator[Check]:
    if shutil.which("sbatch") is None:
        told = "Slurm answers, but sbatch cannot be found: this machine may not submit jobs."
        yield Check("missing", told, "export PATH=$PATH:/usr/bin; command -v sbatch")
    unknown = [*_unknown(nodes, site)]
    yield from unknown or _partition(chosen, nodes, site)
    if site.get("FASA_STATUS_COMMAND") != "squeue":
        sacct = ask("sacct", "--noheader", "--allocations", "--starttime", "now", "--format", "jobid")
        told = f"sacct does not tell of jobs ({sacct.reason}): Snakemake would wait forever for their ends."
        fix = "export FASA_STATUS_COMMAND=squeue"
        yield Check("missing", told, fix) if sacct.reason else Check("ok", "sacct answers, and tells when jobs end.")
    yield _folder(chosen.study.root)


def _unknown(nodes: Sequence[Nodes], site: Mapping[str, str]) -> Iterator[Check]:
    """Settings that are not numbers, or name what the cluster does not have or the user may not use."""
    for name in ("FASA_MAX_RUNTIME", "FASA_RETRIES", "FASA_JOBS"):
        if not site.get(name, "0").isdecimal():
            yield Check("missing", f"{name} is '{site[name]}', not a whole number.", f"unset {name}")
    user = f"user={site.get('USER', '')}"
    listed = ask("sacctmgr", "--noheader", "--parsable2", "show", "assoc", user, "format=account,qos")
    # Without accounting there are none, and all are allowed.
    pairs = [] if listed.reason else [line.partition("|") for line in listed.text.split()]
    known = {
        "FASA_ACCOUNT": {account for account, _, _ in pairs},
        "FASA_QOS": {name for _, _, names in pairs for name in names.split(",")} - {""},
        "FASA_GPU_MODEL": {model for one in nodes for model in one.models},
        "FASA_CONSTRAINT": {feature for one in nodes for feature in one.features},
        "FASA_STATUS_COMMAND": {"sacct", "squeue"},
    }
    for name, values in known.items():
        said = site.get(name, "")
        judged = said and values and not re.search(r"[][|(),*!]", said)  # what such signs mean only Slurm knows
        if judged and not values.issuperset(said.split("&")):
            told = f"{name} is '{said}', which is none of {', '.join(sorted(values))}."
            yield Check("missing", told, f"export {name}={min(values)}")


def _partition(chosen: Chosen, nodes: Sequence[Nodes], site: Mapping[str, str]) -> Iterator[Check]:
    """Whether the partition is there, has nodes for the largest job, and time for the longest."""
    study, wanted = chosen.study, site.get("FASA_PARTITION", "")
    most = int(site.get("FASA_MAX_RUNTIME", 0)) or math.inf
    asked = {name: study.task_scale(name).resources for name in chosen.recipes}
    job = max(
        Size(one.get("gpu", 0), one.get("mem_mb", 0), study.task_scale(name).threads) for name, one in asked.items()
    )
    able = [one for one in nodes if all(need <= has for need, has in zip(job, one.size, strict=True))]
    here = [one for one in nodes if (one.partition in wanted.split(",") if wanted else one.default)]
    elsewhere = f"export FASA_PARTITION={(able or nodes)[0].partition}"
    if not here:
        names = ", ".join(sorted({one.partition for one in nodes}))
        told = f"There is no partition {wanted}" if wanted else "The cluster has no default partition"
        yield Check("missing", f"{told}; there are {names}.", elsewhere)
        return
    partition, best = here[0].partition, max(one.size for one in here)
    if "CANCEL" in ask("sinfo", "--noheader", "--partition", partition, "--format", "%M").text.split():
        told = f"Partition {partition} cancels what it pre-empts: Snakemake would wait forever for such a job."
        yield Check("warning", told, "scontrol requeue JOB")
    told = f"No node of partition {partition} has {job}, as the largest job asks; the best has {best}."
    if fitting := [one for one in here if one in able]:
        number = count(sum(one.number for one in fitting), "node")
        yield Check("ok", f"Partition {partition} has {number} with {job}, as the largest job asks.")
    elif able:
        yield Check("missing", f"{told} Partition {able[0].partition} has some.", elsewhere)
    elif job.gpus and not best.gpus:
        yield Check("missing", told, "sinfo --Node --long")
    else:  # fewer GPUs, each with the work of several
        gpus = math.gcd(job.gpus, best.gpus) if job.gpus else 0
        runtime = max(runtime_minutes(study, name) for name in asked) * max(1, job.gpus) // max(1, gpus)
        less = f"train:gpu={gpus} train:mem_mb={min(job.memory_mb, best.memory_mb)} train:runtime={min(runtime, most)}"
        threads = min(job.cpus, best.cpus)
        yield Check("missing", told, f"snakemake --profile slurm --set-resources {less} --set-threads train={threads}")
    jobs = [runtime_minutes(study, run.recipe) for run in chosen.to_train]
    jobs += [asked[run.recipe].get("runtime", 0) for run, state in chosen.states.items() if state != "done"]
    if not jobs:
        return
    longest, limit = max(jobs), max(one.limit for one in here)
    again = math.ceil(longest / max(1, min(limit, most))) - 1  # it goes on at its checkpoint
    fixes = [f"FASA_MAX_RUNTIME={limit:.0f}"] if min(longest, most) > limit else []
    told = f"The longest job asks for {longest:,} minutes; partition {partition} allows {limit:,.0f}"
    told += f", and FASA_MAX_RUNTIME {most:,}." if most < limit else "."
    if again > int(site.get("FASA_RETRIES", 2)):
        told += f" It is cut short, and must be sent again {again} times."
        fixes.append(f"FASA_RETRIES={again}")
    yield Check("missing", told, f"export {' '.join(fixes)}") if fixes else Check("ok", told)


def _folder(root: Path) -> Check:
    """Whether nodes can see this folder, by the type of its file system."""
    nodes = ask("sinfo", "--noheader", "--Node", "--format", "%N").text.split()
    kind = ask("stat", "--file-system", "--format", "%T", str(root)).text.strip()
    if kind in LOCAL and {*nodes} != {socket.gethostname().partition(".")[0]}:
        told = f"This folder is on a disk of this machine ({kind}), and nodes must see it under the same path."
        return Check("warning", told, f"srun ls -d {root.resolve()}")
    return Check("ok", f"This folder is on a file system ({kind}) that nodes may see under the same path.")
