"""Crop and flip a whole batch at once on the device that holds the images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional

EVALUATION_BATCH = 1000


class Images:
    """All images of one split on the device, as ``uint8 [N, 3, H, W]``, and what turns them into network input.

    Args:
        images: ``uint8 [N, 3, H, W]``.
        mean, std: normalisation constants, three each, for pixel values in 0..1.
        pad: zeros around the image for the random crop, in pixels (torchvision's RandomCrop on the uint8 image).
        flip: whether a horizontal flip keeps the label.
    """

    def __init__(self, images: Tensor, mean: Sequence[float], std: Sequence[float], pad: int, flip: bool) -> None:
        self.size, self.pad, self.flip = images.shape[-1], pad, flip
        # Channels last, padded once: a crop is then one gather, and its result is in cuDNN's preferred layout.
        self.padded = functional.pad(images, (pad, pad, pad, pad)).permute(0, 2, 3, 1).contiguous()
        self.mean = torch.tensor(mean, device=images.device, dtype=torch.float)
        self.std = torch.tensor(std, device=images.device, dtype=torch.float)

    def __len__(self) -> int:
        return len(self.padded)

    def cropped(self, indices: Tensor, generator: torch.Generator) -> Tensor:
        """Randomly cropped and flipped images ``indices [n]`` with values in 0..1; ``float [n, 3, H, W]``."""
        n, device = len(indices), self.padded.device
        corner = torch.randint(0, 2 * self.pad + 1, (2, n, 1), generator=generator, device=device)
        steps = torch.arange(self.size, device=device)
        mirrored = (torch.rand(n, 1, generator=generator, device=device) < 0.5) & self.flip
        rows = corner[0] + steps
        columns = corner[1] + torch.where(mirrored, steps.flip(0), steps)
        return self._floats(self.padded[indices[:, None, None], rows[:, :, None], columns[:, None, :]])

    def centred(self, indices: Tensor) -> Tensor:
        """Images ``indices [n]`` as they are, with values in 0..1; ``float [n, 3, H, W]``."""
        inner = slice(self.pad, self.pad + self.size)
        return self._floats(self.padded[indices][:, inner, inner])

    def normalised(self, images: Tensor) -> Tensor:
        """Network input: ``(images - mean) / std`` per channel."""
        return (images - self.mean[:, None, None]) / self.std[:, None, None]

    def batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """All images in their order, uncropped, as pairs of indices ``[n]`` and network input ``[n, 3, H, W]``."""
        for indices in torch.arange(len(self), device=self.padded.device).split(EVALUATION_BATCH):
            yield indices, self.normalised(self.centred(indices))

    @staticmethod
    def _floats(pixels: Tensor) -> Tensor:
        return (pixels.float() / 255).permute(0, 3, 1, 2)
