"""What a site says to the cluster profile, by the environment: FASA_PARTITION and the like."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from fasa.doctor.finding import Finding

PREFIX = "FASA_"
PROFILE = (  # of slurm/profile.yaml and the workflow
    *("FASA_PARTITION", "FASA_ACCOUNT", "FASA_QOS", "FASA_CONSTRAINT", "FASA_GPU_MODEL", "FASA_MAX_RUNTIME"),
    *("FASA_RETRIES", "FASA_JOBS", "FASA_STATUS_COMMAND"),
)
OTHERS = ("FASA_MIRROR", "FASA_ENV", "FASA_CACHE", "FASA_TEST_DATA", "FASA_FAULT_TABLE")
ALIKE = 0.8  # of 1: what may be a slip of the finger
RETRIES, JOBS = 2, 64  # where the site says nothing
STATUS_COMMANDS = ("sacct", "squeue")


@dataclass(frozen=True)
class Site:
    """The settings; an empty one counts as unset, and a number that is none as left out."""

    partition: str
    account: str
    qos: str
    constraint: str
    gpu_model: str
    max_runtime: int | None
    retries: int
    status_command: str


def site(environment: Mapping[str, str]) -> Site:
    """What ``environment`` says."""

    def number(name: str) -> int | None:
        said = environment.get(name, "")
        return int(said) if said.isdecimal() and int(said) else None

    def word(name: str) -> str:
        return environment.get(name, "")

    retries = environment.get("FASA_RETRIES", "")
    return Site(
        partition=word("FASA_PARTITION"),
        account=word("FASA_ACCOUNT"),
        qos=word("FASA_QOS"),
        constraint=word("FASA_CONSTRAINT"),
        gpu_model=word("FASA_GPU_MODEL"),
        max_runtime=number("FASA_MAX_RUNTIME"),
        retries=int(retries) if retries.isdecimal() else RETRIES,
        status_command=word("FASA_STATUS_COMMAND") or "sacct",
    )


def mistakes(environment: Mapping[str, str]) -> Iterator[Finding]:
    """Settings that nothing reads, or that are not what they must be."""
    known = (*PROFILE, *OTHERS)
    for name in sorted(name for name in environment if name.startswith(PREFIX) and name not in known):
        close = difflib.get_close_matches(name, known, n=1, cutoff=ALIKE)
        mend = f"export {close[0]}={environment[name]}; unset {name}" if close else f"unset {name}"
        yield Finding("warning", f"{name} is set, and nothing reads it.", mend)
    for name, least, default in (("FASA_MAX_RUNTIME", 1, ""), ("FASA_RETRIES", 0, RETRIES), ("FASA_JOBS", 1, JOBS)):
        said = environment.get(name, "")
        if said and not (said.isdecimal() and int(said) >= least):
            mend = f"export {name}={default}" if default else f"unset {name}"
            yield Finding("missing", f"{name} is '{said}', not a whole number from {least} on.", mend)
    said = environment.get("FASA_STATUS_COMMAND", "")
    if said and said not in STATUS_COMMANDS:
        yield Finding(
            "missing", f"FASA_STATUS_COMMAND is '{said}', not sacct or squeue.", "export FASA_STATUS_COMMAND=squeue"
        )
