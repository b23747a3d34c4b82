"""From the name of an architecture to the network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from ..errors import ModelProblem
from ..networks.correspondence import CorrespondenceNetwork
from ..networks.progressive_unet import ProgressiveUNet
from ..networks.unet import UNet
from ..networks.vgg_grid import VGGGrid

ARCHITECTURES: dict[str, Callable[..., nn.Module]] = {
    "correspondence": CorrespondenceNetwork,
    "progressive_unet": ProgressiveUNet,
    "unet": UNet,
    "vgg_grid": VGGGrid,
}
"""A new network is one more line; its arguments are what JSON can say."""


def build_network(architecture: str, arguments: dict[str, Any] | None = None) -> nn.Module:
    """A new network with random weights, on PyTorch's current default device.

    Raises :class:`ModelProblem` for an unknown name and for arguments that the network does not take.

    >>> build_network("unet", {"base": 4, "levels": 3}).levels
    3
    """
    if architecture not in ARCHITECTURES:
        raise ModelProblem(f"There is no network '{architecture}'. Available: {', '.join(sorted(ARCHITECTURES))}.")
    try:
        return ARCHITECTURES[architecture](**(arguments or {}))
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise ModelProblem(f"The network '{architecture}' cannot be built with {arguments}: {error}") from error
