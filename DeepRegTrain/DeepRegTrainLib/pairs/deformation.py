"""The geometry of one pair, before there are any grey values."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from .working_grid import WorkingGrid

View = tuple[float, float] | None


@dataclass(frozen=True)
class Deformation:
    """Where in the anatomy the voxels of both images lie, and the exact map between the images.

    ``moving_points`` and ``fixed_points`` (1, 3, z, y, x) are in mm of the anatomy: moving(y) = I(moving_points(y)),
    and fixed_points(x) = moving_points(T(x)) with T(x) = x + ``displacement`` (1, 3, z, y, x; voxels of ``grid``).
    ``view_x_mm`` are the limits of what both scanners see from right to left, in mm of the grid; None for no limit.
    ``volume_change`` (1, 1, z, y, x) is the volume that tissue of the fixed image takes in the moving one, relative;
    None where it has no meaning for grey values.
    """

    grid: WorkingGrid
    displacement: Tensor
    moving_points: Tensor
    fixed_points: Tensor
    view_x_mm: View = None
    volume_change: Tensor | None = None
    weight_by_moving_view: bool = False
    """Eppenhof 2020 weighs the loss with the field of view at T1(x), that of the moving image; else both count."""
