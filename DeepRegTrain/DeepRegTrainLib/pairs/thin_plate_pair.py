"""The geometry of a pair of the preset ``eppenhof2018``: a thin-plate spline on nodes, and an affine offset.

Points are in voxels from the middle of the grid until the last step.
"""

from __future__ import annotations

import numpy as np
import torch
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.transforms.thin_plate_spline import ThinPlateSpline, ThinPlateSplineNodes
from torch import Tensor

from .deformation import Deformation, View
from .draws import Draws, redrawn_until
from .settings import ThinPlateMotion
from .splines import upsampled
from .working_grid import WorkingGrid, jacobian_determinant, linear_map, vector

PAPER_VOXELS = 96
"""Voxels along each axis of the grid that the ranges of the paper are for."""
STEPS_BETWEEN_NODES = 6
"""The spline is evaluated on a lattice with so many steps from node to node, and brought to the voxels by cubic
splines: right at the nodes, off by 0.001 voxels of 96 on average, and by at most 0.15 beside a node, where the kernel
is sharp."""
LATTICE_MARGIN = 4
"""Lattice points beyond the grid on each side, where the mirror of the cubic spline is no longer felt."""


def thin_plate_deformation(grid: WorkingGrid, motion: ThinPlateMotion, draws: Draws, view: View) -> Deformation:
    """T on ``grid`` (mm of the anatomy), and where both images look: offset(y), and offset(T(x)) or, in the order of
    the paper, T(offset(x))."""
    voxels = WorkingGrid(grid.size, (1.0, 1.0, 1.0), grid.device)
    scale = np.array(grid.size) / PAPER_VOXELS
    matrix = np.eye(3) + draws.normals("offset_matrix", motion.offset_sd, 9).reshape(3, 3)
    shift = scale * draws.normals("offset_shift", motion.offset_sd)
    nodes = ThinPlateSplineNodes.covering(Geometry(grid.size, origin=tuple(voxels.first_mm)), motion.nodes)
    lattice = _lattice(voxels, motion.nodes)
    lattice_points = lattice.points()

    def draw() -> tuple[ThinPlateSpline, Tensor]:
        drawn = [draws.rng.uniform(r.low, r.high, motion.nodes**3) for r in (motion.x, motion.y, motion.z)]
        spline = nodes.spline(scale * np.stack(drawn, 1))
        return spline, upsampled(displacements(spline, lattice_points), lattice, voxels)

    spline, learned = redrawn_until(
        draw, lambda made: float(jacobian_determinant(made[1]).amin()), motion.smallest_jacobian, draws
    )
    points = voxels.points()
    moving = linear_map(matrix, points) + vector(shift, points)
    if motion.paper_order:
        offset = linear_map(matrix, lattice_points) + vector(shift, points)
        fixed = moving + upsampled(displacements(spline, offset), lattice, voxels)
    else:
        fixed = linear_map(matrix, points + learned) + vector(shift, points)
    spacing, centre = vector(grid.spacing, points), vector(grid.centre, points)
    return Deformation(grid, learned, moving * spacing + centre, fixed * spacing + centre, view)


def displacements(spline: ThinPlateSpline, points: Tensor) -> Tensor:
    """The spline at ``points`` (1, 3, z, y, x), in the units of its nodes."""

    def on_device(array: np.ndarray) -> Tensor:
        return torch.as_tensor(array.astype(np.float32), device=points.device)

    rows = points.reshape(3, -1).T.contiguous()
    values = torch.cdist(rows, on_device(spline.nodes)) @ on_device(spline.weights)
    values = values + rows @ on_device(spline.matrix).T + on_device(spline.translation)
    return values.T.reshape(points.shape)


def _lattice(voxels: WorkingGrid, nodes: int) -> WorkingGrid:
    step = (np.array(voxels.size) - 1) / ((nodes - 1) * STEPS_BETWEEN_NODES)
    reach = -voxels.first_mm + LATTICE_MARGIN * step
    return WorkingGrid.covering(-reach, reach, tuple(step), voxels.device)
