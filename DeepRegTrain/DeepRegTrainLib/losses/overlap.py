"""How little two sets of labels overlap, for training with labels instead of displacements."""

from __future__ import annotations

from torch import Tensor

EMPTY = 1e-3
"""Voxels: labels that neither image shows count as matched."""


def dice_loss(fixed: Tensor, warped: Tensor, weight: Tensor) -> Tensor:
    """1 - the mean Dice coefficient of the labels: 2 sum(a b) / (sum a^2 + sum b^2) per channel, both (1, labels, z, y,
    x) with shares from 0 to 1; ``weight`` (1, 1, z, y, x) says where they count."""
    both = (fixed * warped * weight).sum((0, 2, 3, 4))
    each = ((fixed.square() + warped.square()) * weight).sum((0, 2, 3, 4))
    return (1 - (2 * both + EMPTY) / (each + EMPTY)).mean()
