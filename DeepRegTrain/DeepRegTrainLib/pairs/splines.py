"""Cubic splines from small control grids to dense grids: three products with small matrices, on any device.

The matrices come from :mod:`DeepRegLib.transforms.bspline` (double precision, on the processor).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from DeepRegLib.refinement.separable import Operator, apply
from DeepRegLib.transforms.bspline import bspline_matrix, cubic_bspline
from torch import Tensor

from .working_grid import WorkingGrid

DENSE_SD = (151 / 315) ** 1.5
"""Standard deviation of a uniform cubic B-spline with independent coefficients of unit variance, over all of space: the
integral of the squared basis function is 151/315 along each axis."""


def spline_operator(
    positions: Sequence[np.ndarray], counts: Sequence[int], interpolating: bool, device: torch.device
) -> Operator:
    """Matrices (z, y, x) from control values to the spline at ``positions`` (x, y, z), in units of the control spacing
    from the first control point. Beyond the outermost control points the values go on as in a mirror."""
    matrices = []
    for where, count in zip(positions, counts, strict=True):
        matrix = bspline_matrix(where, count)
        if interpolating:
            matrix = matrix @ np.linalg.inv(bspline_matrix(np.arange(count), count))
        matrices.append(torch.as_tensor(matrix.astype(np.float32), device=device))
    return matrices[2], matrices[1], matrices[0]


def upsampled(values: Tensor, lattice: WorkingGrid, grid: WorkingGrid) -> Tensor:
    """``values`` (1, C, z, y, x) on ``lattice`` at the voxels of ``grid``, by the cubic spline through them."""
    return apply(operator_between(lattice, grid), values)


def operator_between(lattice: WorkingGrid, grid: WorkingGrid) -> Operator:
    """Matrices of the cubic spline through values on ``lattice``, at the voxels of ``grid``."""
    step = np.array(grid.spacing) / np.array(lattice.spacing)
    start = (grid.first_mm - lattice.first_mm) / np.array(lattice.spacing)
    positions = [start[k] + step[k] * np.arange(grid.size[k]) for k in range(3)]
    inside = [np.clip(p, 0, n - 1) for p, n in zip(positions, lattice.size, strict=True)]
    return spline_operator(inside, lattice.size, True, grid.device)


def random_field(
    grid: WorkingGrid, spacing_mm: float, sd: float, rng: np.random.Generator, channels: int = 3
) -> Tensor:
    """A smooth random field (1, channels, z, y, x) with standard deviation ``sd``: a uniform cubic B-spline with
    control points every ``spacing_mm``."""
    matrices = []
    for count, step in zip(grid.size, grid.spacing, strict=True):
        position = np.arange(count) * step / spacing_mm
        knots = np.arange(-1, np.ceil(position[-1]) + 2)
        weights = cubic_bspline(position[:, None] - knots)
        matrices.append(torch.as_tensor(weights.astype(np.float32), device=grid.device))
    operator = matrices[2], matrices[1], matrices[0]
    shape = (1, channels, *(m.shape[1] for m in operator))
    coefficients = (sd / DENSE_SD * rng.standard_normal(shape)).astype(np.float32)
    return apply(operator, torch.as_tensor(coefficients, device=grid.device))
