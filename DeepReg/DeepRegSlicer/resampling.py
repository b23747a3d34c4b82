"""Image data brought onto another grid, a few rows in a step."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import slicer
import vtk
from DeepRegLib.images.geometry import Geometry
from vtk.util.numpy_support import vtk_to_numpy

from .nodes import ijk_to_ras
from .pacing import paced_steps
from .steps import Steps
from .transform_chain import array_of, chain, simplest

FIRST_ROWS = 16
"""Rows of voxels in the first step: quick even through a transform that is inverted at every voxel."""
NEAREST, LINEAR = "nearest", "linear"


def lowest_in_steps(array: np.ndarray) -> Steps[float]:
    """The lowest of all voxels (z, y, x)."""
    lowest: list[float] = []
    yield from paced_steps(lambda start, stop: lowest.append(float(array[start:stop].min())), len(array), 1)
    return min(lowest)


def voxels_of(image: vtk.vtkImageData) -> np.ndarray:
    """The voxels (z, y, x), or (z, y, x, components), of image data: a view, no copy."""
    x, y, z = image.GetDimensions()
    scalars = image.GetPointData().GetScalars()
    components = scalars.GetNumberOfComponents()
    return vtk_to_numpy(scalars).reshape((z, y, x) if components == 1 else (z, y, x, components))


def resample_in_steps(
    image: vtk.vtkImageData,
    ras_to_ijk: list[object],
    geometry: Geometry,
    interpolation: str,
    outside: float,
) -> Steps[np.ndarray]:
    """The voxels (z, y, x) that ``image`` has on the grid ``geometry``, in the type of ``image``.

    ``ras_to_ijk`` are the steps (for :func:`~DeepRegSlicer.transform_chain.chain`) from RAS points in the space of the
    grid to continuous voxel indices of ``image``. ``interpolation`` is ``NEAREST`` or ``LINEAR``; voxels more than half
    a voxel outside ``image`` get ``outside``.
    """
    plain = _without_position(image)
    result = np.empty((*geometry.shape, *voxels_of(image).shape[3:]), voxels_of(image).dtype)
    reslice = vtk.vtkImageReslice()
    reslice.SetInputData(plain)
    reslice.SetResliceTransform(simplest(chain(ijk_to_ras(geometry), ras_to_ijk)))
    reslice.SetInterpolationMode(
        vtk.VTK_NEAREST_INTERPOLATION if interpolation == NEAREST else vtk.VTK_LINEAR_INTERPOLATION
    )
    reslice.SetBackgroundLevel(outside)
    reslice.TransformInputSamplingOff()
    reslice.SetOutputOrigin(0, 0, 0)
    reslice.SetOutputSpacing(1, 1, 1)

    def fill(z: slice, y: slice) -> None:
        reslice.SetOutputExtent(0, geometry.size[0] - 1, y.start, y.stop - 1, z.start, z.stop - 1)
        reslice.Update()
        result[z, y] = voxels_of(reslice.GetOutput())

    yield from rows_in_steps(fill, geometry)
    return result


def rows_in_steps(fill: Callable[[slice, slice], None], geometry: Geometry) -> Steps[None]:
    """Call ``fill(z, y)`` for parts that make up the whole grid: whole slices where they are quick, else rows."""
    height = geometry.size[1]

    def fill_rows(start: int, stop: int) -> None:
        for z, y in _boxes(start, stop, height):
            fill(z, y)

    yield from paced_steps(fill_rows, geometry.size[2] * height, FIRST_ROWS)


def _boxes(start: int, stop: int, height: int) -> Iterator[tuple[slice, slice]]:
    """Rows ``start`` to ``stop``, counted through all slices, as boxes: a part of a slice, whole slices, a part.

    >>> [(z.start, z.stop, y.start, y.stop) for z, y in _boxes(3, 9, 4)]
    [(0, 1, 3, 4), (1, 2, 0, 4), (2, 3, 0, 1)]
    """
    while start < stop:
        z, y = divmod(start, height)
        if y == 0 and stop - start >= height:
            slices = (stop - start) // height
            yield slice(z, z + slices), slice(0, height)
            start += slices * height
        else:
            rows = min(height - y, stop - start)
            yield slice(z, z + 1), slice(y, y + rows)
            start += rows


def _without_position(image: vtk.vtkImageData) -> vtk.vtkImageData:
    """The same voxels at their indices: oriented image data carries a position, which is the caller's business."""
    plain = vtk.vtkImageData()
    plain.SetExtent(image.GetExtent())
    plain.GetPointData().SetScalars(image.GetPointData().GetScalars())
    return plain


def ijk_to_local(node: slicer.vtkMRMLVolumeNode) -> np.ndarray:
    """4 x 4 matrix from the voxel indices of a volume node to its own RAS coordinates."""
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return array_of(matrix)
