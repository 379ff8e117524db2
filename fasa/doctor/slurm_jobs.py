"""What the chosen runs' jobs ask of a cluster, and whether it has such nodes for so long."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fasa.doctor.chosen import Chosen
from fasa.doctor.finding import Finding, count
from fasa.doctor.slurm_nodes import Group
from fasa.doctor.slurm_settings import Site
from fasa.study.cost import runtime_minutes, training_seconds


@dataclass(frozen=True)
class Job:
    """The widest training, as the workflow sends it."""

    recipe: str
    gpus: int
    cpus: int
    memory_mb: int

    def fits(self, group: Group, site: Site) -> bool:
        """Whether a node of ``group`` can have it."""
        return (
            group.gpus_of(site.gpu_model) >= self.gpus
            and group.cpus >= self.cpus
            and group.memory_mb >= self.memory_mb
            and (not site.constraint or _plain(site.constraint) <= group.features)
        )

    def told(self) -> str:
        gpus = f"{count(self.gpus, 'GPU')}, " if self.gpus else ""
        return f"{gpus}{count(self.cpus, 'CPU')} and {self.memory_mb / 1000:g} GB"


def widest(chosen: Chosen) -> Job:
    """The job that asks for most."""

    def job(recipe: str) -> Job:
        asked = chosen.study.task_scale(recipe).resources
        return Job(recipe, asked.get("gpu", 0), chosen.study.task_scale(recipe).threads, asked.get("mem_mb", 0))

    return max(map(job, chosen.recipes), key=lambda one: (one.gpus, one.memory_mb, one.cpus))


def nodes(chosen: Chosen, groups: Sequence[Group], site: Site) -> Iterator[Finding]:
    """Whether the partition is there, and has nodes that can have the jobs."""
    there = {group.partition for group in groups}
    offered = in_partition(groups, site)
    job = widest(chosen)
    fitting = [group for group in groups if job.fits(group, site)]
    elsewhere = next((group.partition for group in fitting), min(there))
    if not offered:
        if site.partition:
            told = f"There is no partition {site.partition}; there are {', '.join(sorted(there))}."
        else:
            told = f"The cluster has no default partition, and none is named; there are {', '.join(sorted(there))}."
        yield Finding("missing", told, f"export FASA_PARTITION={elsewhere}")
        return
    name = offered[0].partition
    here = [group for group in offered if group in fitting]
    if not here:
        yield _too_small(chosen, job, name, offered, fitting, site)
    elif not any(group.up for group in here):
        yield Finding(
            "warning",
            f"All nodes of partition {name} with {job.told()} are out of use at the moment.",
            f"sinfo --list-reasons --partition {name}",
        )
    else:
        number = sum(group.nodes for group in here if group.up)
        yield Finding("ok", f"Partition {name} has {count(number, 'node')} with {job.told()}, as the largest job asks.")
    if any(group.preempt == "CANCEL" for group in offered):
        yield Finding(
            "warning",
            f"Pre-emption cancels the jobs of partition {name}, and Snakemake then waits for ever: choose one that "
            "requeues, or start Snakemake again when that happens.",
            "sinfo --format '%P %M'",
        )


def in_partition(groups: Sequence[Group], site: Site) -> list[Group]:
    """The groups of the partition that jobs go to: the one that the site names, or the default."""
    return [group for group in groups if (group.partition == site.partition if site.partition else group.default)]


def _too_small(chosen: Chosen, job: Job, name: str, offered: list[Group], fitting: list[Group], site: Site) -> Finding:
    """Why no node of partition ``name`` can have ``job``, and what helps: the site's own words are looked at first."""
    features = sorted({feature for group in offered for feature in group.features})
    models = sorted({model for group in offered for model in group.gpus if model})
    if site.constraint and not any(_plain(site.constraint) <= group.features for group in offered):
        told = f"No node of partition {name} has the feature {site.constraint}; there are {_listed(features)}."
        return Finding("missing", told, _said("FASA_CONSTRAINT", features))
    if site.gpu_model and site.gpu_model not in models:
        told = f"No node of partition {name} has GPUs of model {site.gpu_model}; there are {_listed(models)}."
        return Finding("missing", told, _said("FASA_GPU_MODEL", models))
    best = max(offered, key=lambda group: (group.gpus_of(site.gpu_model), group.cpus, group.memory_mb))
    most = best.gpus_of(site.gpu_model)
    has = f"{count(most, 'GPU')}, {count(best.cpus, 'CPU')} and {best.memory_mb / 1000:g} GB"
    told = f"No node of partition {name} has {job.told()}, as {job.recipe} asks; the best has {has}"
    if fitting:
        other = fitting[0].partition
        return Finding("missing", f"{told}. Partition {other} has some.", f"export FASA_PARTITION={other}")
    if job.gpus and not most:
        return Finding("missing", f"{told}.", "sinfo --Node --long")
    return Finding("missing", f"{told}: the same training does with less.", _with_less(chosen, job, best, most, site))


def _with_less(chosen: Chosen, job: Job, best: Group, most: int, site: Site) -> str:
    """The workflow with jobs that a node like ``best`` can have: fewer processes, each with the work of several."""
    fewer = max((number for number in range(1, most + 1) if job.gpus % number == 0), default=0) if job.gpus else 0
    slower = job.gpus // fewer if fewer else 1
    minutes = slower * max(runtime_minutes(chosen.study, name) for name in chosen.recipes)
    asked = {
        "gpu": fewer,
        "mem_mb": min(job.memory_mb // slower, best.memory_mb),
        "runtime": min(minutes, site.max_runtime or minutes),
    }
    threads = min(max(1, job.cpus // slower), best.cpus)
    resources = " ".join(f"train:{name}={value}" for name, value in asked.items())
    return f"snakemake --profile slurm --set-resources {resources} --set-threads train={threads}"


def _listed(names: list[str]) -> str:
    return ", ".join(names) or "none with a name"


def _said(variable: str, known: list[str]) -> str:
    return f"export {variable}={known[0]}" if known else f"unset {variable}"


def times(chosen: Chosen, groups: Sequence[Group], site: Site) -> Iterator[Finding]:
    """Whether the partition lets the longest job run, and trainings that are cut short are sent again often enough."""
    offered, study = in_partition(groups, site), chosen.study
    waiting = sorted({run.recipe for run, state in chosen.states.items() if state != "done"})
    if not offered or not waiting:
        return
    asked = [(runtime_minutes(study, run.recipe), f"training {run.recipe}") for run in chosen.to_train]
    asked += [(study.task_scale(recipe).resources.get("runtime", 0), f"measuring {recipe}") for recipe in waiting]
    minutes, job = max(asked)
    name, limit = offered[0].partition, max(group.minutes for group in offered)
    sent = min(minutes, site.max_runtime or minutes)
    longest = max((_minutes(chosen, run.recipe) for run in chosen.to_train), default=0.0)
    allowed = min(limit, site.max_runtime or math.inf)
    pieces = math.ceil(longest / allowed) if math.isfinite(allowed) else 1
    resend = f" FASA_RETRIES={pieces - 1}" if pieces - 1 > site.retries else ""
    if sent > limit:
        yield Finding(
            "missing",
            f"The longest job, {job}, asks for {sent:,} minutes, and partition {name} allows {limit:,.0f}; a training "
            "that is cut short goes on at its checkpoint.",
            f"export FASA_MAX_RUNTIME={limit:.0f}{resend}",
        )
    elif resend:
        yield Finding(
            "missing",
            f"The longest training takes about {longest:,.0f} minutes, {pieces} pieces of {allowed:,.0f}, and a job is "
            f"sent again {site.retries} times only.",
            f"export{resend}",
        )
    else:
        allows = f"{limit:,.0f}" if math.isfinite(limit) else "any time"
        yield Finding("ok", f"The longest job, {job}, asks for {sent:,} minutes; partition {name} allows {allows}.")


def _minutes(chosen: Chosen, recipe: str) -> float:
    """Minutes that a training is estimated to take, on all its GPUs."""
    gpus = chosen.study.task_scale(recipe).resources.get("gpu", 0)
    return training_seconds(chosen.study, recipe) / max(1, gpus) / 60


def _plain(constraint: str) -> frozenset[str]:
    """The features that ``a&b`` names; of other expressions only Slurm knows what they mean."""
    return frozenset() if set(constraint) & set("|[](),*!") else frozenset(constraint.split("&"))
