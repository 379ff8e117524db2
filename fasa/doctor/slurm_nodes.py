"""What a cluster has, by `sinfo`: groups of like nodes in partitions."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

# A line for each group: partition, up or down, time limit, nodes' state, their number, CPUs, MB, gres, features, what
# pre-emption does.
FIELDS = ("%P", "%a", "%l", "%t", "%D", "%c", "%m", "%G", "%f", "%M")
COMMAND = ("sinfo", "--noheader", "--exact", "--format", "|".join(FIELDS))
AWAY = ("down", "drain", "drng", "fail", "unk", "inval", "pow_dn", "maint")  # how the states of nodes out of use begin


@dataclass(frozen=True)
class Group:
    """Like nodes of one partition; ``minutes`` is the partition's limit, ``gpus`` by model, on each node."""

    partition: str
    default: bool
    up: bool
    minutes: float
    nodes: int
    cpus: int
    memory_mb: int
    gpus: Mapping[str, int]
    features: frozenset[str]
    preempt: str

    def gpus_of(self, model: str) -> int:
        """GPUs of ``model`` on a node; of any for an empty one."""
        return self.gpus.get(model, 0) if model else sum(self.gpus.values())


def groups(text: str) -> list[Group]:
    """The groups that :data:`COMMAND` printed; lines of another form are none."""
    lines = [line.strip().split("|") for line in text.splitlines()]
    return [_group(*cells) for cells in lines if len(cells) == len(FIELDS)]


def _group(
    partition: str,
    up: str,
    limit: str,
    state: str,
    nodes: str,
    cpus: str,
    memory: str,
    gres: str,
    features: str,
    preempt: str,
) -> Group:
    return Group(
        partition=partition.rstrip("*"),
        default=partition.endswith("*"),
        up=up == "up" and not state.startswith(AWAY),
        minutes=minutes(limit),
        nodes=_number(nodes),
        cpus=_number(cpus),
        memory_mb=_number(memory),
        gpus=gpus(gres),
        features=frozenset(features.split(",")) - {"(null)"},
        preempt=preempt,
    )


def minutes(limit: str) -> float:
    """Minutes of a time as Slurm writes it: ``infinite``, ``2-00:00:00``, ``12:00:00``, ``30:00``."""
    match = re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)", limit)
    if match is None:
        return math.inf
    days, hours, mins, seconds = (int(part or 0) for part in match.groups())
    return days * 1440 + hours * 60 + mins + seconds / 60


def gpus(gres: str) -> dict[str, int]:
    """GPUs of a node by model: ``gpu:8``, ``gpu:a100:8(S:0-1)``, several with commas; other resources are left out."""
    found: dict[str, int] = {}
    for entry in re.sub(r"\([^)]*\)", "", gres).split(","):
        kind, *rest = entry.split(":")
        if kind == "gpu":
            model = rest[0] if rest and not rest[0].isdecimal() else ""
            number = rest[-1] if rest and rest[-1].isdecimal() else "1"
            found[model] = found.get(model, 0) + int(number)
    return found


def _number(text: str) -> int:
    digits = re.match(r"\d+", text)
    return int(digits[0]) if digits else 0
