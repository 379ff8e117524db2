"""Figures of every class of every file, as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from fasa.errors import UserError
from fasa.evaluation.score.results import FileScores


def per_class_csv(files: Sequence[FileScores]) -> str:
    """One row a file and class, fractions, blank where a class has no ground truth.

    The figures are those of the first protocol that has any by class.

    Raises:
        UserError: no protocol has.
    """
    protocol = protocol_by_class([p for p in files[0].evaluations])
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["file", "protocol", *files[0].evaluations[protocol].per_class])
    for file in files:
        columns = file.evaluations[protocol].per_class
        for values in zip(*(column.tolist() for column in columns.values()), strict=True):
            writer.writerow([file.label, protocol, *map(_blank, values)])
    return text.getvalue()


def protocol_by_class(protocols: Sequence[str]) -> str:
    """The first of ``protocols`` that has figures by class; raises a UserError if none has."""
    for protocol in protocols:
        if protocol != "pool":
            return protocol
    raise UserError("AP-Pool has no figures by class, so --per-class needs the protocol 'standard' or 'fixed', too.")


def _blank(value: Any) -> Any:
    return "" if isinstance(value, float) and np.isnan(value) else value
