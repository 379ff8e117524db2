"""What the doctor says of packages, torch and GPUs; torch is asked of a Python that says what a test wants."""

from __future__ import annotations

import json
import re
import stat
import sys
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path

import pytest
import torch as real_torch

from fasa.doctor import environment, gpu, installed, torch_probe
from fasa.doctor.chosen import choose
from fasa.doctor.torch_probe import Device, Torch

ROOT = Path(__file__).parents[2]
GB = 1_000_000_000
CPU = Torch(version="2.13.0+cpu")
CUDA = Torch(version="2.13.0", cuda="13.0", architectures=("sm_80", "sm_90", "compute_90"), operators_cuda="13.0")
A100 = Device("A100", 80 * GB, 79 * GB, (8, 0))
DETECTION = {
    "data": {
        "lvis": {
            "name": "glyphs",
            "options": {"classes": 4, "train_images": 8, "val_images": 4, "side": 64, "objects": [1, 2]},
        }
    },
    "model": "small",
}
EIGHT = {"gpu": 8, "mem_mb": 180000, "runtime": 60}


@pytest.fixture
def packages(make_study):
    """``packages(lock, mmdet, names)``: findings of the environment where those are pinned."""

    def look(lock: str, mmdet: str = "", names=("cifar_lt",), torch: Torch = CPU, **scale):
        study = make_study(detection=DETECTION | scale)
        (study.root / "requirements").mkdir(exist_ok=True)
        (study.root / "requirements/lock.txt").write_text(f"# a comment\n{lock}")
        project = re.sub(r'    "onedl-.*\n', "", (ROOT / "pyproject.toml").read_text())
        (study.root / "pyproject.toml").write_text(project.replace("mmdet = [\n", f"mmdet = [\n{mmdet}"))
        return [(one.state, one.message, one.fix) for one in environment.checks(choose(study, names), torch)]

    return look


def the_one(found, words: str):
    (one,) = [finding for finding in found if words in finding[1]]
    return one


# ------------------------------------------------------------------------------------------------------------ packages
def test_pinned_packages_that_are_there(packages):
    found = packages(f"numpy=={version('numpy')}\nPyYAML=={version('pyyaml')}  # another spelling\n")
    assert the_one(found, "All 2 pinned packages")[0] == "ok"
    assert the_one(found, "this project takes >=3.11,<3.13")[0] == "ok"
    assert the_one(found, "torch 2.13.0+cpu loads, a build for CPUs only")[0] == "ok"


def test_a_package_that_is_needed_is_missing_and_another_is_warned_of(packages, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(tmp_path / "site"), *sys.path])
    damaged = tmp_path / "site/scipy-9.dist-info"  # as an interrupted installation leaves it: no version in it
    damaged.mkdir(parents=True)
    (damaged / "METADATA").write_text("Name: scipy\n")
    found = packages(f"rich==0.0.1\nscipy==9\nabsent-one==1.0\nnumpy=={version('numpy')}\n")
    state, _, mend = the_one(found, "Not installed: scipy.")
    assert state == "missing" and mend.endswith("requirements/install.sh")
    assert the_one(found, "Pinned, but not installed: absent-one.")[0] == "warning"
    assert the_one(found, f"rich {version('rich')}, not 0.0.1")[0] == "warning"


def test_mmdetection_is_needed_by_detectors_alone(packages):
    pins = f"numpy=={version('numpy')}\n", '    "onedl-absent==3.5.1",\n'
    assert the_one(packages(*pins), "onedl-absent (of detectors, which are not asked for)")[0] == "note"
    assert the_one(packages(*pins, names=["ablation"]), "Not installed: onedl-absent")[0] == "missing"


def test_a_local_version_is_the_pinned_one(packages):
    pinned = real_torch.__version__.partition("+")[0]
    assert the_one(packages(f"torch=={pinned}\n"), "All 1 pinned packages")


def test_a_numpy_that_mmdetection_cannot_take(packages, monkeypatch):
    monkeypatch.setattr(environment, "installed_version", lambda name: "2.4.0")
    assert the_one(packages("numpy==2.4.0\n", names=["ablation"]), "needs one below 2.3")[0] == "missing"
    assert not any("2.3" in what for _, what, _ in packages("numpy==2.4.0\n"))


def test_a_study_outside_a_clone_is_held_against_the_clone_of_the_package(study):
    found = [one.message for one in environment.checks(choose(study, ["cifar_lt"]), CPU)]
    assert any("pinned" in message for message in found)


@pytest.mark.parametrize("names", [["cifar_lt"], ["ablation"]])
def test_an_installed_package_is_held_against_its_own_metadata(make_study, monkeypatch, names):
    monkeypatch.setattr(environment, "FILES", ("no/such/file",))
    asks = ["numpy>=1", "rich>=999", 'absent-one; extra == "mmdet"', 'absent-two>=2; extra == "repro"']
    monkeypatch.setattr(installed, "requires", lambda name: asks)
    chosen = choose(make_study(detection=DETECTION), names)
    found = [(one.state, one.message, one.fix) for one in environment.checks(chosen, CPU)]
    core = the_one(found, f"planning: rich is {version('rich')}, not >=999.")
    assert (core[0], core[2]) == ("missing", "pip install fasa")
    assert the_one(found, "figures: absent-two is not installed.")[0] == "warning"
    detectors = [mend for _, message, mend in found if "absent-one" in message]
    assert detectors == (["pip install --no-build-isolation 'fasa[mmdet]'"] if names == ["ablation"] else [])


def test_operators_of_another_torch_and_without_cuda(packages):
    lock = f"numpy=={version('numpy')}\n"
    wrong = packages(lock, names=["ablation"], torch=Torch(version="2", operators_error="undefined symbol: _ZN3c10"))
    state, _, mend = the_one(wrong, "do not load (undefined symbol: _ZN3c10)")
    assert state == "missing" and "pip uninstall --yes onedl-mmcv" in mend and "install.sh" in mend
    blind = Torch(version="2.13.0", cuda="13.0")  # as PyPI's torch on a laptop: nothing to complain of
    assert the_one(packages(lock, names=["ablation"], torch=blind), "are of this torch")[0] == "ok"
    for_gpus = packages(lock, names=["ablation"], torch=blind, resources=EIGHT)
    assert the_one(for_gpus, "compiled for CPUs alone")[2].startswith("FASA_NVCC=pypi ")
    seen = packages(lock, names=["ablation"], torch=replace(blind, devices=(A100,)))
    assert the_one(seen, "compiled for CPUs alone")[0] == "missing"
    assert the_one(packages(lock, names=["ablation"], torch=CUDA), "are of this torch")[0] == "ok"
    assert not any("operators" in what for _, what, _ in packages(lock))  # classifiers have none


# ------------------------------------------------------------------------------------------------------- asking torch
@pytest.fixture
def ask(tmp_path):
    """``ask(body)``: what is found of a Python that is a shell script."""

    def make(body: str, seconds: float = 20.0) -> Torch:
        python = tmp_path / "python"
        python.write_text(f"#!/bin/sh\n{body}\n")
        python.chmod(stat.S_IRWXU)
        return torch_probe.ask_torch(tmp_path, operators=True, python=str(python), seconds=seconds)

    return make


def test_what_torch_says_is_read_after_whatever_an_import_prints(ask):
    said = Torch("", "2.13.0", "13.0", "", (A100,), CUDA.architectures, "", "13.0")
    assert ask(f"echo hello; echo '{json.dumps(asdict(said))}'") == said
    assert ask("""echo '{"error": "libcudart.so.13: no such file"}'""").error == "libcudart.so.13: no such file"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("echo 'Illegal instruction' >&2; exit 132", "Illegal instruction"),
        ("kill -SEGV $$", "ended with code -11"),
        ("echo no JSON", "cannot be read"),
        ("exit 0", "cannot be read"),
        ("exec sleep 60", "gave no answer within 0.3 seconds"),
    ],
)
def test_a_python_that_fails_is_told(ask, body, words):
    assert words in ask(body, seconds=0.3 if "sleep" in body else 20.0).error


def test_the_real_torch_is_asked():
    found = torch_probe.ask_torch(ROOT, operators=False)
    assert (found.error, found.version, found.cuda) == ("", real_torch.__version__, real_torch.version.cuda)
    assert len(found.devices) == real_torch.cuda.device_count()


def test_a_build_for_cuda_with_a_gpu_and_without(monkeypatch):
    monkeypatch.setattr(real_torch.version, "cuda", "13.0")
    monkeypatch.setattr(real_torch.cuda, "get_arch_list", lambda: list(CUDA.architectures))
    monkeypatch.setattr(real_torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(real_torch.cuda, "mem_get_info", lambda number: (A100.free, A100.total))
    monkeypatch.setattr(real_torch.cuda, "get_device_name", lambda number: A100.name)
    monkeypatch.setattr(real_torch.cuda, "get_device_capability", lambda number: A100.capability)
    monkeypatch.setattr(real_torch.cuda, "init", lambda: None)
    found = torch_probe.look(operators=False)
    assert (found.cuda, found.devices, found.architectures) == ("13.0", (A100,), CUDA.architectures)

    def old_driver():
        raise RuntimeError("The driver is too old.\nUpdate it.")

    monkeypatch.setattr(real_torch.cuda, "init", old_driver)
    found = torch_probe.look(operators=False)
    assert (found.error, found.devices, found.unseen) == ("", (), "The driver is too old")


# ---------------------------------------------------------------------------------------------------------------- GPUs
def said(study, torch: Torch, names=("ablation",), on_slurm: int = 0):
    return [(one.state, one.message, one.fix) for one in gpu.checks(choose(study, names), torch, on_slurm)]


@pytest.fixture
def eight(make_study):
    """A study whose detectors want eight GPUs."""
    return make_study(detection={**DETECTION, "resources": EIGHT})


def with_devices(*devices: Device) -> Torch:
    return Torch(version="2.13.0", cuda="13.0", devices=devices, architectures=CUDA.architectures)


def test_no_gpu(eight, study, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))  # without nvidia-smi
    assert said(study, CPU, ["cifar_lt"]) == [("ok", "torch sees none, and scale tiny needs none.", "")]
    assert said(eight, Torch(error="broken"))[0][0] == "warning"
    ((state, what, mend),) = said(eight, CPU)
    assert state == "missing" and "a build without CUDA" in what
    assert mend.endswith("--constraint requirements/lock.txt --index-url https://pypi.org/simple torch==2.13.0")
    assert said(eight, CPU, on_slurm=8)[0][0] == "missing"  # jobs would load the same torch
    assert said(eight, CUDA, on_slurm=8) == [("ok", "None here, as on a login node; nodes of the cluster have 8.", "")]
    assert said(eight, CUDA)[0][0] == "missing"
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\necho 470.82\necho 470.82\n")
    (tmp_path / "nvidia-smi").chmod(stat.S_IRWXU)
    old = Torch(version="2.13.0", cuda="13.0", unseen="The NVIDIA driver on your system is too old")
    assert "though driver 470.82 does: The NVIDIA driver on your system is too old." in said(eight, old)[0][1]


def test_gpus_that_are_there(eight):
    assert said(eight, with_devices(*[A100] * 8)) == [("ok", "8 GPUs (A100, 80 GB, with bf16); a run wants 8.", "")]
    ((state, what, _),) = said(eight, with_devices(A100, A100))
    assert state == "warning" and what.startswith("2 GPUs (A100, 80 GB, with bf16) where a run wants 8")
    busy = Device("A100", 80 * GB, 3 * GB, (8, 0))
    assert [state for state, _, _ in said(eight, with_devices(*[A100] * 7, busy))] == ["ok", "warning"]
    old = Device("V100", 32 * GB, 32 * GB, (7, 0))
    found = said(eight, with_devices(*[old] * 8))
    assert "without bf16" in found[0][1] and "no code for V100 (compute capability 7.0)" in found[1][1]


def test_bf16_where_the_scale_trains_in_it(make_study):
    study = make_study(resources={"gpu": 1}, precision="bf16")
    old = Device("T4", 16 * GB, 16 * GB, (7, 5))
    torch = Torch(version="2", cuda="12.8", devices=(old,), architectures=("sm_75",))
    assert [state for state, _, _ in said(study, torch, ["cifar_lt"])] == ["ok", "missing"]


def test_bf16_on_a_processor(make_study):
    study = make_study(precision="bf16")
    ((state, what, remedy),) = said(study, CPU, ["cifar_lt"])
    assert state == "missing" and "The processor has no bfloat16 (AVX512-BF16 or AMX), which scale tiny" in what
    assert "configs/scales/tiny.yaml" in remedy
    assert [state for state, _, _ in said(study, replace(CPU, processor_bf16=True), ["cifar_lt"])] == ["ok"]


@pytest.mark.parametrize(
    ("architectures", "capability", "runs"),
    [
        (("sm_80",), (8, 0), True),
        (("sm_80",), (8, 6), True),
        (("sm_86",), (8, 0), False),
        (("sm_80",), (9, 0), False),
        (("compute_80",), (9, 0), True),
        (("sm_75", "sm_80", "sm_120"), (7, 0), False),
        (("sm_90a",), (9, 0), True),
        (("gfx90a",), (9, 0), True),
        ((), (8, 0), True),
    ],
)
def test_code_for_one_gpu_runs_on_its_later_kin(architectures, capability, runs):
    assert gpu.runs_on(architectures, capability) is runs
