"""The weights of a finished detector: a plain dictionary of tensors under a fingerprint, which mmdet loads too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from fasa import torch_files
from fasa.errors import UserError


def save(path: Path, detector: nn.Module, fingerprint: str) -> None:
    """Write the detector's state, on the CPU, atomically."""
    state = {name: tensor.cpu() for name, tensor in detector.state_dict().items()}
    torch_files.write(path, {"state_dict": state, "fingerprint": fingerprint})


def load(path: Path, detector: nn.Module, fingerprint: str) -> None:
    """Load what :func:`save` wrote for the same recipe.

    Raises:
        UserError: the file is damaged, of another recipe, or does not fit.
    """
    state = _read(path, fingerprint)["state_dict"]
    try:
        detector.load_state_dict(state)
    except RuntimeError as error:
        raise UserError(f"{path} does not fit its recipe ({str(error).splitlines()[0]}); train it again.") from error


def check(path: Path, fingerprint: str) -> None:
    """Make sure that ``path`` has the weights of the recipe with ``fingerprint``; UserError else."""
    _read(path, fingerprint)


def _read(path: Path, fingerprint: str) -> dict[str, Any]:
    content = torch_files.read(path, "train that run again, it resumes at its end")
    if content.get("fingerprint") != fingerprint:
        raise UserError(f"{path} was trained by an older recipe; train that run again.")
    return content
