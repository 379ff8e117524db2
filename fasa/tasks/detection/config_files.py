"""The files of configs/mmdet that make a detector's config, and what of them decides a training."""

from __future__ import annotations

import ast
import functools
from pathlib import Path

from fasa.config_folders import config_path, config_paths
from fasa.errors import UserError, closest
from fasa.tasks.detection.recipe import DetectionRecipe
from fasa.tasks.detection.scale import DetectionScale


def config_files(root: Path, declared: DetectionRecipe, scale: DetectionScale) -> list[Path]:
    """The files of ``configs/mmdet`` that make a detector's config, each laid over the ones before.

    Raises:
        UserError: one is missing, or there are two of its name.
    """
    names = [f"_base_/{declared.config}"]
    if scale.model:
        names.append(f"scales/{scale.model}")
        own = f"{names[-1]}_{declared.backbone}"
        names += [own] if config_path(root, f"mmdet/{own}.py").exists() else []
    files = [config_path(root, f"mmdet/{name}.py") for name in names]
    for path in files:
        if not path.exists():
            near = closest(path.stem, [each.stem for each in config_paths(root, f"mmdet/{path.parent.name}/*.py")])
            said = "'detection.model' of the scale" if path.parent.name == "scales" else f"recipe '{declared.name}'"
            raise UserError(f"{path} is missing, which {said} names{near}.")
    return files


def statements(path: Path, above: tuple[Path, ...] = ()) -> list[str]:
    """A config file's statements, after those of the files beside it that it has as ``_base_``.

    Comments, layout and what the files are called train nothing.

    Args:
        path: the file.
        above: those that have it as base.

    Raises:
        UserError: it is no config, or has itself among its bases.
    """
    if path.resolve() in above:
        raise UserError(f"{path} has itself among its '_base_'; take it out.")
    try:
        names, own = _parsed(path.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError, TypeError, RecursionError, MemoryError) as error:
        raise UserError(f"{path} is not a config: {error}.") from error
    return [*(text for name in names for text in statements(path.parent / name, (*above, path.resolve()))), own]


@functools.cache  # by what the file says: each recipe of a study asks for the same few
def _parsed(source: str) -> tuple[tuple[str, ...], str]:
    """The files of ours that a config file has as ``_base_``, and its other statements."""
    code = ast.parse(source)
    below: list[str] = []
    for node in list(code.body):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_base_":
            names = ast.literal_eval(node.value)
            names = [names] if isinstance(names, str) else names
            if not all(isinstance(name, str) for name in names):
                raise ValueError("'_base_' must be the names of files")
            if not any("::" in name for name in names):  # those of MMDetection we know by name alone
                below += names
                code.body.remove(node)
    return tuple(below), ast.unparse(code)
