"""``fasa --print-completion SHELL``: what a shell needs to complete commands, options and the names of this study."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fasa.cli.parser import actions, inside
from fasa.errors import UserError

SHELLS = ("bash", "zsh")


class PrintCompletion(argparse.Action):
    """Prints a script; names are those of the study of ``-C``, or of the current folder's, when it is printed."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: Any, values: Any, option_string: Any = None) -> None:
        try:
            import shtab
        except ModuleNotFoundError as error:
            raise UserError("completion needs shtab, which is not installed: pip install shtab.") from error
        with inside(namespace.folder):
            names = known_names()
        for action in actions(parser):
            if action.metavar in names:
                action.choices = names[str(action.metavar)]
            elif action.type is Path:
                action.complete = shtab.FILE if action.dest != "folder" else shtab.DIRECTORY  # type: ignore[attr-defined]
        print(shtab.complete(parser, values))
        parser.exit()


def known_names() -> dict[str, Sequence[str]]:
    """What the study of this folder has for each metavar."""
    from fasa.config_folders import config_paths
    from fasa.study import load_study

    study = load_study()
    artifacts = [*study.artifacts(), *study.unavailable]
    scales = sorted(path.stem for path in config_paths(study.root, "scales/*.yaml"))
    return {"RECIPE": list(study.recipes), "NAME": artifacts, "SCALE": scales}
