"""The geometry of a pair of the preset ``eppenhof2020``: T1 places the pair, T2 = T21 o T22 is learned.

Coordinates are relative, as in gryds: voxel i of N has p = i / N, the control points lie evenly from p = 0 to p = 1,
one voxel beyond the last. Beyond them displacements go on as in a mirror.
"""

from __future__ import annotations

import numpy as np
import torch
from DeepRegLib.refinement.separable import apply
from torch import Tensor

from .deformation import Deformation, View
from .draws import Draws, redrawn_until
from .settings import SplineMotion
from .splines import spline_operator
from .working_grid import WorkingGrid, jacobian_determinant, sample_at, vector, voxel_indices

PAPER_VOXELS = 128
"""Voxels along each axis of the grid that Table I is for."""
CHECKED_VOXELS = 64
"""Folds are looked for on a grid of about this size: the finest control points of the paper are eight of them apart."""

Reach = tuple[float, float, float]


class SplineDisplacement:
    """One random B-spline on the relative coordinates of a grid: control values uniform within ``reach`` (x, y, z;
    voxels of 128)."""

    def __init__(
        self, grid: WorkingGrid, count: int, reach: Reach, interpolating: bool, rng: np.random.Generator
    ) -> None:
        limits = np.array(reach) * np.array(grid.size) / PAPER_VOXELS
        drawn = rng.uniform(-1.0, 1.0, (1, 3, count, count, count)) * limits.reshape(1, 3, 1, 1, 1)
        self.control = torch.as_tensor(drawn.astype(np.float32), device=grid.device)
        # One sample more than voxels, up to p = 1, so that the mirror is where that of the control points is.
        positions = [np.arange(n + 1) / n * (count - 1) for n in grid.size]
        operator = spline_operator(positions, (count,) * 3, interpolating, grid.device)
        self.dense = apply(operator, self.control)

    def on_voxels(self) -> Tensor:
        """Displacements (1, 3, z, y, x) in voxels at the voxels themselves."""
        return self.dense[:, :, :-1, :-1, :-1]

    def at(self, index: Tensor) -> Tensor:
        """Displacements at continuous voxel indices (1, 3, z, y, x)."""
        return sample_at(self.dense, index, padding="reflection")


def spline_deformation(grid: WorkingGrid, motion: SplineMotion, draws: Draws, view: View) -> Deformation:
    """T2 on ``grid`` (mm of the anatomy), and where both images look: moving at T1(y), fixed at T1(T2(x))."""
    index = voxel_indices(grid.shape, grid.device)

    def spline(count: int, reach: Reach) -> SplineDisplacement:
        return SplineDisplacement(grid, count, reach, motion.interpolating, draws.rng)

    def draw() -> Tensor:
        coarse, fine = spline(motion.coarse_nodes, motion.coarse_reach), spline(motion.fine_nodes, motion.fine_reach)
        first = fine.on_voxels()
        return first + coarse.at(index + first)

    learned = redrawn_until(draw, _smallest_jacobian, motion.smallest_jacobian, draws)
    placing = spline(motion.placing_nodes, motion.placing_reach)
    moved = index + learned
    moving, fixed = index + placing.on_voxels(), moved + placing.at(moved)
    first, spacing = vector(grid.first_mm, index), vector(grid.spacing, index)
    return Deformation(
        grid, learned, first + moving * spacing, first + fixed * spacing, view, weight_by_moving_view=True
    )


def _smallest_jacobian(displacement: Tensor) -> float:
    step = max(1, round(displacement.shape[-1] / CHECKED_VOXELS))
    return float(jacobian_determinant(displacement[:, :, ::step, ::step, ::step] / step).amin())
