"""GPUs: what torch sees, and whether that is what the chosen runs want."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

from fasa.doctor.ask import ask
from fasa.doctor.chosen import Chosen
from fasa.doctor.finding import Finding, count
from fasa.doctor.torch_here import Device, Torch

GB = 1e9
BF16 = (8, 0)  # the first compute capability with bfloat16 in its arithmetic
BUSY = 0.5  # share of a GPU's memory that is free on one that nobody else uses, and more
# PyPI's own wheel for Linux is the one for CUDA; other indices, and mirrors, may give the one for processors.
CUDA_BUILD = "{python} -m pip install --force-reinstall --constraint requirements/lock.txt {index} torch=={version}"
INDEX = "--index-url https://pypi.org/simple"


def findings(chosen: Chosen, torch: Torch, on_slurm: int) -> Iterator[Finding]:
    """What there is to say of GPUs; ``on_slurm`` is how many of them the widest node of a cluster has."""
    if torch.error:
        yield Finding("warning" if chosen.gpus else "note", "Not looked at: torch cannot be loaded.")
        return
    if torch.devices:
        yield from _seen(chosen, torch)
    elif not chosen.gpus:
        yield Finding("ok", f"None is seen, and scale {chosen.study.scale.name} needs none.")
    elif torch.cuda is None:
        yield Finding(
            "missing",
            f"torch {torch.version} is a build without CUDA: on any machine it would train on processors.",
            CUDA_BUILD.format(python=sys.executable, index=INDEX, version=torch.version.partition("+")[0]),
        )
    else:
        yield _unseen(chosen, torch, on_slurm)


def _unseen(chosen: Chosen, torch: Torch, on_slurm: int) -> Finding:
    if on_slurm:
        return Finding("ok", f"None here, as on a login node; nodes of the cluster have {on_slurm}.")
    driver = ask("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader")
    if driver.good:
        drivers = ", ".join(sorted(set(driver.text.split())))
        return Finding(
            "missing",
            f"torch, built for CUDA {torch.cuda}, sees none, though driver {drivers} does: {torch.unseen or 'hidden'}.",
            "unset CUDA_VISIBLE_DEVICES; nvidia-smi",
        )
    return Finding(
        "missing",
        f"None is seen, and a run of scale {chosen.study.scale.name} wants {chosen.gpus}: run this where there are "
        "some, by Slurm (slurm/README.md), or choose a scale for processors.",
        "fasa doctor --scale mini",
    )


def _seen(chosen: Chosen, torch: Torch) -> Iterator[Finding]:
    kinds = ", ".join(dict.fromkeys(_told(device) for device in torch.devices))
    have, want = len(torch.devices), chosen.gpus
    if 0 < have < want:
        yield Finding(
            "warning",
            f"{count(have, 'GPU')} ({kinds}) where a run wants {want}: each does the work of several, with the same "
            "batch and rate, and takes so much longer.",
        )
    else:
        need = f"a run wants {want}" if want else f"scale {chosen.study.scale.name} needs none"
        yield Finding("ok", f"{count(have, 'GPU')} ({kinds}); {need}.")
    for device in dict.fromkeys(torch.devices):
        if not runs_on(torch.architectures, device.capability):
            yield Finding(
                "missing",
                f"torch {torch.version} has no code for {device.name} (compute capability "
                f"{'.'.join(map(str, device.capability))}), only for {', '.join(torch.architectures)}.",
                "nvidia-smi --query-gpu=name,compute_cap --format=csv",
            )
        if device.free < BUSY * device.total:
            yield Finding(
                "warning",
                f"{device.name} has {device.free / GB:.0f} of {device.total / GB:.0f} GB free: somebody else uses it.",
                "nvidia-smi",
            )
        if chosen.study.scale.precision == "bf16" and device.capability < BF16:
            yield Finding("missing", f"{device.name} has no bfloat16, which scale {chosen.study.scale.name} trains in.")


def _told(device: Device) -> str:
    precise = "with" if device.capability >= BF16 else "without"
    return f"{device.name}, {device.total / GB:.0f} GB, {precise} bf16"


def runs_on(architectures: tuple[str, ...], capability: tuple[int, int]) -> bool:
    """Whether code for ``architectures`` runs on a GPU of ``capability``.

    ``sm_XY`` runs on X.Y and later ones of X; ``compute_XY`` is compiled for any later one. ROCm's names (``gfx…``)
    are not judged.
    """
    for name in architectures:
        match = re.fullmatch(r"(sm|compute)_(\d+)(\d)[a-z]?", name)
        if match is None:
            return True
        major, minor = int(match[2]), int(match[3])
        if capability >= (major, minor) and (match[1] == "compute" or major == capability[0]):
            return True
    return not architectures
