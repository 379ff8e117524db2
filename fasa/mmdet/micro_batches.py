"""A batch in micro-batches, each what one of the wanted devices would get, worked on by as many as there are.

What decides a step is the micro-batch, not the process: it is drawn, normalised and given its random numbers as on a
device of its own, and the step takes the mean of all micro-batches' gradients. So four processes with two micro-batches
each do what eight with one do, but for: statistics that a micro-batch leaves behind (batch normalisation's running
ones, where it is not frozen, and FASA's), which move once for each of them in place of once a step; random numbers of
the image pipeline; and, where the number of images does not divide by that of micro-batches, which images come twice at
the end of an epoch.
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
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.data import BatchSampler, Sampler

from fasa.mmdet.seeding import mixed_seed, seed_everything


class _Part(Sampler[int]):
    """Every ``stride``-th image of a sampler from the ``first`` on, the order going round at its end."""

    def __init__(self, order: Sequence[int], first: int, stride: int, dataset: Any) -> None:
        self.dataset = dataset  # batch samplers by aspect ratio look here
        steps = -(-len(order) // stride)
        self.order = [order[(first + stride * step) % len(order)] for step in range(steps)]

    def __iter__(self) -> Iterator[int]:
        return iter(self.order)

    def __len__(self) -> int:
        return len(self.order)


@DATA_SAMPLERS.register_module()
class MicroBatchSampler(Sampler[list[int]]):
    """Batches of ``micro_batches`` one after the other, each of the images that a device of its own would draw.

    Of P processes with M micro-batches each, process r has those of devices r, r + P, …: device d's images are every
    (P M)-th from the d-th on.

    Args:
        sampler: this process's images.
        batch_size: images of a micro-batch.
        micro_batches: of this process.
        inner: type of the batch sampler that groups a device's images; None: as they come.
    """

    def __init__(self, sampler: Any, batch_size: int, micro_batches: int, inner: dict[str, Any] | None = None) -> None:
        self.sampler, self.batch_size, self.micro_batches, self.inner = sampler, batch_size, micro_batches, inner

    def __iter__(self) -> Iterator[list[int]]:
        order = list(self.sampler)
        parts = [_Part(order, first, self.micro_batches, self.sampler.dataset) for first in range(self.micro_batches)]
        for micro_batches in zip(*map(self._batches, parts), strict=True):
            yield [image for micro_batch in micro_batches for image in micro_batch]

    def __len__(self) -> int:
        steps = -(-len(self.sampler) // self.micro_batches)
        return -(-steps // self.batch_size)

    def _batches(self, part: _Part) -> Iterator[list[int]]:
        if self.inner is None:
            return iter(BatchSampler(part, self.batch_size, drop_last=False))
        return iter(DATA_SAMPLERS.build(self.inner, default_args={"sampler": part, "batch_size": self.batch_size}))


@LOOPS.register_module()
class MicroBatchTrainLoop(EpochBasedTrainLoop):
    """mmengine's loop over epochs, a step of which works on its micro-batches one after the other.

    Args:
        runner, dataloader, max_epochs, others: mmengine's; the batches are those of a :class:`MicroBatchSampler`.
        micro_batches: of this process.
    """

    def __init__(self, runner: Runner, dataloader: Any, max_epochs: int, micro_batches: int, **others: Any) -> None:
        super().__init__(runner, dataloader, max_epochs, **others)
        self.micro_batches = micro_batches

    def run_iter(self, idx: int, data_batch: dict[str, list[Any]]) -> None:
        """One step."""
        self.runner.call_hook("before_train_iter", batch_idx=idx, data_batch=data_batch)
        rank, processes = get_dist_info()
        outputs = []
        for number, images in enumerate(split(data_batch, self.micro_batches)):
            device = rank + number * processes
            seed_everything(mixed_seed(self.runner.seed, self._epoch, idx, device))
            step = _Step(self.runner.optim_wrapper, self.micro_batches, last=number == self.micro_batches - 1)
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
    """In place of mmengine's optimizer wrapper for one micro-batch: gradients add up, and the last one takes the step.

    mmengine's own accumulation counts micro-batches as iterations, which learning rates and epochs then follow.
    """

    def __init__(self, wrapper: OptimWrapper, micro_batches: int, last: bool) -> None:
        self.wrapper, self.micro_batches, self.last = wrapper, micro_batches, last

    @contextmanager
    def optim_context(self, model: Any) -> Iterator[None]:
        """Precision as the wrapper has it; processes exchange gradients once, after the last."""
        quiet: AbstractContextManager = nullcontext()
        if not self.last and hasattr(model, "no_sync"):
            quiet = model.no_sync()
        with quiet, self.wrapper.optim_context(model):
            yield

    def update_params(self, loss: Tensor) -> None:
        """Add a micro-batch's part of the gradient of the mean loss."""
        self.wrapper.backward(self.wrapper.scale_loss(loss) / self.micro_batches)
        if self.last:
            self.wrapper.step()
            self.wrapper.zero_grad()


def split(batch: dict[str, list[Any]], micro_batches: int) -> list[dict[str, list[Any]]]:
    """A collated batch as ``micro_batches`` equal ones."""
    size = len(batch["inputs"]) // micro_batches
    return [{key: value[k * size : (k + 1) * size] for key, value in batch.items()} for k in range(micro_batches)]


def means(outputs: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The means over the micro-batches of what they log."""
    return {key: torch.stack([part[key].detach().float() for part in outputs]).mean(0) for key in outputs[0]}
