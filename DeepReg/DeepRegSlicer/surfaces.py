"""Surfaces and meshes through a transform, and the voxels inside a closed one, in steps."""

from __future__ import annotations

import numpy as np
import vtk
from DeepRegLib.images.geometry import Geometry
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from .nodes import ijk_to_ras
from .pacing import paced_steps
from .resampling import rows_in_steps, voxels_of
from .steps import Steps
from .transform_chain import chain, map_points

FIRST_POINTS = 500
"""Points in the first step: quick even through a transform that is inverted at every point."""


def moved_mesh_in_steps(mesh: vtk.vtkPointSet, transform: vtk.vtkAbstractTransform) -> Steps[vtk.vtkPointSet]:
    """A copy of the mesh with every point (RAS mm) mapped; normals of a surface are computed anew."""
    moved = mesh.NewInstance()
    moved.DeepCopy(mesh)
    if mesh.GetNumberOfPoints() == 0:
        return moved
    points = vtk.vtkPoints()
    points.SetData(numpy_to_vtk((yield from _mapped_in_steps(mesh, transform)), deep=True))
    moved.SetPoints(points)
    had_normals = mesh.GetPointData().GetNormals() is not None
    moved.GetPointData().SetNormals(None)
    moved.GetCellData().SetNormals(None)
    if had_normals and isinstance(moved, vtk.vtkPolyData):
        yield
        moved = _with_normals(moved)
    return moved


def _mapped_in_steps(mesh: vtk.vtkPointSet, transform: vtk.vtkAbstractTransform) -> Steps[np.ndarray]:
    points = vtk_to_numpy(mesh.GetPoints().GetData())
    mapped = np.empty_like(points)

    def map_part(start: int, stop: int) -> None:
        mapped[start:stop] = map_points(transform, points[start:stop])

    yield from paced_steps(map_part, len(points), FIRST_POINTS)
    return mapped


def _with_normals(surface: vtk.vtkPolyData) -> vtk.vtkPolyData:
    normals = vtk.vtkPolyDataNormals()
    normals.SetInputData(surface)
    normals.SplittingOff()  # points stay the same in number and order
    normals.ConsistencyOff()
    normals.Update()
    return normals.GetOutput()


def filled_in_steps(
    surface: vtk.vtkPolyData, to_world: vtk.vtkAbstractTransform, geometry: Geometry
) -> Steps[np.ndarray]:
    """Which voxel centres (z, y, x) of ``geometry`` lie inside a closed surface, as booleans; ``to_world`` brings the
    points of the surface to world RAS mm."""
    at_indices = chain(to_world, np.linalg.inv(ijk_to_ras(geometry)))
    bare = vtk.vtkPolyData()
    bare.CopyStructure(surface)
    placed = yield from moved_mesh_in_steps(bare, at_indices)
    inside = np.zeros(geometry.shape, bool)
    stencil, to_image = vtk.vtkPolyDataToImageStencil(), vtk.vtkImageStencilToImage()
    stencil.SetInputData(placed)
    stencil.SetOutputOrigin(0, 0, 0)
    stencil.SetOutputSpacing(1, 1, 1)
    to_image.SetInputConnection(stencil.GetOutputPort())
    to_image.SetOutputScalarTypeToUnsignedChar()

    def fill(z: slice, y: slice) -> None:
        stencil.SetOutputWholeExtent(0, geometry.size[0] - 1, y.start, y.stop - 1, z.start, z.stop - 1)
        to_image.Update()
        inside[z, y] = voxels_of(to_image.GetOutput())

    yield from rows_in_steps(fill, geometry)
    return inside
