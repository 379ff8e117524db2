"""The evaluator under its older name: everything of :mod:`fasa.evaluation`, for code that says ``fasa.metrics``."""

from fasa.evaluation import *  # noqa: F403
from fasa.evaluation import __all__  # noqa: F401
