"""Removes folds from a field by smoothing it where it folds, and nowhere else."""

from __future__ import annotations

import torch

from .frame_grid import FrameGrid
from .lattice import Lattice
from .problem import Problem
from .separable import apply

SMALLEST_DETERMINANT = 0.05
"""Relative volume at which a place counts as folding: none, with some room for interpolation."""
ROUNDS = 12
FIRST_SIGMA = 1.0
"""Smoothing of the first round, in lattice spacings; it grows from round to round."""
SPREAD = 1.5
"""How far around a fold the field is smoothed, in lattice spacings."""


def repair_folds(lattice: Lattice, problem: Problem, spacing: float) -> tuple[Lattice, float]:
    """The field without folds in and around the region, and the share (0 to 1) of samples that had to be mended.

    The Jacobian determinant is looked at on a grid of ``spacing`` mm. The share is that of the first look.
    """
    grid = problem.box.covering(spacing)
    near = problem.region_on(grid) > 0
    first_share = 0.0
    for turn in range(ROUNDS):
        folded = (relative_volume(lattice, problem, grid) < SMALLEST_DETERMINANT) & near
        count = int(folded.sum())
        if turn == 0:
            first_share = count / max(int(near.sum()), 1)
        if count == 0:
            break
        lattice = _smoothed_at(lattice, grid, folded, FIRST_SIGMA * (1 + turn / 3))
    return lattice, first_share


def relative_volume(lattice: Lattice, problem: Problem, grid: FrameGrid) -> torch.Tensor:
    """det(I + A^-1 du/ds) at every sample of a grid, (z, y, x): 1 keeps the volume, 0 or less folds.

    Central differences of the field as it will be written, one-sided at the ends.
    """
    u = lattice.on(grid)
    a = torch.as_tensor(problem.affine[0], dtype=torch.float32, device=u.device)
    d = torch.einsum("ij,jzyx->izyx", torch.linalg.inv(a), u)
    columns = [_derivative(d, 3 - k, grid.spacing[k]) for k in range(3)]
    x, y, z = columns
    x[0] += 1
    y[1] += 1
    z[2] += 1
    return (x * torch.linalg.cross(y, z, dim=0)).sum(0)


def _derivative(field: torch.Tensor, axis: int, spacing: float) -> torch.Tensor:
    if field.shape[axis] == 1:
        return torch.zeros_like(field)
    return torch.gradient(field, spacing=spacing, dim=axis)[0]


def _smoothed_at(lattice: Lattice, grid: FrameGrid, folded: torch.Tensor, sigma: float) -> Lattice:
    device, unit = folded.device, lattice.grid.spacing[0]
    spread = apply(grid.averages_to(lattice.grid, SPREAD * unit / 2, device), folded.float())
    weight = (spread * 20).clamp_(0, 1)
    smooth = apply(lattice.grid.blur(sigma * unit, device), lattice.coefficients)
    return Lattice(torch.lerp(lattice.coefficients, smooth, weight), lattice.grid)
