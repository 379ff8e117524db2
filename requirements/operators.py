"""What mmcv's operators are compiled for here, CPUs and GPUs or CPUs alone: decided before anything is built.

    eval "$(python requirements/operators.py)"      settings of the build, $operators (a name for it) and $sentence

GPUs need torch's build for CUDA and a CUDA toolkit of the same major version, with the headers that torch includes.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sysconfig
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

HEADERS = ("cuda_runtime.h", "cublas_v2.h", "cusparse.h", "cusolverDn.h")
INCLUDES = ("include", "targets/x86_64-linux/include", "targets/sbsa-linux/include")  # the latter two: conda's
CPUS_ALONE = {"FORCE_CUDA": "0", "CUDA_VISIBLE_DEVICES": "-1"}  # mmcv compiles for a GPU wherever it sees one


@dataclass(frozen=True)
class Torch:
    """The torch that is installed, and what it sees: the CUDA version it is built for, None of a build for CPUs; the
    compute capabilities that it has code for; those of the GPUs here."""

    version: str
    cuda: str | None
    compiled: tuple[str, ...] = ()
    present: tuple[str, ...] = ()


@dataclass(frozen=True)
class Toolkit:
    """A CUDA toolkit: its folder, nvcc's version, the folder of its headers, and those that are lacking."""

    home: Path
    version: str
    include: Path
    lacking: tuple[str, ...] = ()


@dataclass(frozen=True)
class Decision:
    """What is compiled: a name for it, environment variables of the build, and the sentence that tells."""

    operators: str
    settings: dict[str, str]
    sentence: str


def decide(torch: Torch, toolkits: Sequence[Toolkit], architectures: str = "") -> Decision:
    """Choose; ``architectures`` are the user's TORCH_CUDA_ARCH_LIST."""
    if torch.cuda is None:
        return Decision("cpu", CPUS_ALONE, f"for CPUs: torch {torch.version} is a build for CPUs.")
    fitting = [kit for kit in toolkits if major(kit.version) == major(torch.cuda) and not kit.lacking]
    if not fitting:
        if torch.present:
            rest = "Classifiers train on the GPUs here, detectors only with --device cpu"
        else:
            rest = "No GPU is seen here; on one, classifiers will train, detectors only with --device cpu"
        reason = unfit(torch.cuda, toolkits[0]) if toolkits else "no CUDA toolkit was found"
        remedy = "For detectors on GPUs, with NVIDIA's compiler from PyPI: FASA_NVCC=pypi make setup"
        return Decision("cpu", CPUS_ALONE, f"for CPUs alone: {reason}. {rest}. {remedy}")
    kit, chosen = fitting[0], architectures or ";".join(torch.present or torch.compiled)
    settings = {"FORCE_CUDA": "1", "CUDA_HOME": str(kit.home), "TORCH_CUDA_ARCH_LIST": chosen}
    settings["CPATH"] = joined(str(kit.include), os.environ.get("CPATH"))
    where = "" if torch.present else " (no GPU is seen here; TORCH_CUDA_ARCH_LIST names fewer)"
    sentence = f"for CPUs and GPUs of compute capability {chosen}{where}, by nvcc {kit.version} of {kit.home}."
    return Decision(f"cuda{kit.version}-{re.sub(r'[^0-9.a-z]+', '_', chosen.lower())}", settings, sentence)


def unfit(cuda: str, kit: Toolkit) -> str:
    """Why a toolkit is not the one for a torch that is built for ``cuda``."""
    if major(kit.version) != major(cuda):
        return f"{kit.home} has nvcc {kit.version}, and torch is built for CUDA {cuda}"
    return f"{kit.home} lacks {', '.join(kit.lacking)}"


def major(version: str) -> str:
    """``13`` of ``13.0``."""
    return version.partition(".")[0]


def joined(*folders: str | None) -> str:
    """A search path."""
    return os.pathsep.join(filter(None, folders))


def find_toolkits() -> Iterator[Toolkit]:
    """Those of CUDA_HOME, of this environment's packages, of the PATH, and of the usual place."""
    homes = [Path(os.environ["CUDA_HOME"])] if os.environ.get("CUDA_HOME") else []
    homes += sorted(Path(sysconfig.get_path("purelib"), "nvidia").glob("cu[0-9]*"))
    if (nvcc := shutil.which("nvcc")) and (here := asked(nvcc, "--dryrun", "-x", "cu", os.devnull, of="_HERE_=(.*)")):
        homes.append(Path(here).parent)  # not of the file's own place, which may hold but a script that calls it
    for home in dict.fromkeys([*homes, Path("/usr/local/cuda")]):
        if version := asked(str(home / "bin" / "nvcc"), "--version", of=r"release ([\d.]+)"):
            include = next((home / name for name in INCLUDES if (home / name / HEADERS[0]).exists()), home / "include")
            yield Toolkit(home, version, include, tuple(name for name in HEADERS if not (include / name).exists()))


def asked(*command: str, of: str) -> str:
    """What a command prints after a pattern's begin; empty where it cannot be run or does not print it."""
    try:
        answer = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    match = re.search(of, answer.stdout)
    return match[1].strip() if match else ""


def ask_torch() -> Torch:
    """The torch of this environment."""
    import torch

    compiled = sorted({name[3:] for name in torch.cuda.get_arch_list() if name.startswith("sm_")}, key=float)
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    present = sorted({torch.cuda.get_device_capability(number) for number in range(count)})
    return Torch(
        version=torch.__version__,
        cuda=torch.version.cuda,
        compiled=tuple(f"{name[:-1]}.{name[-1]}" for name in compiled),
        present=tuple(f"{a}.{b}" for a, b in present),
    )


def link_runtime(kit: Toolkit, folder: Path) -> str:
    """PyPI's toolkit has the CUDA runtime under its full name alone; the folder of a link that the linker looks for."""
    runtime = next(iter(sorted((kit.home / "lib").glob("libcudart.so.*"))), None)
    if runtime is None or (kit.home / "lib" / "libcudart.so").exists():
        return ""
    folder.mkdir(parents=True, exist_ok=True)
    link = folder / "libcudart.so"
    link.unlink(missing_ok=True)
    link.symlink_to(runtime)
    return str(folder)


def main() -> None:
    """Print the decision as lines of shell."""
    kits = list(find_toolkits())
    decision = decide(ask_torch(), kits, os.environ.get("TORCH_CUDA_ARCH_LIST", ""))
    settings = dict(decision.settings)
    if home := settings.get("CUDA_HOME"):
        kit = next(kit for kit in kits if str(kit.home) == home)
        links = link_runtime(kit, Path(sysconfig.get_path("purelib")) / "nvidia" / "fasa_links")
        settings["LIBRARY_PATH"] = joined(links, os.environ.get("LIBRARY_PATH"))
    for name, value in settings.items():
        print(f"export {name}={shlex.quote(value)}")
    print(f"operators={shlex.quote(decision.operators)}\nsentence={shlex.quote(decision.sentence)}")


if __name__ == "__main__":
    main()
