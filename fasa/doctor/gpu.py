"""GPUs: what torch sees, and whether that is what the chosen runs want."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

from fasa.doctor.check import Check, ask, count
from fasa.doctor.chosen import Chosen
from fasa.doctor.torch_probe import Device, Torch
from fasa.study.cost import GB

BF16 = (8, 0)  # the first compute capability with bfloat16 in its arithmetic
TO_FP32 = "sed -i 's/precision: bf16/precision: fp32/' configs/scales/{scale}.yaml"
BUSY = 0.5  # share of a GPU's memory that is free on one that nobody else uses, and more
# PyPI's own wheel for Linux is the one for CUDA; other indices, and mirrors, may give the one for CPUs.
CUDA_BUILD = (
    "{python} -m pip install --force-reinstall --constraint requirements/lock.txt --index-url https://pypi.org/simple "
    "torch=={version}"
)


def checks(chosen: Chosen, torch: Torch, on_slurm: int) -> Iterator[Check]:
    """Of GPUs; ``on_slurm`` is how many of them the widest node of a cluster has."""
    scale = chosen.study.scale.name
    if torch.error:
        yield Check("warning" if chosen.gpus else "note", "Not checked: torch cannot be loaded.")
    elif chosen.bf16 and not chosen.gpus and not torch.processor_bf16:
        told = f"The processor has no bfloat16 (AVX512-BF16 or AMX), which scale {scale} trains in."
        yield Check("missing", told, TO_FP32.format(scale=scale))
    elif torch.devices:
        yield from _seen(chosen, torch)
    elif not chosen.gpus:
        yield Check("ok", f"torch sees none, and scale {scale} needs none.")
    elif torch.cuda is None:
        reinstall = CUDA_BUILD.format(python=sys.executable, version=torch.version.partition("+")[0])
        told = f"torch {torch.version} is a build without CUDA: on any machine it would train on CPUs."
        yield Check("missing", told, reinstall)
    elif on_slurm:
        yield Check("ok", f"None here, as on a login node; nodes of the cluster have {on_slurm}.")
    else:
        yield _unseen(torch, scale, chosen.gpus)


def _unseen(torch: Torch, scale: str, wanted: int) -> Check:
    driver = ask("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader")
    if driver.reason:
        told = f"torch sees none, and a run of scale {scale} wants {wanted}: run this where there are some, by Slurm"
        return Check("missing", f"{told} (slurm/README.md), or choose a scale for CPUs.", "fasa doctor --scale mini")
    drivers, reason = ", ".join(sorted(set(driver.text.split()))), torch.unseen or "hidden"
    told = f"torch, built for CUDA {torch.cuda}, sees none, though driver {drivers} does: {reason}."
    return Check("missing", told, "unset CUDA_VISIBLE_DEVICES; nvidia-smi")


def _seen(chosen: Chosen, torch: Torch) -> Iterator[Check]:
    kinds = ", ".join(dict.fromkeys(_describe(device) for device in torch.devices))
    have, want, scale = len(torch.devices), chosen.gpus, chosen.study.scale
    if have < want:
        told = "each does the work of several, with the same batch size and learning rate, and takes so much longer"
        yield Check("warning", f"{count(have, 'GPU')} ({kinds}) where a run wants {want}: {told}.")
    else:
        need = f"a run wants {want}" if want else f"scale {scale.name} needs none"
        yield Check("ok", f"{count(have, 'GPU')} ({kinds}); {need}.")
    for device in dict.fromkeys(torch.devices):
        if not runs_on(torch.architectures, device.capability):
            capability = ".".join(map(str, device.capability))
            told = f"torch {torch.version} has no code for {device.name} (compute capability {capability})"
            look = "nvidia-smi --query-gpu=name,compute_cap --format=csv"
            yield Check("missing", f"{told}, only for {', '.join(torch.architectures)}.", look)
        if device.free < BUSY * device.total:
            told = f"{device.name} has {device.free / GB:.0f} of {device.total / GB:.0f} GB free"
            yield Check("warning", f"{told}: somebody else uses it.", "nvidia-smi")
        if chosen.bf16 and device.capability < BF16:
            told = f"{device.name} has no bfloat16, which scale {scale.name} trains in."
            yield Check("missing", told, TO_FP32.format(scale=scale.name))


def _describe(device: Device) -> str:
    bf16 = "with" if device.capability >= BF16 else "without"
    return f"{device.name}, {device.total / GB:.0f} GB, {bf16} bf16"


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
