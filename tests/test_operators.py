"""What mmcv's operators are compiled for: each situation that a machine can be in, told in a sentence."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "requirements" / "operators.py"
spec = importlib.util.spec_from_file_location("operators_of_mmcv", SCRIPT)
assert spec and spec.loader
operators = importlib.util.module_from_spec(spec)
sys.modules[spec.name] = operators
spec.loader.exec_module(operators)
Toolkit, Torch, decide = operators.Toolkit, operators.Torch, operators.decide

CPUS = Torch("2.13.0+cpu", None)
LOGIN_NODE = Torch("2.13.0+cu130", "13.0", ("7.5", "8.0", "9.0"))
WORKSTATION = Torch("2.13.0+cu130", "13.0", ("7.5", "8.0", "9.0"), ("8.6", "9.0"))
FITS = Toolkit(Path("/usr/local/cuda"), "13.1", Path("/usr/local/cuda/include"))
OLD = Toolkit(Path("/opt/cuda"), "12.4", Path("/opt/cuda/include"))
PART = Toolkit(Path("/usr"), "13.0", Path("/usr/include"), ("cublas_v2.h", "cusparse.h"))


@pytest.fixture(autouse=True)
def no_search_paths(monkeypatch):
    for name in ("CPATH", "LIBRARY_PATH", "CUDA_HOME", "TORCH_CUDA_ARCH_LIST"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("toolkits", [[], [FITS]])
def test_a_build_of_torch_for_cpus(toolkits):
    """A compiler alone, as on a login node, changes nothing."""
    decision = decide(CPUS, toolkits)
    assert (decision.operators, decision.settings) == ("cpu", operators.CPUS_ALONE)
    assert decision.sentence == "for CPUs: torch 2.13.0+cpu is a build for CPUs."


def test_a_gpu_with_its_toolkit():
    decision = decide(WORKSTATION, [OLD, PART, FITS])
    assert decision.operators == "cuda13.1-8.6_9.0"
    assert decision.settings == {
        "FORCE_CUDA": "1",
        "CUDA_HOME": "/usr/local/cuda",
        "TORCH_CUDA_ARCH_LIST": "8.6;9.0",
        "CPATH": "/usr/local/cuda/include",
    }
    assert decision.sentence == "for CPUs and GPUs of compute capability 8.6;9.0, by nvcc 13.1 of /usr/local/cuda."


def test_a_login_node_compiles_for_all_that_torch_has_code_for():
    """mmcv would ask the GPUs that are there, of which there is none: an IndexError."""
    decision = decide(LOGIN_NODE, [FITS])
    assert decision.settings["TORCH_CUDA_ARCH_LIST"] == "7.5;8.0;9.0"
    assert "no GPU is seen here; TORCH_CUDA_ARCH_LIST names fewer" in decision.sentence
    chosen = decide(LOGIN_NODE, [FITS], "9.0+PTX")
    assert (chosen.settings["TORCH_CUDA_ARCH_LIST"], chosen.operators) == ("9.0+PTX", "cuda13.1-9.0_ptx")


@pytest.mark.parametrize(
    ("toolkits", "reason"),
    [
        ([], "no CUDA toolkit was found"),
        ([OLD], "/opt/cuda has nvcc 12.4, and torch is built for CUDA 13.0"),
        ([PART], "/usr lacks cublas_v2.h, cusparse.h"),
    ],
)
def test_a_gpu_without_its_toolkit(toolkits, reason):
    """What works then, and the one command that mends it. mmcv would compile for the GPU that it sees, and fail."""
    decision = decide(WORKSTATION, toolkits)
    assert (decision.operators, decision.settings) == ("cpu", operators.CPUS_ALONE)
    assert decision.sentence == (
        f"for CPUs alone: {reason}. Classifiers train on the GPUs here, detectors only with --device cpu. "
        "For detectors on GPUs, with NVIDIA's compiler from PyPI: FASA_NVCC=pypi make setup"
    )
    assert "No GPU is seen here; on one, classifiers will train" in decide(LOGIN_NODE, toolkits).sentence


def toolkit(home: Path, version: str, headers: tuple[str, ...], include: str = "include") -> Path:
    (home / "bin").mkdir(parents=True)
    nvcc = home / "bin" / "nvcc"
    nvcc.write_text(f"#!/bin/sh\n[ $1 = --version ] && echo 'release {version}, V1' || echo '#$ _HERE_={home}/bin'\n")
    nvcc.chmod(0o755)
    (home / include).mkdir(parents=True)
    for name in headers:
        (home / include / name).touch()
    return home


def test_toolkits_are_found_whole_or_in_part(tmp_path, monkeypatch):
    first = toolkit(tmp_path / "first", "12.9", operators.HEADERS[:1])
    second = toolkit(tmp_path / "second", "13.0", operators.HEADERS, "targets/x86_64-linux/include")
    (tmp_path / "bin").mkdir()
    call = tmp_path / "bin" / "nvcc"  # a script elsewhere that calls the compiler
    call.write_text(f'#!/bin/sh\nexec {second}/bin/nvcc "$@"\n')
    call.chmod(0o755)
    monkeypatch.setenv("CUDA_HOME", str(first))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    found = {kit.home: kit for kit in operators.find_toolkits()}
    assert found[first] == Toolkit(first, "12.9", first / "include", operators.HEADERS[1:])
    assert found[second] == Toolkit(second, "13.0", second / "targets/x86_64-linux/include")


def test_the_runtime_of_pypis_toolkit_is_linked_under_the_name_that_the_linker_looks_for(tmp_path):
    kit = Toolkit(toolkit(tmp_path / "cu13", "13.0", operators.HEADERS), "13.0", tmp_path)
    assert operators.link_runtime(kit, tmp_path / "links") == ""  # there is none
    (kit.home / "lib").mkdir()
    (kit.home / "lib" / "libcudart.so.13").touch()
    for _ in range(2):
        assert operators.link_runtime(kit, tmp_path / "links") == str(tmp_path / "links")
        assert (tmp_path / "links" / "libcudart.so").resolve() == kit.home / "lib" / "libcudart.so.13"


def test_what_it_prints_is_shell(tmp_path):
    lines = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True, check=True).stdout
    script = f'{lines}\n[ -n "$operators" ] && [ -n "$sentence" ] && echo "$FORCE_CUDA"'
    assert subprocess.run(["bash", "-euc", script], capture_output=True, text=True).stdout.strip() in ("0", "1")
