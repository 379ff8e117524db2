"""The device of a run: the one that the command line names, or what the run's scale asks for."""

from __future__ import annotations

import os
from functools import cache

import torch

from fasa.errors import UserError
from fasa.tasks.task import Job


def choose_device(job: Job, name: str | None) -> torch.device:
    """The device ``name``; without one a GPU if the job's scale asks for any, else the CPU.

    After ``cuda:1`` this process and its children see that GPU alone, as their first.

    Raises:
        UserError: there is no such device, or no GPU that works.
    """
    if name is None:
        wanted = "cuda" if job.scale.resources.get("gpu") else "cpu"
        begin = f"scale '{job.scale_name}' trains on GPUs, and none can be used here"
        remedy = f"run `fasa doctor --scale {job.scale_name}`, or say --device cpu"
    else:
        wanted, begin, remedy = name, f"--device {name} is not to be had here", "leave it out or say cpu"
    kind, _, number = wanted.partition(":")
    if wanted == "cpu":
        return torch.device("cpu")
    if kind != "cuda" or (number and not number.isdigit()):
        reason = "a device is called cpu, cuda or cuda:1"
    else:
        reason = (_show_only(int(number)) if number else "") or _why_unusable()
    if reason:
        raise UserError(f"{begin}: {reason}; {remedy}.")
    return torch.device("cuda")


@cache  # numbers count what was visible at first
def _show_only(number: int) -> str:
    """Hide all GPUs but one, before CUDA looks; why that cannot be, or nothing."""
    count = torch.cuda.device_count()
    if number >= count:
        return f"torch sees {count or 'no'} GPU{'' if count == 1 else 's'}"
    visible = os.environ.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(count)))
    os.environ["CUDA_VISIBLE_DEVICES"] = visible.split(",")[number]
    return ""


def _why_unusable() -> str:
    """Why torch cannot use a GPU; empty where it can."""
    if not torch.backends.cuda.is_built():
        return f"torch {torch.__version__} is a build for CPUs"
    try:
        torch.cuda.init()  # not by counting: an old driver counts GPUs that torch cannot use
    except RuntimeError as error:
        return str(error).splitlines()[0].rstrip(".")
    return ""


def processor_has_bf16() -> bool:
    """Whether this processor multiplies bfloat16; torch imitates it on others, which is slower than float32."""
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16"))


def check_precision(job: Job, device: torch.device) -> None:
    """Refuse bf16 on a processor that has none.

    Raises:
        UserError: so it is.
    """
    if job.scale.precision == "bf16" and device.type == "cpu" and not processor_has_bf16():
        raise UserError(
            f"scale '{job.scale_name}' trains in bf16, and this processor has no instructions for it (AVX512-BF16 or "
            f"AMX): take another machine, or a scale of your own with base: {job.scale_name} and precision: fp32."
        )


def hide_gpus() -> None:
    """Let this process and its children see no GPU: MMEngine takes one wherever it sees one."""
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
