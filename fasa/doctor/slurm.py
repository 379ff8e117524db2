"""Slurm: its commands, the cluster's answer, partitions, accounts, accounting, and a disk that all nodes see."""

from __future__ import annotations

import getpass
import re
import shutil
import socket
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from packaging.version import Version

from fasa.doctor import filesystems, slurm_jobs, slurm_settings
from fasa.doctor.ask import Answer, ask
from fasa.doctor.chosen import Chosen
from fasa.doctor.environment import install_command
from fasa.doctor.finding import Finding
from fasa.doctor.slurm_nodes import COMMAND, Group, groups
from fasa.doctor.slurm_settings import Site

COMMANDS = ("sbatch", "srun", "squeue", "scancel", "scontrol")  # beside sinfo; what the executor and its jobs call
PLUGIN, FIRST_PLUGIN = "snakemake-executor-plugin-slurm", Version("2.7.1")  # older ones start a job's rule once a GPU
KEPT_SECONDS = 120  # for which Slurm must remember ended jobs (MinJobAge), where squeue is asked for their state


@dataclass(frozen=True)
class Cluster:
    """What `sinfo` said: nothing where there is no such command."""

    answer: Answer | None
    groups: tuple[Group, ...] = ()

    @property
    def gpus(self) -> int:
        """GPUs of the widest node."""
        return max((group.gpus_of("") for group in self.groups), default=0)


def look() -> Cluster:
    """The cluster of this machine."""
    if shutil.which("sinfo") is None:
        return Cluster(None)
    answer = ask(*COMMAND)
    return Cluster(answer, tuple(groups(answer.text)) if answer.good else ())


def findings(chosen: Chosen, cluster: Cluster, environment: Mapping[str, str]) -> Iterator[Finding]:
    """What there is to say of Slurm: where the runs do without it, nothing of it is missing."""
    for finding in _findings(chosen, cluster, environment):
        yield replace(finding, state="warning") if finding.state == "missing" and not chosen.gpus else finding


def _findings(chosen: Chosen, cluster: Cluster, environment: Mapping[str, str]) -> Iterator[Finding]:
    needs, scale = chosen.gpus > 0, chosen.study.scale.name
    yield from slurm_settings.mistakes(environment)
    if cluster.answer is None:
        told = "No sinfo is here, so this is no machine of a Slurm cluster"
        if needs:
            yield Finding("note", f"{told}; --profile slurm is for one that is, and runs train here without it.")
        else:
            yield Finding("ok", f"{told}; scale {scale} needs none.")
        return
    if not cluster.answer.good or not cluster.groups:
        reason = cluster.answer.reason or "it names no partition"
        state = "warning" if needs else "note"
        yield Finding(state, f"Slurm's commands are here, but no cluster answers: {reason}.", "scontrol ping")
        return
    site = slurm_settings.site(environment)
    absent = [name for name in COMMANDS if shutil.which(name) is None]
    if absent:
        yield Finding(
            "missing",
            f"Slurm answers, but {', '.join(absent)} cannot be found: this machine may not submit jobs.",
            f"export PATH=$PATH:/usr/bin; command -v {absent[0]}",
        )
    yield _plugin(chosen)
    yield from slurm_jobs.nodes(chosen, cluster.groups, site)
    yield from slurm_jobs.times(chosen, cluster.groups, site)
    yield from _accounting(site)
    yield from _accounts(site)
    yield from _seen_by_nodes(chosen.study.root)


def _plugin(chosen: Chosen) -> Finding:
    try:
        found = Version(version(PLUGIN))
    except PackageNotFoundError:
        return Finding("missing", f"{PLUGIN} is not installed.", install_command(chosen.study.root))
    if found < FIRST_PLUGIN:
        return Finding(
            "missing",
            f"{PLUGIN} is {found}, and before {FIRST_PLUGIN} it started a rule once for each GPU.",
            install_command(chosen.study.root),
        )
    return Finding("ok", f"{PLUGIN} {found} is installed.")


def _accounting(site: Site) -> Iterator[Finding]:
    """Whether the command that tells of a job's end can tell."""
    if site.status_command == "squeue":
        yield from _memory_of_jobs()
        return
    told = ask("sacct", "--noheader", "--allocations", "--starttime", "now", "--format", "jobid")
    if told.good:
        yield Finding("ok", "sacct answers, and tells of jobs' ends.")
        return
    yield Finding(
        "missing",
        f"sacct does not tell of jobs ({told.reason}): Snakemake would wait for ever for their ends.",
        "export FASA_STATUS_COMMAND=squeue",
    )


def _memory_of_jobs() -> Iterator[Finding]:
    config = ask("scontrol", "show", "config")
    kept = re.search(r"^MinJobAge\s*=\s*(\d+)", config.text, re.MULTILINE)
    if kept is None:
        yield Finding("note", "squeue is asked for jobs' states; how long it remembers ended ones is not told.")
    elif int(kept[1]) < KEPT_SECONDS:
        yield Finding(
            "warning",
            f"squeue is asked for jobs' states, and forgets ended ones after {kept[1]} s: some ends may go unseen.",
            "unset FASA_STATUS_COMMAND",
        )
    else:
        yield Finding("ok", f"squeue is asked for jobs' states, and remembers ended ones for {kept[1]} s.")


def _accounts(site: Site) -> Iterator[Finding]:
    """Whether the site's account and quality of service are among the user's; without accounting nobody asks."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return
    answer = ask("sacctmgr", "--noheader", "--parsable2", "show", "assoc", f"user={user}", "format=account,qos")
    if not answer.good:
        return
    pairs = [line.partition("|") for line in answer.text.split()]
    accounts = sorted({account for account, _, _ in pairs})
    qualities = sorted({name for _, _, names in pairs for name in names.split(",") if name})
    yield from _among("account", "FASA_ACCOUNT", site.account, accounts)
    yield from _among("quality of service", "FASA_QOS", site.qos, qualities)


def _among(kind: str, variable: str, said: str, known: list[str]) -> Iterator[Finding]:
    if not said or not known:  # an association that names none allows what the cluster does
        return
    if said in known:
        yield Finding("ok", f"The {kind} {said} is among yours.")
        return
    yield Finding(
        "missing", f"The {kind} {said} is not among yours: {', '.join(known)}.", f"export {variable}={known[0]}"
    )


def _seen_by_nodes(root: Path) -> Iterator[Finding]:
    """Whether nodes see this folder and this Python: the type of the file system tells most."""
    nodes = set(ask("sinfo", "--noheader", "--Node", "--format", "%N").text.split())
    if nodes == {socket.gethostname().partition(".")[0]}:
        yield Finding("ok", "The cluster is this one machine, so its node sees this folder.")
        return
    for name, path in (("This folder", root), ("The environment", Path(sys.prefix))):
        mount = filesystems.mount_of(path)
        if mount is None:
            yield Finding("note", f"{name}: whether nodes see {path.resolve()} cannot be told from here.")
        elif mount.type in filesystems.SHARED:
            yield Finding("ok", f"{name} lies on {mount.where} ({mount.type}), which other machines can see, too.")
            if mount.type == "lustre" and "flock" not in mount.options:
                yield Finding("note", f"{mount.where} locks on one node only: leases go by signs of life every 30 s.")
        elif mount.type in filesystems.MEMORY:
            yield Finding(
                "missing",
                f"{name} lies in this machine's memory ({mount.where}, {mount.type}), which no node sees.",
                "df -hT -t nfs -t nfs4 -t lustre -t gpfs -t beegfs",
            )
        else:
            yield Finding(
                "warning",
                f"{name} lies on {mount.where} ({mount.type}), a disk of this machine as far as can be told: nodes "
                "must see it under the same path.",
                f"srun ls -d {path.resolve()}",
            )
