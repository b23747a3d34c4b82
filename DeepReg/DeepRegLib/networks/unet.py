"""The three-dimensional U-Net of Eppenhof 2020 (the baseline): two images in, a dense displacement field out."""

from __future__ import annotations

import torch
from torch import nn

from .layers import COMPONENTS, IMAGE_CHANNELS, check_images, convolution_block, initialise_glorot, leaky_relu

MAXIMUM_LEVELS = 8
"""Above, the smallest input (2 ** 8 voxels a side) exceeds any memory."""


class UNet(nn.Module):
    """Estimates the displacement of every voxel (Eppenhof 2020, section II-A, after Çiçek 2016).

    In: (n, 2, z, y, x), channel 0 the fixed and channel 1 the moving image, sides a multiple of 2 ** (``levels`` - 1).
    Out: (n, 3, z, y, x), components in x, y, z order, in **voxels of the input grid**.

    ``base`` is the number of channels of the first convolution; 16 is the paper's. Levels are numbered as in the paper:
    0 is the bottom (8 x 8 x 8 for images of 128 voxels), ``levels`` - 1 the top. Convolutions are padded with zeros;
    the number of channels doubles in the second convolution of an encoder level.

    Raises :class:`~DeepRegLib.errors.BadInput` for other shapes, ``ValueError`` for arguments that make no network.

    >>> sum(parameter.numel() for parameter in UNet(base=4).parameters())
    1205423
    """

    def __init__(self, base: int = 16, levels: int = 5, norm: str = "running_bn") -> None:
        super().__init__()
        if base < 1 or not 1 <= levels <= MAXIMUM_LEVELS:
            raise ValueError(f"A U-Net has 1 to {MAXIMUM_LEVELS} levels and at least one channel.")
        self.levels = levels
        self.widths = [base * 2 ** (levels - level) for level in range(levels)]
        """Channels of the maps that leave each level, encoder and decoder alike."""
        self.encoders = nn.ModuleList()
        self.upsamplers = nn.ModuleList()
        self.decoders = nn.ModuleList()
        for level, width in enumerate(self.widths):
            entering = IMAGE_CHANNELS if level == levels - 1 else self.widths[level + 1]
            self.encoders.append(_two_convolutions(entering, width // 2, width, norm))
            if level > 0:
                below = self.widths[level - 1]
                self.upsamplers.append(nn.ConvTranspose3d(below, below, kernel_size=2, stride=2))
                self.decoders.append(_two_convolutions(below + width, width, width, norm))
        self.pool = nn.MaxPool3d(2)
        self.head = nn.Conv3d(self.widths[-1], COMPONENTS, kernel_size=1)
        initialise_glorot(self)

    @property
    def stride(self) -> int:
        """Voxels of the input along one side of a voxel of the bottom level; divides the sides of an input."""
        return 2 ** (self.levels - 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        check_images(images, self.stride)
        maps = self.encoders[-1](images)
        skips = [maps]
        for level in reversed(range(self.levels - 1)):
            maps = self.encoders[level](self.pool(maps))
            skips.append(maps)
        skips.pop()
        for level in range(1, self.levels):
            maps = self.decode(level, maps, skips.pop())
        return self.head(maps)

    def decode(self, level: int, below: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        """The decoder maps of ``level`` (1 or above) from those of the level below and the encoder's of this level."""
        return self.decoders[level - 1](torch.cat([self.upsamplers[level - 1](below), skip], dim=1))


def _two_convolutions(entering: int, between: int, leaving: int, norm: str) -> nn.Sequential:
    return nn.Sequential(
        *convolution_block(entering, between, norm, leaky_relu()),
        *convolution_block(between, leaving, norm, leaky_relu()),
    )
