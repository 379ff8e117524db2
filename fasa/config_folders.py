"""Where config files lie: those that fasa ships, and with them what the ``configs/`` of a study adds."""

from __future__ import annotations

from pathlib import Path

from fasa.errors import UserError

# A folder with this file is whole, as a clone's is: nothing that is shipped is read beside it.
OF_A_WHOLE = "claims.yaml"


def shipped() -> Path:
    """The folder that fasa ships: beside the modules in an installed package, in the root of a clone."""
    package = Path(__file__).parent
    return next(folder for folder in (package / "configs", package.parent / "configs") if folder.is_dir())


def config_folders(root: Path) -> tuple[Path, ...]:
    """The folders of the study in ``root``, the shipped one first; its own alone where that is whole."""
    own = root / "configs"
    if (own / OF_A_WHOLE).exists():
        return (own,)
    return (shipped(), own) if own.is_dir() else (shipped(),)


def config_paths(root: Path, pattern: str) -> list[Path]:
    """The config files of the study in ``root`` that fit ``pattern``, such as ``tables/*.yaml``, shipped ones first."""
    return [path for folder in config_folders(root) for path in sorted(folder.glob(pattern))]


def config_path(root: Path, name: str) -> Path:
    """The config file ``name``, such as ``scales/mini.yaml``; where there is none, the place for it.

    Raises:
        UserError: the study has one of the name of a shipped one.
    """
    folders = config_folders(root)
    found = [folder / name for folder in folders if (folder / name).exists()]
    if len(found) > 1:
        raise UserError(f"{found[1]} has the name of one that fasa ships; rename it.")
    return found[0] if found else folders[-1] / name
