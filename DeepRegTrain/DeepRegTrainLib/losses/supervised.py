"""Losses for known displacements: how far the estimate is from the truth where it counts.

``estimate`` and ``truth`` are (n, 3, z, y, x) in one unit, ``weight`` is (n, 1, z, y, x). Each is a mean over the
weighted voxels, so that crops and masks of all sizes weigh the same; where nothing counts it is 0.
"""

from __future__ import annotations

from torch import Tensor

CHARBONNIER_WIDTH = 0.2
"""Errors below it are squared, errors above count as they are: a tenth of a voxel, in mm, is as good as hit."""
NOTHING = 1e-6
"""A sum of weights below it means that nothing counts."""


def masked_l2(estimate: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """sum M |u - v|^2 / sum M: the squared length of the error, summed over the components (Eppenhof 2020, Eq. 4, and
    with M = 1 the loss of Eppenhof 2018). PyTorch's ``mse_loss`` is a third of it."""
    return weighted_mean((estimate - truth).square().sum(1, keepdim=True), weight)


def masked_l1(estimate: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """sum M |u - v|_1 / sum M: the absolute error, summed over the components (Eppenhof and Pluim 2019)."""
    return weighted_mean((estimate - truth).abs().sum(1, keepdim=True), weight)


def charbonnier(estimate: Tensor, truth: Tensor, weight: Tensor, width: float = CHARBONNIER_WIDTH) -> Tensor:
    """sum M sqrt(|u - v|^2 + width^2) / sum M: the length of the error, rounded off at zero."""
    square = (estimate - truth).square().sum(1, keepdim=True)
    return weighted_mean((square + width**2).sqrt(), weight)


def endpoint_error(estimate: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """sum M |u - v| / sum M: the mean distance between where a voxel goes and where it should go. To be looked at, not
    to be trained with: its slope at zero is undefined."""
    return weighted_mean((estimate - truth).square().sum(1, keepdim=True).sqrt(), weight)


def weighted_mean(values: Tensor, weight: Tensor) -> Tensor:
    """The mean of ``values`` (n, 1, z, y, x) with ``weight`` of the same shape; 0 where all weights are 0."""
    return (values * weight).sum() / weight.sum().clamp_min(NOTHING)


LOSSES = {"l2": masked_l2, "l1": masked_l1, "charbonnier": charbonnier}
"""By the name that the settings use."""
