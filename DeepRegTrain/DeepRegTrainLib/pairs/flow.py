"""Where points are after they have followed a stationary velocity: a map that does not fold."""

from __future__ import annotations

import math

from torch import Tensor

from .working_grid import sample_at, voxel_indices

FIRST_STEP_VOXELS = 0.5
"""Squaring starts from steps this short: the straight first step is then off by less than a hundredth of a voxel where
the velocity varies over some voxels."""


def flow(velocity: Tensor) -> Tensor:
    """Displacement (1, 3, z, y, x) in voxels after unit time in ``velocity`` (1, 3, z, y, x), voxels of its own grid.

    Scaling and squaring (Arsigny et al., MICCAI 2006): a short step is composed with itself again and again. Beyond the
    grid the displacement of its border holds.
    """
    largest = float(velocity.abs().amax())
    squarings = max(0, math.ceil(math.log2(largest / FIRST_STEP_VOXELS))) if largest > 0 else 0
    where = voxel_indices(velocity.shape[2:], velocity.device)
    step = velocity / 2**squarings
    # Midpoint rule: the first step follows the velocity half way along it.
    displacement = step * 1.0 if squarings == 0 and largest == 0 else sample_at(step, where + 0.5 * step)
    for _ in range(squarings):
        displacement = displacement + sample_at(displacement, where + displacement)
    return displacement
