"""Orders and limits of millions of detections: one sort by score, then stable splits by small integers."""

from __future__ import annotations

import numpy as np


def by_score(score: np.ndarray) -> np.ndarray:
    """Order of ``score`` (n,), best first, equal scores as they stand (the official tools' stable sorts)."""
    return np.argsort(-score, kind="stable")


def group(order: np.ndarray, key: np.ndarray, groups: int) -> tuple[np.ndarray, np.ndarray]:
    """Split an order by ``key[order]`` in 0 … groups - 1, stable: the new order and (groups + 1,) where each begins."""
    keys = key[order]
    # numpy sorts 16-bit integers by radix, ten times faster than wider ones; two such sorts make 32 bits.
    if groups <= 1 << 16:
        split = np.argsort(keys.astype(np.uint16), kind="stable")
    else:
        low = np.argsort((keys & 0xFFFF).astype(np.uint16), kind="stable")
        split = low[np.argsort((keys[low] >> 16).astype(np.uint16), kind="stable")]
    start = np.concatenate(([0], np.cumsum(np.bincount(keys, minlength=groups))))
    return order[split], start


def top(order: np.ndarray, key: np.ndarray, groups: int, limit: int) -> np.ndarray:
    """bool (n,): whether an element is among the first ``limit`` of its group in ``order``, which holds all n."""
    if np.bincount(key, minlength=groups).max(initial=0) <= limit:
        return np.ones(len(order), bool)
    grouped, start = group(order, key, groups)
    rank = np.arange(len(order)) - np.repeat(start[:-1], np.diff(start))
    kept = np.empty(len(order), bool)
    kept[grouped] = rank < limit
    return kept
