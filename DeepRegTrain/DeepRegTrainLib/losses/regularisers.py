"""What a field should be whatever the images say: smooth, and without folds. Displacements are in voxels."""

from __future__ import annotations

import torch
from torch import Tensor

from ..pairs.working_grid import jacobian_determinant
from .supervised import weighted_mean

SMALLEST_STRETCH = 0.25
"""Determinants below it are punished: breathing compresses lung to about 0.4, and 0 is a fold."""


def diffusion(field: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean over voxels and components of the squared slopes of ``field`` (1, 3, z, y, x), forward differences, summed
    over the three axes; with ``weight`` (1, 1, z, y, x) each step counts as the place where it starts."""
    total = field.new_zeros(())
    for axis in (2, 3, 4):
        squares = field.diff(dim=axis).square()
        total = total + (squares if weight is None else squares * weight.narrow(axis, 0, squares.shape[axis])).mean()
    return total


def fold_barrier(field: Tensor, region: Tensor, limit: float = SMALLEST_STRETCH) -> Tensor:
    """Mean of max(0, ``limit`` - det dT/dx) in ``region`` (1, 1, z, y, x) for T(x) = x + u(x), ``field`` (1, 3, z, y,
    x) in cells of its own grid: 0 where nothing is compressed below ``limit``."""
    return weighted_mean(torch.relu(limit - jacobian_determinant(field)), region)
