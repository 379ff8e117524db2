"""Crops and flips of a whole batch against a plain loop over images."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from toys import seeded

from fasa.tasks.classification.augment import Images


def split(n: int = 40, size: int = 6, pad: int = 2, flip: bool = True) -> tuple[np.ndarray, Images]:
    pixels = np.random.default_rng(0).integers(1, 256, (n, 3, size, size), dtype=np.uint8)
    return pixels, Images(torch.as_tensor(pixels), (0.5, 0.4, 0.3), (0.1, 0.2, 0.25), pad, flip)


def test_crops_are_those_of_a_plain_loop_over_images():
    pixels, images = split()
    indices = torch.tensor([3, 0, 39, 3, 17, 22, 8, 8, 1, 30])
    ours = images.cropped(indices, seeded())

    generator = seeded()
    top, left = torch.randint(0, 5, (2, len(indices), 1), generator=generator)[..., 0].tolist()
    mirrored = (torch.rand(len(indices), 1, generator=generator) < 0.5)[:, 0].tolist()
    assert 0 < sum(mirrored) < len(indices)
    for n, index in enumerate(indices.tolist()):
        padded = np.zeros((3, 10, 10), np.uint8)
        padded[:, 2:8, 2:8] = pixels[index]
        crop = padded[:, top[n] : top[n] + 6, left[n] : left[n] + 6]
        expected = crop[:, :, ::-1] if mirrored[n] else crop
        torch.testing.assert_close(ours[n], torch.tensor(expected.copy()).float() / 255)


def test_padding_is_zero_and_every_corner_is_met():
    _, images = split(n=1, pad=1)  # no pixel of the image itself is 0
    black = images.cropped(torch.zeros(500, dtype=torch.long), seeded())[:, 0] == 0
    edges = {(bool(b[0].all()), bool(b[-1].all()), bool(b[:, 0].all()), bool(b[:, -1].all())) for b in black}
    assert len(edges) == 9


@pytest.mark.parametrize(("flip", "expected"), [(True, 0.5), (False, 0.0)])
def test_only_what_may_be_mirrored_is(flip, expected):
    pixels, images = split(n=1, pad=0, flip=flip)
    crops = images.cropped(torch.zeros(1000, dtype=torch.long), seeded())
    original = torch.as_tensor(pixels[0]).float() / 255
    as_is, mirrored = ((crops == x).all((1, 2, 3)) for x in (original, original.flip(2)))
    assert (as_is | mirrored).all()
    assert float(mirrored.float().mean()) == pytest.approx(expected, abs=0.07 * expected)


def test_channels_keep_their_order_and_their_constants():
    pixels = np.stack([np.full((4, 4), value, np.uint8) for value in (255, 51, 0)])[None]
    images = Images(torch.as_tensor(pixels), (0.5, 0.4, 0.3), (0.1, 0.2, 0.25), pad=1, flip=True)
    centred = images.centred(torch.tensor([0]))
    assert centred[0, :, 2, 3].tolist() == pytest.approx([1.0, 0.2, 0.0])
    assert images.normalised(centred)[0, :, 0, 0].tolist() == pytest.approx([5.0, -1.0, -1.2])


def test_centred_images_are_the_originals():
    pixels, images = split()
    torch.testing.assert_close(images.centred(torch.tensor([7, 2])), torch.as_tensor(pixels[[7, 2]]).float() / 255)
    assert len(images) == 40
