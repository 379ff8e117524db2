"""Micro-batches: the images that so many devices would draw, and one step of their mean gradient."""

from __future__ import annotations

import pytest
import torch
from mmdet.registry import DATA_SAMPLERS
from mmengine.dataset import DefaultSampler
from mmengine.optim import OptimWrapper
from torch import nn

from fasa.mmdet.micro_batches import MicroBatchSampler, _Step, means, split

DEVICES, IMAGES = 4, 2
ASPECT = {"type": "AspectRatioBatchSampler"}


class Sizes:
    """A data set of images that know their size: every third is upright."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def get_data_info(self, index: int) -> dict[str, int]:
        return {"width": 10, "height": 20 if index % 3 == 0 else 5}


def sampler(monkeypatch: pytest.MonkeyPatch, count: int, rank: int, processes: int, epoch: int = 1) -> DefaultSampler:
    monkeypatch.setattr("mmengine.dataset.sampler.get_dist_info", lambda: (rank, processes))
    made = DefaultSampler(Sizes(count), shuffle=True, seed=3)
    made.set_epoch(epoch)
    return made


def batches(monkeypatch, count: int, rank: int, processes: int, inner: dict | None) -> list[list[int]]:
    micro_batches = DEVICES // processes
    made = MicroBatchSampler(sampler(monkeypatch, count, rank, processes), IMAGES, micro_batches, inner)
    found = list(made)
    assert len(found) == len(made)
    return found


def of_devices(monkeypatch, count: int, inner: dict | None) -> list[list[list[int]]]:
    """What each of the devices draws by itself, with mmengine's and mmdet's own samplers."""
    found = []
    for device in range(DEVICES):
        own = sampler(monkeypatch, count, device, DEVICES)
        if inner:
            found.append(list(DATA_SAMPLERS.build(inner, default_args={"sampler": own, "batch_size": IMAGES})))
        else:
            order = list(own)
            found.append([order[k : k + IMAGES] for k in range(0, len(order), IMAGES)])
    return found


@pytest.mark.parametrize("inner", [None, ASPECT])
@pytest.mark.parametrize("processes", [1, 2, 4])
@pytest.mark.parametrize("count", [40, 44, 48])  # the last step has whole micro-batches, or half ones
def test_a_micro_batch_is_what_its_device_would_draw(monkeypatch, inner, processes, count):
    expected = of_devices(monkeypatch, count, inner)
    for rank in range(processes):
        for step, batch in enumerate(batches(monkeypatch, count, rank, processes, inner)):
            devices = range(rank, DEVICES, processes)
            assert batch == [image for device in devices for image in expected[device][step]]


@pytest.mark.parametrize("count", [41, 46])
def test_one_process_fills_up_the_last_step_as_all_devices_would(monkeypatch, count):
    expected = of_devices(monkeypatch, count, None)
    found = batches(monkeypatch, count, 0, 1, None)
    assert found == [[i for device in expected for i in device[step]] for step in range(len(found))]
    assert {image for batch in found for image in batch} == set(range(count))


def test_fewer_images_than_devices(monkeypatch):
    (batch,) = batches(monkeypatch, 2, 0, 1, None)
    assert sorted(batch) == [0, 0, 1, 1]


def test_a_batch_is_split_evenly_and_means_are_taken():
    parts = split({"inputs": [1, 2, 3, 4], "data_samples": list("abcd")}, 2)
    assert parts == [{"inputs": [1, 2], "data_samples": ["a", "b"]}, {"inputs": [3, 4], "data_samples": ["c", "d"]}]
    logs = means([{"loss": torch.tensor(1.0)}, {"loss": torch.tensor(4.0)}])
    assert logs == {"loss": torch.tensor(2.5)}


def test_a_step_is_that_of_the_mean_loss():
    torch.manual_seed(0)
    micro_batches = torch.randn(3, 5, 4)
    models = [nn.Linear(4, 1), nn.Linear(4, 1)]
    models[1].load_state_dict(models[0].state_dict())
    wrappers = [OptimWrapper(torch.optim.SGD(m.parameters(), 0.1), clip_grad={"max_norm": 0.01}) for m in models]
    for _ in range(2):
        for number, micro_batch in enumerate(micro_batches):
            step = _Step(wrappers[0], 3, last=number == 2)
            with step.optim_context(models[0]):
                loss = models[0](micro_batch).square().mean()
            step.update_params(loss)
        wrappers[1].update_params(torch.stack([models[1](part).square().mean() for part in micro_batches]).mean())
    torch.testing.assert_close(models[0].weight, models[1].weight)
    assert models[0].weight.grad is None or not models[0].weight.grad.any()


def test_processes_exchange_gradients_after_the_last_micro_batch_alone():
    entered = []

    class Parallel(nn.Linear):
        def no_sync(self):
            entered.append("quiet")
            return torch.no_grad()

    model = Parallel(2, 1)
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), 0.1))
    for last in (False, False, True):
        with _Step(wrapper, 3, last).optim_context(model):
            entered.append("forward")
    assert entered == ["quiet", "forward", "quiet", "forward", "forward"]
