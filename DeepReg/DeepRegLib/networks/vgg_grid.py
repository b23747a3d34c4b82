"""The VGG-like network of Eppenhof 2018: two images in, the displacements of a coarse grid out."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from .layers import COMPONENTS, IMAGE_CHANNELS, check_images, convolution_block, initialise_glorot

PAPER_CHANNELS = (32, 64, 128, 256)
"""Four convolutions, since 96 voxels become 6 nodes and each convolution is followed by a pooling. The paper gives the
channels in a figure only; these double as VGG's do."""


class VGGGrid(nn.Module):
    """Estimates the displacements at the nodes of a thin-plate spline grid (Eppenhof 2018, section 2.2).

    In: (n, 2, z, y, x), channel 0 the fixed and channel 1 the moving image, sides a multiple of 2 ** number of
    channels (16). Out: (n, 3, z / 16, y / 16, x / 16), components in x, y, z order, in **voxels of the input grid**:
    2 x 96 x 96 x 96 gives 3 x 6 x 6 x 6. The nodes cover the whole image, corners included. Fully convolutional.

    Raises :class:`~DeepRegLib.errors.BadInput` for other shapes, ``ValueError`` for arguments that make no network.

    >>> sum(parameter.numel() for parameter in VGGGrid().parameters())
    1165155
    """

    def __init__(self, channels: Sequence[int] = PAPER_CHANNELS, norm: str = "running_bn") -> None:
        super().__init__()
        if not channels or min(channels) < 1:
            raise ValueError(f"The network needs at least one convolution with at least one channel, not {channels}.")
        layers: list[nn.Module] = []
        for before, after in zip((IMAGE_CHANNELS, *channels), channels, strict=False):
            layers += convolution_block(before, after, norm, nn.ReLU(inplace=True))
            layers.append(nn.MaxPool3d(2))
        self.features = nn.Sequential(*layers)
        self.head = nn.Conv3d(channels[-1], COMPONENTS, kernel_size=1)
        self.stride = 2 ** len(channels)
        initialise_glorot(self)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        check_images(images, self.stride)
        return self.head(self.features(images))
