"""The backbones: sizes published or counted by hand, and their parts on hand-made maps."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from fasa.tasks.classification.heads import LinearHead
from fasa.tasks.classification.networks import BasicBlock, PadShortcut, build_backbone


def parameters(*modules: nn.Module) -> int:
    return sum(p.numel() for module in modules for p in module.parameters())


def test_resnet32_has_the_parameters_of_ldams():
    network = build_backbone("resnet32")
    assert parameters(network, LinearHead(64, 100)) == 470_004
    kinds = [type(m) for m in network.modules()]
    assert kinds.count(nn.Conv2d) == kinds.count(nn.BatchNorm2d) == 31


def test_two_branches_cost_one_block_more_than_resnet32():
    """One block fewer in the last stage, two more behind it; a 64-wide block has 2 (64 * 64 * 9 + 2 * 64)."""
    block = 2 * (64 * 64 * 9 + 2 * 64)
    assert parameters(build_backbone("resnet32_two_branch")) == 470_004 - 6_500 + block == 537_488


def test_resnet34_has_the_parameters_of_torchvisions_but_for_the_stem():
    """21,797,672 of torchvision's, less its classifier (512 * 1000 + 1000) and its 7x7 stem, plus a 3x3 stem."""
    expected = 21_797_672 - 513_000 - 64 * 3 * 49 + 64 * 3 * 9
    assert parameters(build_backbone("resnet34")) == expected == 21_276_992


@pytest.mark.parametrize(
    ("name", "dim", "stages", "strided"),
    [
        ("resnet32", 64, [(16, 32)] * 5 + [(32, 16)] * 5 + [(64, 8)] * 5, [5, 10]),
        ("resnet32_two_branch", 128, [(16, 32)] * 5 + [(32, 16)] * 5 + [(64, 8)] * 4, [5, 10]),
        ("resnet34", 512, [(64, 32)] * 3 + [(128, 16)] * 4 + [(256, 8)] * 6 + [(512, 4)] * 3, [3, 7, 13]),
    ],
)
def test_channels_and_map_sizes_of_every_block(name, dim, stages, strided):
    network = build_backbone(name).eval()
    seen = []
    for block in network.stages:
        block.register_forward_hook(lambda _module, _inputs, maps: seen.append((maps.shape[1], maps.shape[2])))
    with torch.no_grad():
        maps = network(torch.zeros(1, 3, 32, 32))
    assert seen == stages
    assert [k for k, block in enumerate(network.stages) if block.conv1.stride == (2, 2)] == strided
    assert network.feature_dim == dim
    assert maps.shape == (1, dim, *[stages[-1][1]] * 2)


def test_option_a_takes_every_second_pixel_and_pads_both_sides():
    maps = torch.arange(2 * 4 * 4.0).reshape(1, 2, 4, 4)
    expected = torch.zeros(1, 4, 2, 2)
    expected[0, 1] = torch.tensor([[0.0, 2.0], [8.0, 10.0]])
    expected[0, 2] = torch.tensor([[16.0, 18.0], [24.0, 26.0]])
    assert torch.equal(PadShortcut(2)(maps), expected)


def test_shortcuts_of_resnet32_have_no_parameters_and_those_of_resnet34_do():
    plain = [block.shortcut for block in build_backbone("resnet32").stages]
    assert parameters(*plain) == 0
    assert [type(s) for s in plain].count(PadShortcut) == 2
    projected = [block.shortcut for block in build_backbone("resnet34").stages]
    convolutions = [s[0] for s in projected if isinstance(s, nn.Sequential)]
    assert [(c.kernel_size, c.stride) for c in convolutions] == [((1, 1), (2, 2))] * 3


def test_a_block_adds_its_shortcut_before_the_last_relu():
    block = BasicBlock(1, 1, 1, projection=False).eval()
    nn.init.zeros_(block.bn2.weight)
    nn.init.constant_(block.bn2.bias, -2.0)  # the residual branch is -2 everywhere
    maps = torch.tensor([[[[1.0, 3.0], [5.0, 2.0]]]])
    assert torch.equal(block(maps), torch.tensor([[[[0.0, 1.0], [3.0, 0.0]]]]))


def test_branches_see_the_same_map_and_are_concatenated_in_order():
    network = build_backbone("resnet32_two_branch", blocks=[1, 1, 1], width=4).eval()
    images = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        shared = network.stages(network.stem(images))
        first, second = (branch(shared) for branch in network.branches)
        maps = network(images)
    assert torch.equal(maps[:, :16], first)
    assert torch.equal(maps[:, 16:], second)
    assert not torch.equal(first, second)


def test_convolutions_start_kaiming_normal():
    torch.manual_seed(0)
    network = build_backbone("resnet32")
    weight = network.stages[-1].conv2.weight.detach()  # fan-in 64 * 9
    assert float(weight.std()) == pytest.approx((2 / 576) ** 0.5, rel=0.02)
    assert float(weight.abs().max()) > 3 * (2 / 576) ** 0.5  # normal, not uniform


def test_a_scale_makes_a_backbone_smaller():
    network = build_backbone("resnet34", blocks=[1, 1], width=4)
    assert len(network.stages) == 2
    assert network.feature_dim == 8
