"""The learning rate of an epoch."""

from __future__ import annotations

import math

from fasa.tasks.classification.recipe import Schedule


def learning_rate(schedule: Schedule, epoch: int) -> float:
    """The rate of ``epoch``, counted from 0: a linear warm-up, then a product of drops.

    Epoch ``e``, counted from 1, of a warm-up over ``W`` epochs has ``from * (1 - e/W) + e/W`` of the rate
    (``from`` = 0: Cao et al. 2019, 1/3: Tang et al. 2020).
    """
    share = (epoch + 1) / schedule.warmup if schedule.warmup else 1.0
    if share < 1:
        return schedule.lr * (schedule.warmup_from * (1 - share) + share)
    return schedule.lr * math.prod(factor for start, factor in schedule.milestones.items() if epoch >= start)
