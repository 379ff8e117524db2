"""The command ``fasa``: every step of the workflow by hand, and the scoring of results; one file a command."""

from fasa.cli.main import main

__all__ = ["main"]
