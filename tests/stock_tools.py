"""MMDetection's own tools, as they are shipped, in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import mmdet
import pytest

ROOT = Path(__file__).parents[1]
TOOLS = Path(mmdet.__file__).parent / ".mim/tools"
shipped = pytest.mark.skipif(not (TOOLS / "test.py").exists(), reason="this package of MMDetection ships no tools")
AS_MAIN = """
import runpy, sys
import yapf.yapflib.yapf_api
yapf.yapflib.yapf_api.FormatCode = lambda text, **_: (text, False)
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def run_python(folder: Path, *command: str) -> str:
    """What Python prints with the arguments ``command`` in ``folder``, on the CPU."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "-1"}
    done = subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def run_tool(folder: Path, name: str, *arguments: object) -> str:
    """What a tool prints. It is run as it is, but for the layout of the configs that it logs: most of a short run."""
    return run_python(folder, "-c", AS_MAIN, str(TOOLS / name), *map(str, arguments))
