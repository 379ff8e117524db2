"""Short names for files: their base names, with as many folders as it takes to tell them apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path


def labels(paths: Sequence[Path]) -> list[str]:
    """A different name for each of ``paths``; a file given twice gets a number."""
    parts = [path.absolute().parts for path in paths]
    depth = [1] * len(paths)
    while True:
        names = ["/".join(p[-d:]) for p, d in zip(parts, depth, strict=True)]
        count = Counter(names)
        deeper = [min(d + (count[n] > 1), len(p)) for n, d, p in zip(names, depth, parts, strict=True)]
        if deeper == depth:
            break
        depth = deeper
    times: Counter[str] = Counter()
    for place, name in enumerate(names):
        times[name] += 1
        if count[name] > 1:  # the very same path: no folder tells them apart
            names[place] = f"{paths[place].name} ({times[name]})"
    return names
