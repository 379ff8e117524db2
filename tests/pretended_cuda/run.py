"""Run scenarios on the pretended device, in a process of their own: ``python -m pretended_cuda.run GROUP [NAME …]``.

A group is a module of ``scenarios/``. Each of its scenarios gives one line of JSON: what it found, or how it failed.
"""

from __future__ import annotations

import gc
import json
import sys
import time
import traceback
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pretended_cuda import guard


def main(group: str, names: list[str]) -> None:
    """Run the scenarios ``names`` of a group, all of them where none is named."""
    lines, sys.stdout = sys.stdout, sys.stderr  # what the project prints is no result
    guard.load()  # before anything imports torch
    import torch
    from pretended_cuda import install

    torch.set_num_threads(1)

    module = import_module(f"pretended_cuda.scenarios.{group}")
    install.install()
    module.prepare()
    gc.freeze()  # MMEngine collects garbage for every data set
    for name in names or module.SCENARIOS:
        print(json.dumps({"name": name, **_outcome(module.SCENARIOS[name])}), file=lines, flush=True)


def _outcome(scenario: Any) -> dict[str, Any]:
    from pretended_cuda import graphs, install

    install.reset()
    started, found, error = time.process_time(), {}, ""
    with TemporaryDirectory() as folder:
        try:
            found = scenario(Path(folder)) or {}
        except Exception as raised:
            error = f"{type(raised).__name__}: {raised}".split("\n")[0]
            traceback.print_exc()
    expected = getattr(scenario, "caught", "")  # of a planted fault
    return {
        "error": error,
        "expected": expected,
        "seconds": round(time.process_time() - started, 1),
        **graphs.COUNTS,
        **found,
    }


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
