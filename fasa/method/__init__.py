"""The paper's contribution: statistics (eq 2), sampling (eqs 3 and 4), grouping (eq 5), and FASA, which joins them."""

from fasa.method.fasa import FASA, fasa_paper, fasa_released

__all__ = ["FASA", "fasa_paper", "fasa_released"]
