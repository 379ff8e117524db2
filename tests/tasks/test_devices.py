"""A run is trained on what its scale asks for, or on what the command line names, or not at all."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest
import torch

from fasa.cli import main
from fasa.errors import UserError
from fasa.tasks import devices
from fasa.tasks.detection.task import Detection
from fasa.tasks.devices import choose_device

OLD_DRIVER = "The NVIDIA driver on your system is too old (found version 11040).\nUpdate it."


def job(gpus: int) -> SimpleNamespace:
    return SimpleNamespace(scale_name="paper", scale=SimpleNamespace(resources={"gpu": gpus}))


@pytest.fixture
def machine(monkeypatch):
    """``machine(gpus, error)``: torch is built for CUDA, counts so many GPUs, and says ``error`` at their use."""

    def make(gpus: int, error: str = "", visible: str = "") -> None:
        def init() -> None:
            if error or not gpus or os.environ["CUDA_VISIBLE_DEVICES"] == "-1":
                raise RuntimeError(error or "No CUDA GPUs are available")

        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: True)
        monkeypatch.setattr(torch.cuda, "init", init)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
        devices._show_only.cache_clear()

    yield make
    devices._show_only.cache_clear()


@pytest.mark.parametrize("gpus", [0, 2])
def test_a_scale_for_cpus_leaves_gpus_alone(machine, gpus):
    machine(gpus)
    assert choose_device(job(0), None).type == "cpu"


def test_a_scale_for_gpus_takes_one(machine):
    machine(2)
    assert choose_device(job(8), None).type == choose_device(job(0), "cuda").type == "cuda"
    assert choose_device(job(8), "cpu").type == "cpu"


@pytest.mark.parametrize(
    ("gpus", "error", "reason"),
    [
        (0, "", "No CUDA GPUs are available"),
        (8, OLD_DRIVER, r"The NVIDIA driver on your .* is too old"),
    ],
)
def test_a_scale_for_gpus_is_refused_where_none_works(machine, gpus, error, reason):
    """An old driver counts eight of them."""
    machine(gpus, error)
    with pytest.raises(UserError, match=f"^scale 'paper' trains on GPUs, and none can be used here: {reason}.*; run"):
        choose_device(job(8), None)
    with pytest.raises(UserError, match=f"^--device cuda is not to be had here: {reason}.*; leave it out or say cpu"):
        choose_device(job(8), "cuda")
    assert choose_device(job(8), "cpu").type == "cpu"


def test_a_build_for_cpus_says_so(monkeypatch):
    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: False)
    with pytest.raises(UserError, match=r"none can be used here: torch .* is a build for CPUs; run `fasa doctor"):
        choose_device(job(1), None)


@pytest.mark.parametrize(("visible", "expected"), [("", "1"), ("4,7", "7")])
def test_one_gpu_of_several(machine, visible, expected):
    machine(2, visible=visible)
    for _ in range(2):  # of the second run, too
        assert choose_device(job(0), "cuda:1") == torch.device("cuda")
        assert os.environ["CUDA_VISIBLE_DEVICES"] == expected


@pytest.mark.parametrize("device", ["cuda:2", "tpu", "cuda:x", "cpu:0"])
def test_a_device_that_is_not_there(machine, device):
    machine(2)
    with pytest.raises(UserError, match=f"^--device {device} is not to be had here: "):
        choose_device(job(1), device)


def test_the_command_refuses_before_it_trains(packed, monkeypatch, capsys):
    monkeypatch.chdir(packed.root)
    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: False)
    assert main(["train", "ce", "--seed", "0", "--scale", "paper"]) == 2
    assert "fasa: scale 'paper' trains on GPUs, and none can be used here" in capsys.readouterr().err
    assert main(["train", "rfs", "--seed", "0", "--scale", "tail", "--device", "cuda"]) == 2
    assert "--device cuda: fixed features are trained on the CPU" in capsys.readouterr().err


def test_a_detector_on_a_gpu_needs_operators_for_it(machine, monkeypatch):
    ops = pytest.importorskip("mmcv.ops")
    machine(1)
    monkeypatch.setattr(ops, "get_compiling_cuda_version", lambda: "not available")
    with pytest.raises(UserError, match=r"operators were compiled for CPUs alone: run `FASA_NVCC=pypi make setup`, or"):
        Detection().train([job(8)], None)


def test_a_detector_on_the_cpu_sees_no_gpu(machine):
    machine(2)
    Detection()._choose(job(0), None)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "-1"
