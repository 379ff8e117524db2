"""The compiled part of the evaluator; all else stands in pyproject.toml.

Without a C++ compiler it is left out, and ``fasa.evaluation.portable`` does the same by numba.
"""

from glob import glob

from pybind11.setup_helpers import Pybind11Extension
from setuptools import setup

NATIVE = "fasa/evaluation/native"

# No fused multiply-add (arm64 has it by default): every figure is the same to the last bit on every machine.
FLAGS = ["-O3", "-ffp-contract=off", "-Wall", "-Wextra"]

setup(
    ext_modules=[
        Pybind11Extension(
            "fasa.evaluation._native",
            sorted(glob(f"{NATIVE}/*.cpp")),
            depends=sorted(glob(f"{NATIVE}/*.h")),
            cxx_std=17,
            extra_compile_args=FLAGS,
            optional=True,
        )
    ]
)
