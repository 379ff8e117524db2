"""bf16 on a processor: the fused operation beside torch's own in float32, and trainings that use it."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from fasa.cli import main
from fasa.study import Run
from fasa.tasks import devices
from fasa.tasks.classification.fused import rounded, widened
from fasa.tasks.classification.networks import build_backbone, norm_relu
from fasa.tasks.classification.training import Training

HALF_A_STEP = 2**-8  # of bf16: a rounded number lies at most so far away, relative to its size


@settings(deadline=None)  # the first call compiles
@given(st.floats(width=32))
def test_rounding_is_torchs(value):
    expected = torch.tensor(value).bfloat16()
    bits = np.uint16(rounded(np.float32(value)))
    assert bits == expected.view(torch.uint16).item() or np.isnan(value)
    assert widened(bits) == expected.item() or (np.isnan(value) and np.isnan(widened(bits)))


def examples(channels, last=True):
    """A norm with weights of its own, maps far from 0 and a shortcut."""
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(channels)
    with torch.no_grad():
        norm.weight.uniform_(0.5, 2)
        norm.bias.normal_()
    maps, shortcut, gradient = (torch.randn(6, channels, 9, 7) * 3 + 1 for _ in range(3))
    order = torch.channels_last if last else torch.contiguous_format
    return norm, *(tensor.bfloat16().contiguous(memory_format=order) for tensor in (maps, shortcut, gradient))


@pytest.mark.parametrize("added", [True, False])
@pytest.mark.parametrize(("channels", "last"), [(16, True), (5, True), (16, False)])
def test_it_is_torchs_in_float32_but_for_rounding(channels, last, added):
    norm, maps, shortcut, gradient = examples(channels, last)
    plain = copy.deepcopy(norm)
    ours, others = ([m.clone().requires_grad_() for m in (maps, shortcut)] for _ in range(2))
    out = norm_relu(norm, ours[0], ours[1] if added else None)
    assert out.dtype == torch.bfloat16 and "FusedNormRelu" in str(out.grad_fn)
    wide = [m.float().detach().requires_grad_() for m in others]
    normed = plain(wide[0])
    expected = functional.relu(normed + wide[1] if added else normed)
    torch.testing.assert_close(out.float(), expected, rtol=HALF_A_STEP, atol=1e-4)

    out.backward(gradient)
    expected.backward(gradient.float())
    torch.testing.assert_close(ours[0].grad.float(), wide[0].grad, rtol=HALF_A_STEP, atol=1e-4)
    if added:
        assert torch.equal(ours[1].grad.float(), wide[1].grad)
    for name in ("weight", "bias"):
        torch.testing.assert_close(getattr(norm, name).grad, getattr(plain, name).grad, rtol=1e-5, atol=1e-4)
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(norm.state_dict()[name], value, rtol=1e-5, atol=1e-6)


def test_what_is_not_a_number_stays_so():
    norm, maps, *_ = examples(16)
    maps[0, 3, 0, 0] = torch.nan
    out = norm_relu(norm, maps)
    assert out[:, 3].isnan().all() and not out[:, :3].isnan().any() and norm.running_mean[3].isnan()


def test_elsewhere_it_is_torchs():
    """In evaluation, in float32: the operations of before, to the bit."""
    norm, maps, shortcut, _ = examples(16)
    assert torch.equal(norm_relu(norm, maps.float()), functional.relu(copy.deepcopy(norm).train()(maps.float())))
    norm.eval()
    assert torch.equal(norm_relu(norm, maps, shortcut), functional.relu(norm(maps) + shortcut))


def test_a_network_fuses_every_norm(monkeypatch):
    network = build_backbone("resnet32", blocks=(1, 1, 1)).to(memory_format=torch.channels_last)
    monkeypatch.setattr(nn.BatchNorm2d, "forward", None)
    with torch.autocast("cpu", torch.bfloat16):
        maps = network(torch.randn(2, 3, 32, 32))
    maps.float().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in network.parameters())
    assert network.stem[1].num_batches_tracked == 1


def test_a_step_is_within_its_rounding_of_float32(make_study, dataset):
    """As on a GPU: tests/tasks/test_gpu.py says why by so much."""
    losses = {}
    for precision in ("fp32", "bf16"):
        training = Training(make_study(precision=precision).job(Run("ce_fasa", 0)), dataset, torch.device("cpu"))
        training._step(training._begin_epoch()[0])
        losses[precision] = float(training.total_loss)
    assert losses["bf16"] != losses["fp32"]
    assert losses["bf16"] == pytest.approx(losses["fp32"], abs=4 * 7 * 2**-9)


@pytest.mark.parametrize("name", ["avx512_bf16", "amx_bf16", None])
def test_a_processor_without_it_is_refused(make_study, packed, monkeypatch, capsys, name):
    monkeypatch.chdir(packed.root)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, "avx512_bf16": False, name: True})
    assert devices.processor_has_bf16() == (name is not None)
    make_study(precision="bf16", epochs=0.01)
    assert main(["train", "ce", "--seed", "0", "--scale", "tiny"]) == (0 if name else 2)
    if not name:
        told = capsys.readouterr().err
        assert "scale 'tiny' trains in bf16, and this processor has no instructions for it (AVX512-BF16 or AMX)" in told
        assert "base: tiny and precision: fp32" in told and "Traceback" not in told
