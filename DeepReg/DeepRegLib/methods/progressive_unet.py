"""A U-Net that gives the displacement of every voxel of its working grid, trained progressively or not: K. A. J.
Eppenhof et al., "Progressively trained convolutional neural networks for deformable image registration", IEEE
Transactions on Medical Imaging 39, 2020, 1594."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..transforms.displacement_field import DisplacementField
from .interface import register_network_kind
from .network_method import SinglePass

if TYPE_CHECKING:
    from torch import nn


def finished(network: nn.Module) -> nn.Module:
    """The baseline inside a progressive network: with the top level alone, as training ends, both compute the same
    (section II-C); a baseline is itself."""
    from ..networks.progressive_unet import ProgressiveUNet

    return network.unet if isinstance(network, ProgressiveUNet) else network


PROGRESSIVE_UNET = SinglePass(
    name="progressive-unet",
    description="U-Net that gives the displacement of every voxel (Eppenhof 2020).",
    architectures=("unet", "progressive_unet"),
    preprocessing="gradient magnitude",
    to_field=DisplacementField,
    inferring=finished,
)
register_network_kind(PROGRESSIVE_UNET.kind())
