"""What the networks share: normalisation by name, the convolution block, initial weights, the check of an input."""

from __future__ import annotations

import torch
from torch import nn

from ..errors import BadInput
from .running_batch_norm import RunningBatchNorm3d

IMAGE_CHANNELS = 2
"""Channel 0 is the fixed, channel 1 the moving image."""
COMPONENTS = 3
"""Channels of a field: displacements in x, y, z order."""
LEAKINESS = 1e-2
"""Slope of the leaky ReLU for negative values (Eppenhof 2020, section II-A)."""


def normalisation(name: str, channels: int) -> nn.Module:
    """A normalisation layer with learned scale and shift for (n, ``channels``, z, y, x).

    ``running_bn``: moving averages in training too (both Eppenhof papers); ``bn``: PyTorch's batch normalisation, which
    at batch size 1 trains on the statistics of the single sample; ``instance``: statistics of the sample, always.
    """
    if name == "running_bn":
        return RunningBatchNorm3d(channels)
    if name == "bn":
        return nn.BatchNorm3d(channels)
    if name == "instance":
        return nn.InstanceNorm3d(channels, affine=True)
    raise ValueError(f"There is no normalisation '{name}'; choose running_bn, bn or instance.")


def convolution_block(in_channels: int, out_channels: int, norm: str, activation: nn.Module) -> list[nn.Module]:
    """The layers of a 3 x 3 x 3 convolution that keeps the size, its normalisation and ``activation``.

    They come as a list so that a network holds them in one flat ``nn.Sequential``, where batch normalisation can be
    folded into the convolution before it.
    """
    return [
        nn.Conv3d(in_channels, out_channels, kernel_size=3, padding=1),
        normalisation(norm, out_channels),
        activation,
    ]


def leaky_relu() -> nn.Module:
    """The activation of the U-Nets. In place: it saves one map per convolution."""
    return nn.LeakyReLU(LEAKINESS, inplace=True)


def initialise_glorot(network: nn.Module) -> None:
    """Glorot's normal distribution for the weights of all convolutions, zero for their biases (Eppenhof 2020,
    section III), drawn from PyTorch's global generator: ``torch.manual_seed`` makes it repeatable."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv3d | nn.ConvTranspose3d):
            nn.init.xavier_normal_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def check_images(images: torch.Tensor, multiple: int) -> None:
    """Raises :class:`BadInput` unless ``images`` is (n, 2, z, y, x) with sides that ``multiple`` divides."""
    if images.ndim != 5 or images.shape[1] != IMAGE_CHANNELS:
        raise BadInput(
            f"The network takes tensors (n, {IMAGE_CHANNELS}, z, y, x): fixed and moving image as channels; "
            f"this one is {tuple(images.shape)}."
        )
    sides = tuple(images.shape[2:])
    if min(sides) < multiple or any(side % multiple for side in sides):
        raise BadInput(
            f"The network needs images whose sides are multiples of {multiple} voxels; "
            f"these are {' x '.join(str(side) for side in reversed(sides))}.",
            hint=f"Resample both images to a grid such as {multiple * 6} x {multiple * 6} x {multiple * 6} voxels.",
        )
