"""The checkpoints that mmengine makes, written whole, read safely: the newest that loads is where a training goes on.

By itself mmengine writes them in place, so that a kill leaves a torn one, and where it fails to read one it falls back
to executing whatever is in it. Here is what it writes by; and of the two that are kept the newer that is whole is given
to it, by a path that it reads by this module.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from mmengine.fileio import LocalBackend, register_backend
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader

from fasa import atomic, safe_pickle, torch_files
from fasa.errors import UserError

SCHEME = "fasa-checkpoint:"
WHOLE = "fasa-whole"  # of mmengine's storage backends, the one that writes whole files
MEND = "train again from a checkpoint that is whole"


class WholeFiles(LocalBackend):
    """The local disk, on which a file is written whole or not at all: ``backend_args=dict(backend="fasa-whole")``."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        atomic.write_bytes(Path(filepath), obj)


register_backend(WHOLE, WholeFiles, force=True)


def _statistic(owner: Any, name: str) -> Any:
    """In place of ``getattr``, by which a log's buffers name their statistics: those, and nothing else."""
    if owner is not _Log or name.startswith("_"):
        raise UnpicklingError(f"{name} of {owner!r} is no statistic of a log")
    return getattr(HistoryBuffer, name)


class _Log(HistoryBuffer):
    """In place of a log's buffer, which becomes one with two rows of numbers and its statistics."""

    def __init__(self, *_: Any) -> None:
        raise UnpicklingError("a log is not made by a call")

    def __setstate__(self, state: dict[str, Any]) -> None:
        rows = [np.array(state[name]) for name in ("_log_history", "_count_history")]
        if {row.ndim for row in rows} != {1} or not isinstance(state["max_length"], int):
            raise UnpicklingError("a log is not two rows of numbers")
        self.__class__ = HistoryBuffer
        self.__dict__.update(state, _log_history=rows[0], _count_history=rows[1])


ALLOWED: safe_pickle.Makers = {
    **safe_pickle.ARRAYS,
    **safe_pickle.SCALARS,
    "mmengine.logging.history_buffer.HistoryBuffer": _Log,
    "builtins.getattr": _statistic,
    "__builtin__.getattr": _statistic,
}


def newest(folder: Path) -> Path | None:
    """The newest checkpoint of a training in ``folder`` that is whole; one line is printed for each that is not."""
    for path, other in torch_files.each_with_the_one_before(sorted(folder.glob("epoch_*.pth"), key=_epoch)):
        try:
            torch_files.read(path, other, ALLOWED)
        except UserError as error:
            print(f"fasa: {error}", file=sys.stderr)
        else:
            return path
    return None


def resumed_by_mmengine(path: Path) -> str:
    """``load_from`` of a config that resumes from ``path``, as mmengine reads it by :func:`load_from_training`."""
    return f"{SCHEME}{path}"


@CheckpointLoader.register_scheme(prefixes=SCHEME, force=True)
def load_from_training(filename: str, map_location: str | torch.device | None = None) -> dict[str, Any]:
    """What mmengine asks for by a path with our scheme; on the CPU, from where it is copied to its place."""
    return torch_files.read(Path(filename.removeprefix(SCHEME)), MEND, ALLOWED)


def read_weights(path: Path, mend: str) -> dict[str, Any]:
    """The ``state_dict`` of a detector's checkpoint or of its finished weights.

    Raises:
        UserError: no such file, or no checkpoint; ``mend`` says what to do.
    """
    content = torch_files.read(path, mend, ALLOWED)
    return content.get("state_dict", content)


def _epoch(path: Path) -> int:
    number = re.fullmatch(r"epoch_(\d+)\.pth", path.name)
    return int(number[1]) if number else 0
