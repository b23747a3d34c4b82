"""The map T that a transform node holds, as a :class:`DisplacementField`."""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.transforms.displacement_field import DisplacementField
from DeepRegLib.transforms.lattice import slice_points

from .nodes import LPS_TO_RAS, to_ras
from .pacing import paced_steps
from .resampling import voxels_of
from .steps import Steps
from .transform_chain import array_of, map_points


def field_in_steps(node: slicer.vtkMRMLTransformNode, elsewhere: Geometry) -> Steps[DisplacementField]:
    """T(x) = x + u(x) of a transform node: its transform from parent. What the node hangs under itself is passed over.

    A displacement grid is copied as it is; any other transform (affine, spline, several in a row, the inverse of a
    grid) is sampled on the grid ``elsewhere``.
    """
    grid = _plain_grid(node)
    if grid is not None:
        return (yield from _copied_in_steps(grid))
    return (yield from _sampled_in_steps(node.GetTransformFromParent(), elsewhere))


def _plain_grid(node: slicer.vtkMRMLTransformNode) -> slicer.vtkOrientedGridTransform | None:
    """The displacement grid, when T is nothing else."""
    grid = node.GetTransformFromParentAs("vtkOrientedGridTransform", False)
    if grid is None or grid.GetInverseFlag():
        return None
    data = grid.GetDisplacementGrid()
    if data is None or data.GetNumberOfPoints() == 0:
        return None
    unscaled = grid.GetDisplacementScale() == 1.0 and grid.GetDisplacementShift() == 0.0
    return grid if unscaled else None


def _copied_in_steps(grid: slicer.vtkOrientedGridTransform) -> Steps[DisplacementField]:
    data = grid.GetDisplacementGrid()
    matrix = grid.GetGridDirectionMatrix()
    axes = np.eye(3) if matrix is None else array_of(matrix)[:3, :3]
    # The grid may start at another index than 0; VTK counts its origin from index 0.
    first = np.array(data.GetExtent()[::2]) * np.array(data.GetSpacing())
    geometry = Geometry(
        data.GetDimensions(),
        data.GetSpacing(),
        tuple(to_ras(np.array(data.GetOrigin()) + axes @ first)),
        tuple((LPS_TO_RAS[:, None] * axes).ravel()),
    )
    source = voxels_of(data)
    out = np.empty(source.shape, np.float32)
    signs = LPS_TO_RAS.astype(np.float32)

    def copy(start: int, stop: int) -> None:
        out[start:stop] = source[start:stop]
        out[start:stop] *= signs

    yield from paced_steps(copy, geometry.shape[0], 1)
    return DisplacementField(out, geometry)


def _sampled_in_steps(transform: vtk.vtkAbstractTransform, geometry: Geometry) -> Steps[DisplacementField]:
    out = np.empty((*geometry.shape, 3), np.float32)

    def sample(start: int, stop: int) -> None:
        for z in range(start, stop):
            points = to_ras(slice_points(geometry, z))
            out[z] = (map_points(transform, points) - points) * LPS_TO_RAS

    yield from paced_steps(sample, geometry.shape[0], 1)
    return DisplacementField(out, geometry)
