"""The progressive U-Net of Eppenhof 2020: the baseline with an input and an output for every level, for training."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from .layers import COMPONENTS, IMAGE_CHANNELS, check_images, initialise_glorot
from .progressive_schedule import beta_weights
from .unet import UNet

SUM_TOLERANCE = 1e-6
"""Rounding allowed in the sum of the weights α."""


class ProgressiveUNet(nn.Module):
    """Estimates the displacement of every voxel as the sum of the fields of its levels, weighted by α (Eppenhof 2020,
    sections II-B and II-C). In and out as :class:`UNet`: (n, 2, z, y, x) to (n, 3, z, y, x), in **voxels of the input
    grid** at every level.

    ``unet`` is the baseline network itself: once the top level is alone (α = 0, ..., 0, 1) this network computes
    exactly what ``unet`` does, and ``unet`` is what is kept after training. Each lower level has an *input convolution*
    (two images to the maps that enter the level) and an *output convolution* (decoder maps to a field), linear and with
    bias; their kernel is not stated in the paper, ``extra_kernel`` = 1 follows the networks it takes the idea from.

    With the same seed the weights of ``unet`` start as those of ``UNet``.

    >>> sum(parameter.numel() for parameter in ProgressiveUNet(base=4).parameters())
    1206515
    """

    def __init__(self, base: int = 16, levels: int = 5, norm: str = "running_bn", extra_kernel: int = 1) -> None:
        super().__init__()
        if extra_kernel % 2 == 0:
            raise ValueError(f"The extra convolutions need an odd kernel, not {extra_kernel}.")
        self.unet = UNet(base, levels, norm)
        lower, above = self.unet.widths[:-1], self.unet.widths[1:]
        padding = extra_kernel // 2
        self.input_convolutions = nn.ModuleList(
            nn.Conv3d(IMAGE_CHANNELS, width, extra_kernel, padding=padding) for width in above
        )
        self.output_convolutions = nn.ModuleList(
            nn.Conv3d(width, COMPONENTS, extra_kernel, padding=padding) for width in lower
        )
        initialise_glorot(self.input_convolutions)
        initialise_glorot(self.output_convolutions)

    def forward(self, images: torch.Tensor, alphas: Sequence[float]) -> torch.Tensor:
        """The field on the grid of ``images`` for the weights ``alphas`` of the levels, bottom first (Eq. 1).

        Raises :class:`~DeepRegLib.errors.BadInput` for images of another shape, ``ValueError`` for weights that are
        negative, do not sum to one or are not one per level.
        """
        fields = self.level_fields(images, alphas)
        return _weighted_sum(fields, alphas, images.shape[2:])

    def at_active_level(self, images: torch.Tensor, alphas: Sequence[float]) -> torch.Tensor:
        """The same field on the grid of the highest level with a weight: where the training loss is cheapest. The
        values are still voxels of the grid of ``images``."""
        fields = self.level_fields(images, alphas)
        return _weighted_sum(fields, alphas, fields[max(fields)].shape[2:])

    def level_fields(self, images: torch.Tensor, alphas: Sequence[float]) -> dict[int, torch.Tensor]:
        """The unweighted field of each level whose weight is above zero, (n, 3, z, y, x) on the grid of that level.

        Levels above the highest of them are not evaluated: their weight is zero, and so is all they would pass down.
        """
        check_images(images, self.unet.stride)
        self._check_weights(alphas)
        active = [level for level, alpha in enumerate(alphas) if alpha > 0]
        skips = self._encode(images, alphas, top=active[-1])
        maps = skips.pop(0)
        fields = {}
        for level in range(active[-1] + 1):
            if level > 0:
                maps = self.unet.decode(level, maps, skips.pop(level))
            if level in active:
                fields[level] = self._output(level)(maps)
        return fields

    def _encode(self, images: torch.Tensor, alphas: Sequence[float], top: int) -> dict[int, torch.Tensor]:
        betas = beta_weights(alphas)
        maps = self.unet.encoders[top](self._input(images, top))
        skips = {top: maps}
        for level in reversed(range(top)):
            entering = self.unet.pool(maps)
            if betas[level] > 0:
                # γ carries the index of the receiving level: with α = (1, 0, ...) the bottom hears its own input alone.
                entering = betas[level] * self._input(images, level) + (1 - betas[level]) * entering
            maps = self.unet.encoders[level](entering)
            skips[level] = maps
        return skips

    def _input(self, images: torch.Tensor, level: int) -> torch.Tensor:
        """What enters the encoder of ``level`` from the images, averaged to the grid of the level."""
        if level == self.unet.levels - 1:
            return images
        factor = 2 ** (self.unet.levels - 1 - level)
        return self.input_convolutions[level](functional.avg_pool3d(images, factor))

    def _output(self, level: int) -> nn.Module:
        return self.unet.head if level == self.unet.levels - 1 else self.output_convolutions[level]

    def _check_weights(self, alphas: Sequence[float]) -> None:
        if len(alphas) != self.unet.levels or min(alphas) < 0 or abs(sum(alphas) - 1) > SUM_TOLERANCE:
            raise ValueError(f"The {self.unet.levels} levels need one weight each, summing to one, not {alphas}.")


def _weighted_sum(fields: dict[int, torch.Tensor], alphas: Sequence[float], size: torch.Size) -> torch.Tensor:
    """Sum of α u over the levels, each field brought to ``size`` (z, y, x); the vectors keep their values."""
    parts = []
    for level, field in fields.items():
        if field.shape[2:] != size:
            # Cell-aligned, as the average pooling of the images is.
            field = functional.interpolate(field, size=size, mode="trilinear", align_corners=False)
        parts.append(alphas[level] * field)
    return parts[0] if len(parts) == 1 else torch.stack(parts).sum(0)
