# The study (settings, recipes, scale, tables, figures) and the functions by which rules ask it for inputs.
#
# Whatever of it reaches a shell is quoted, there (`:q`) or, of what is several words, where it is made.
import json
import os
import shlex
import sys
from math import log2
from pathlib import Path

from packaging.version import Version

from fasa.config_folders import config_path
from fasa.errors import UserError
from fasa.study import Run, load_study
from fasa.study.cost import in_words, plan_of, runtime_minutes, training_seconds
from fasa.study.out_of_memory import memory_to_ask, starved_jobs
from fasa.study.settings import GIVEN, given_settings
from fasa.tasks.provenance import installed_version


def refuse(error):
    """End all with a sentence, as the command ``fasa`` does."""
    print(f"fasa: {error}", file=sys.stderr)
    sys.exit(2)


# In place of `configfile:`, whose parser unfolds aliases without end and has no sentence for a mistake. The file is the
# shipped one where `--directory` names a study that only adds to what fasa ships.
try:
    CONFIG_FILE = config_path(Path("."), "config.yaml")
    settings = given_settings(CONFIG_FILE, config)
    study = load_study(scale=settings.scale, seeds=settings.seeds)
    settings.check_names((*study.artifacts(), *study.unavailable), GIVEN)
except UserError as error:
    refuse(error)

workflow.configfiles.append(str(CONFIG_FILE))  # a report shows it
SCALE = config["scale"] = study.scale.name
# One parameter of two options: without the second it is what it was before there was one, so nothing is made again.
SCALE_AND_SEEDS = f"{SCALE} --seeds {settings.seeds}" if settings.seeds else SCALE
# Rules say `python`: the one that runs this, also where its environment was never activated; with `--sdm conda`, conda's.
if not workflow.deployment_settings.deployment_method:
    shell.prefix(
        f'export PATH={shlex.quote(str(Path(sys.executable).parent))}:"$PATH"; '
    )
# Before 2.7.1 a job of several GPUs was started once for each, side by side in one folder.
slurm = installed_version("snakemake-executor-plugin-slurm")
if slurm and Version(slurm) < Version("2.7.1"):
    refuse(
        f"snakemake-executor-plugin-slurm is {slurm}, which starts a training on N GPUs N times: install 2.7.1 or newer."
    )


wildcard_constraints:
    recipe=r"[\w-]+",  # not all their names: that pattern would be read, and tried, for each of thousands of files
    seed=r"\d+",
    table="|".join(study.tables),
    figure="|".join(study.figures),


def metrics_of(user):
    """The measurements that a table or figure (or, for None, all that are made together) reads."""
    return [study.metrics_path(run.recipe, run.seed) for run in study.runs(user)]


def weights_needed_by(wildcards):
    """The weights that a training starts from: its first ones, its teacher's."""
    return [
        study.work_dir(name, wildcards.seed) / "model.pt"
        for name in study.recipes[wildcards.recipe].needs()
    ]


def pretrained_of(wildcards):
    """The weights that a small detector's backbone starts from, where its scale has any."""
    return study.first_weights(wildcards.recipe) or []


def first(names, what):
    """The first of ``names``; a sentence where a target was typed wrong."""
    found = next(names, None)
    if found is None:
        refuse(f"no recipe at scale {SCALE} uses {what}.")
    return found


def recipe_of_pretrained(wildcards):
    """A recipe whose backbone starts from a file; all that do have the same backbone."""
    starting = (
        name
        for name in study.resolved
        if (path := study.first_weights(name)) and path.stem == wildcards.backbone
    )
    return first(starting, f"a backbone {wildcards.backbone}")


def pretraining_of(wildcards):
    """How that backbone is trained on glyphs: with other settings it is made anew."""
    settings = study.task_scale(recipe_of_pretrained(wildcards)).pretraining
    return json.dumps(settings, sort_keys=True)


def pack_of(wildcards):
    try:
        return study.data_path(wildcards.recipe)
    except UserError as error:  # a target that was typed wrong
        refuse(error)


def recipe_of_pack(wildcards):
    """A recipe that uses a prepared file; all that do cut the data alike."""
    folder = study.root / "resources" / wildcards.dataset
    wanted = (folder / f"{wildcards.cut}.npz", folder / wildcards.cut / "manifest.json")
    using = (name for name in study.resolved if study.data_path(name) in wanted)
    return first(using, f"the data {wildcards.dataset}/{wildcards.cut}")


def official_data(dataset):
    """The user's copy of an official data set; None where there is none."""
    return {"lvis": settings.lvis, "coco_lt": settings.coco}.get(dataset)


def source_option(folder):
    """The option that names the user's copy of a data set, for a shell."""
    return f"--source {shlex.quote(folder)}" if folder else ""


def threads_of(wildcards):
    return study.task_scale(wildcards.recipe).threads


def max_runtime():
    """Minutes that no job may ask for more than: the site's FASA_MAX_RUNTIME; None where it says none."""
    said = os.environ.get("FASA_MAX_RUNTIME", "")
    if said and not (said.isdecimal() and int(said)):
        refuse(f"FASA_MAX_RUNTIME is '{said}', not a whole number of minutes; mend it.")
    return int(said) if said else None


LONGEST = max_runtime()


def within_longest(minutes):
    """``minutes``, or the most that the site allows: what is cut short goes on, or begins anew, when sent again."""
    return min(minutes, LONGEST) if LONGEST else minutes


# What others wait for goes first; then what ends a run, so that tables come as runs do; then the longest training: a
# short one at the end keeps all cores busy.
FIRST, ENDING = 100, 50


def longest_first(wildcards):
    # Small numbers: the scheduler's solver multiplies them by all that jobs ask for.
    return round(log2(1 + training_seconds(study, wildcards.recipe)))


def runtime_of_training(wildcards):
    """Minutes to ask for: the estimate with a margin. One that takes longer goes on when its job is sent again."""
    return within_longest(runtime_minutes(study, wildcards.recipe))


def asked_of_cluster(recipe, name):
    """What a run of ``recipe`` asks a cluster for."""
    amount = study.task_scale(recipe).resources[name]
    return within_longest(amount) if name == "runtime" else amount


STARVED = starved_jobs(study.root, SCALE)  # before this one began
# Into the log of a job on a cluster, where fasa.study.out_of_memory looks for it.
WITH_MEMORY = " with {resources.mem_mb} MB" if "SLURM_JOB_ID" in os.environ else ""


def memory_of(step):
    """What a job of the step asks for; more than before where it was ended for want of memory."""

    def asked(wildcards, attempt):
        before = STARVED if attempt == 1 else starved_jobs(study.root, SCALE)
        run = Run(wildcards.recipe, int(wildcards.seed))
        return memory_to_ask(
            asked_of_cluster(run.recipe, "mem_mb"), before.get((step, run))
        )

    return asked


# The first two differ between tasks. The device is no parameter: another one makes nothing again.
RESOURCES = {
    name: lambda wildcards, name=name: asked_of_cluster(wildcards.recipe, name)
    for name in ("gpu", "runtime")
} | {"device": f"--device {settings.device}" if settings.device else ""}


def fingerprint_of(wildcards):
    """All that decides the run: only a change of this, never of code or dates, trains it again."""
    return study.fingerprint(wildcards.recipe)


def fingerprint_of_measuring(wildcards):
    """What a run and its measurements follow from: tables that come to ask for more, as NorCal, have it measured again.

    Alone where they do not ask: whatever else was measured stays.
    """
    recipe = wildcards.recipe
    task = study.task(recipe)
    asked = [
        name
        for name in task.optional_measurements
        if name in study.measurements(recipe)
    ]
    version = [f"v{task.measuring_version}"] if task.measuring_version > 1 else []
    return " ".join([fingerprint_of(wildcards), *asked, *version])


def rendered(user):
    """A table's or figure's files."""
    paths = (
        study.table_paths(user) if user in study.tables else study.figure_paths(user)
    )
    return list(paths.values())


def everything():
    """Measurements, tables and figures. Measurements too: a partial table must not pass for a finished one."""
    return metrics_of(None) + [
        path for user in study.default_artifacts() for path in rendered(user)
    ]


def served_by(recipes):
    """The tables and figures that these recipes are enough for."""
    users, enough = study.artifacts(), {*recipes}
    return [user for user in study.default_artifacts() if {*users[user]} <= enough]


def of_the_paper(users):
    """The recipes that these tables and figures show, less those of our controls alone."""
    rows = [
        (
            study.tables[user].recipes_of_the_paper()
            if user in study.tables
            else study.figures[user].recipes()
        )
        for user in users
    ]
    return [*dict.fromkeys(name for recipes in rows for name in recipes)]


# Before anything starts: how many runs, and about how long.
onstart:
    waiting = [
        Run(job.wildcards.recipe, int(job.wildcards.seed))
        for job in workflow.dag.needrun_jobs()
        if job.rule.name == "train"
    ]
    cores = workflow.global_resources["_cores"].value  # None on a cluster
    print(f"Plan: {in_words(plan_of(study, waiting, cores))}", flush=True)


# Whatever failed, the tables of what there is are made, with a dash and the reason where a run is missing.
onerror:
    shell("python -m fasa render --scale {SCALE_AND_SEEDS}")
