"""The paper's contribution, one screen for each equation."""

from fasa.method.fasa import FASA, fasa_paper, fasa_released

__all__ = ["FASA", "fasa_paper", "fasa_released"]
