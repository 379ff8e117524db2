"""What pyproject.toml cannot say: the compiled evaluator, configs/ as fasa/configs, and the README for a package index.

Without a C++ compiler the compiled part is left out, and ``fasa.evaluation.portable`` does the same by numba.
"""

import re
import tomllib
from glob import glob
from pathlib import Path

from pybind11.setup_helpers import ParallelCompile, Pybind11Extension
from setuptools import setup
from setuptools.command.build_py import build_py

NATIVE = "fasa/evaluation/native"
LINK = re.compile(r"(!?)\[([^\]]*)\]\((?![a-z]+:|#)([^)\s]+)\)")  # of Markdown, to a file of this repository

# No fused multiply-add (arm64 has it by default): every figure is the same to the last bit on every machine.
FLAGS = ["-O3", "-ffp-contract=off", "-Wall", "-Wextra"]


class WithConfigs(build_py):
    """Copies ``configs/`` into the package that is built; an editable installation reads it where it is."""

    def run(self) -> None:
        super().run()
        for source, target in self._configs().items():
            self.mkpath(str(Path(target).parent))
            self.copy_file(source, target)

    def _configs(self) -> dict[str, str]:
        files = [] if self.editable_mode else [path for path in Path("configs").rglob("*.*") if path.suffix != ".pyc"]
        return {str(path): str(Path(self.build_lib, "fasa", path)) for path in sorted(files) if path.is_file()}

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        return [*super().get_outputs(include_bytecode), *self._configs().values()]


def readme() -> str:
    """README.md with links that lead to the repository from anywhere; while it has no address they are their text."""
    urls = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]
    repository = urls.get("Repository")

    def absolute(link: re.Match[str]) -> str:
        picture, text, target = link.groups()
        return f"{picture}[{text}]({repository}/{'raw' if picture else 'blob'}/main/{target})" if repository else text

    return LINK.sub(absolute, Path("README.md").read_text(encoding="utf-8"))


ParallelCompile().install()
setup(
    long_description=readme(),
    long_description_content_type="text/markdown",
    cmdclass={"build_py": WithConfigs},
    ext_modules=[
        Pybind11Extension(
            "fasa.evaluation._native",
            sorted(glob(f"{NATIVE}/*.cpp")),
            depends=sorted(glob(f"{NATIVE}/*.h")),
            cxx_std=17,
            extra_compile_args=FLAGS,
            optional=True,
        )
    ],
)
