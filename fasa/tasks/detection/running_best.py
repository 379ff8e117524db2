"""The k best scores of each class so far, in bounded memory."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor

MERGE_EVERY = 1 << 20  # scores that wait for a merge at most: 8 MB of labels, 4 MB of scores


class RunningBest:
    """Keeps the best scores of each class.

    ``thresholds [C]`` is what a score must reach to be among them: the k-th best so far, at least ``floor``, which is
    also that of a class with fewer. It lags behind by the scores that wait for a merge, and so never admits too little.

    Args:
        classes: ``C``.
        size: ``k``, scores kept of each class.
        floor: least threshold.
        device: where the table ``[C, k]`` lives.
    """

    def __init__(self, classes: int, size: int, floor: float, device: torch.device | str = "cpu") -> None:
        self.floor = floor
        self.thresholds = torch.full((classes,), floor, device=device)
        self.scores = torch.full((classes, size), -torch.inf, device=device)  # each row falls
        self._waiting: list[tuple[Tensor, Tensor]] = []
        self._count = 0

    def add(self, labels: Tensor, scores: Tensor) -> None:
        """Take in ``scores [n]`` of ``labels [n]``."""
        self._waiting.append((labels, scores))
        self._count += len(labels)
        if self._count >= MERGE_EVERY:
            self._merge()

    def gather(self) -> None:
        """Merge what waits, and the tables of all processes; a collective operation."""
        self._merge()
        if not (dist.is_available() and dist.is_initialized()):
            return
        tables = [torch.empty_like(self.scores) for _ in range(dist.get_world_size())]
        dist.all_gather(tables, self.scores)
        for rank, table in enumerate(tables):
            if rank != dist.get_rank():
                self.scores = torch.cat([self.scores, table], 1).topk(self.scores.shape[1], 1).values
        self._update()

    def _merge(self) -> None:
        if not self._count:
            return
        labels, scores = (torch.cat(parts) for parts in zip(*self._waiting, strict=True))
        self._waiting, self._count = [], 0
        size = self.scores.shape[1]
        scores, order = scores.sort(descending=True)
        labels, by_class = labels[order].sort(stable=True)
        scores = scores[by_class]
        rank = torch.arange(len(labels), device=labels.device) - torch.searchsorted(labels, labels)
        # Most rows gain little: a table as wide as the longest of them, of these classes alone.
        touched, row = labels.unique_consecutive(return_inverse=True)
        width = min(int(rank.max()) + 1, size)
        fresh = self.scores.new_full((len(touched), width), -torch.inf)
        kept = rank < width
        fresh[row[kept], rank[kept]] = scores[kept].to(fresh.dtype)
        both = torch.cat([self.scores[touched], fresh], 1)
        self.scores[touched] = both.topk(size, 1).values
        self._update()

    def _update(self) -> None:
        self.thresholds = self.scores[:, -1].clamp(min=self.floor)
