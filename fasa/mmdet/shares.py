"""A batch in shares, one for each device that a scale wants, worked on by as many processes as there are.

What decides a step is the share, not the process: a share is drawn, normalised and given its random numbers as on a
device of its own, and the step takes the mean of all shares' gradients. So four processes with two shares each do what
eight with one do, but for: statistics that a share leaves behind (batch normalisation's running ones, where it is not
frozen, and FASA's), which move once a share in place of once a step; random numbers of the image pipeline; and, where
the number of images does not divide by that of shares, which images come twice at the end of an epoch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from mmdet.registry import DATA_SAMPLERS, HOOKS, LOOPS
from mmengine.dist import all_reduce, get_dist_info
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.data import BatchSampler, Sampler

from fasa.mmdet.seeding import mixed_seed, seed_everything


class _Part(Sampler[int]):
    """Every ``shares``-th image of a sampler from the ``first`` on, the order going round at its end."""

    def __init__(self, order: Sequence[int], first: int, shares: int, dataset: Any) -> None:
        self.dataset = dataset  # batch samplers by aspect ratio look here
        steps = -(-len(order) // shares)
        self.order = [order[(first + shares * step) % len(order)] for step in range(steps)]

    def __iter__(self) -> Iterator[int]:
        return iter(self.order)

    def __len__(self) -> int:
        return len(self.order)


@DATA_SAMPLERS.register_module()
class ShareBatchSampler(Sampler[list[int]]):
    """Batches of ``shares`` shares one after the other, each of the images that a device of its own would draw.

    Of P processes with S shares each, process r has the shares of devices r, r + P, …: device d's images are every
    (P S)-th from the d-th on.

    Args:
        sampler: this process's images.
        batch_size: images of a share.
        shares: of this process.
        inner: type of the batch sampler that groups a device's images; None: as they come.
    """

    def __init__(self, sampler: Any, batch_size: int, shares: int, inner: dict[str, Any] | None = None) -> None:
        self.sampler, self.batch_size, self.shares, self.inner = sampler, batch_size, shares, inner

    def __iter__(self) -> Iterator[list[int]]:
        order = list(self.sampler)
        parts = [_Part(order, share, self.shares, self.sampler.dataset) for share in range(self.shares)]
        for shares in zip(*map(self._batches, parts), strict=True):
            yield [image for share in shares for image in share]

    def __len__(self) -> int:
        steps = -(-len(self.sampler) // self.shares)
        return -(-steps // self.batch_size)

    def _batches(self, part: _Part) -> Iterator[list[int]]:
        if self.inner is None:
            return iter(BatchSampler(part, self.batch_size, drop_last=False))
        return iter(DATA_SAMPLERS.build(self.inner, default_args={"sampler": part, "batch_size": self.batch_size}))


@LOOPS.register_module()
class ShareTrainLoop(EpochBasedTrainLoop):
    """mmengine's loop over epochs, a step of which works on its shares one after the other.

    Args:
        runner, dataloader, max_epochs, others: mmengine's; the batches are those of a :class:`ShareBatchSampler`.
        shares: of this process.
    """

    def __init__(self, runner: Runner, dataloader: Any, max_epochs: int, shares: int, **others: Any) -> None:
        super().__init__(runner, dataloader, max_epochs, **others)
        self.shares = shares

    def run_iter(self, idx: int, data_batch: dict[str, list[Any]]) -> None:
        """One step."""
        self.runner.call_hook("before_train_iter", batch_idx=idx, data_batch=data_batch)
        rank, processes = get_dist_info()
        outputs = []
        for share, images in enumerate(split(data_batch, self.shares)):
            device = rank + share * processes
            seed_everything(mixed_seed(self.runner.seed, self._epoch, idx, device))
            step = _Step(self.runner.optim_wrapper, self.shares, last=share == self.shares - 1)
            outputs.append(self.runner.model.train_step(images, optim_wrapper=step))
        self.runner.call_hook("after_train_iter", batch_idx=idx, data_batch=data_batch, outputs=means(outputs))
        self._iter += 1


@HOOKS.register_module()
class RunningStatisticsHook(Hook):
    """After each epoch, the mean over processes of the running statistics of batch normalisation, where it is trained.

    Otherwise each process would validate another detector, and a resumed training would go on with the first's.
    """

    def after_train_epoch(self, runner: Runner) -> None:
        for module in runner.model.modules():
            if isinstance(module, _BatchNorm) and module.training and module.track_running_stats:
                all_reduce(module.running_mean, op="mean")
                all_reduce(module.running_var, op="mean")


class _Step:
    """In place of mmengine's optimizer wrapper for one share: gradients add up, and the last share's step is taken.

    mmengine's own accumulation counts shares as iterations, which rates and epochs then follow.
    """

    def __init__(self, wrapper: OptimWrapper, shares: int, last: bool) -> None:
        self.wrapper, self.shares, self.last = wrapper, shares, last

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Precision as the wrapper has it; processes exchange gradients once, after the last share."""
        quiet: AbstractContextManager = nullcontext()
        if not self.last and hasattr(model, "no_sync"):
            quiet = model.no_sync()
        with quiet, self.wrapper.optim_context(model):
            yield

    def update_params(self, loss: Tensor) -> None:
        """Add a share's part of the gradient of the shares' mean loss."""
        self.wrapper.backward(self.wrapper.scale_loss(loss) / self.shares)
        if self.last:
            self.wrapper.step()
            self.wrapper.zero_grad()


def split(batch: dict[str, list[Any]], shares: int) -> list[dict[str, list[Any]]]:
    """A collated batch as ``shares`` equal ones."""
    size = len(batch["inputs"]) // shares
    return [{key: value[k * size : (k + 1) * size] for key, value in batch.items()} for k in range(shares)]


def means(outputs: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The means over the shares of what they log."""
    return {key: torch.stack([part[key].detach().float() for part in outputs]).mean(0) for key in outputs[0]}
