"""Checkpoints of a training: written whole, two kept, the newest that loads is used."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from fasa import torch_files
from fasa.errors import UserError

KEPT = 2


def save_checkpoint(folder: Path, epoch: int, state: dict[str, Any]) -> None:
    """Write ``state`` as the checkpoint after ``epoch`` epochs; older ones but the last are deleted afterwards."""
    torch_files.write(folder / f"epoch-{epoch:05d}.pt", state)
    for old in sorted(folder.glob("epoch-*.pt"))[:-KEPT]:
        old.unlink()


def newest_checkpoint(folder: Path, fingerprint: str) -> dict[str, Any] | None:
    """The newest checkpoint of ``folder`` that loads; None where there is none.

    One line is printed for each that does not load, as after a full disk or the death of a node.

    Raises:
        UserError: it was written by another recipe.
    """
    for path, other in torch_files.each_with_the_one_before(sorted(folder.glob("epoch-*.pt"))):
        try:
            state = torch_files.read(path, other)
        except UserError as error:
            print(f"fasa: {error}", file=sys.stderr)
            continue
        if state.get("fingerprint") != fingerprint:
            raise UserError(
                f"{path} is a checkpoint of another version of this recipe; delete {folder} to train from the start."
            )
        return state
    return None
