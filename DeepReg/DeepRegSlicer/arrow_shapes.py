"""Arrows as meshes: solid ones for 3-D views, flat ones for slice views. RAS mm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import vtk
from vtk.util.numpy_support import numpy_to_vtk, numpy_to_vtkIdTypeArray

HEAD_SHARE = 0.014
"""Length of an arrow head over the longest side of the image: 4 mm for a chest."""
HEAD_OF_ARROW = 0.5
"""A head takes no more than this share of its arrow."""
HEAD_WIDTH = 0.7
"""Width of a head over its length."""
SHAFT_WIDTH = 0.2
"""Width of the shaft over the length of a full head."""
OUTLIER_FACTOR = 1.8
"""Outliers are drawn this much thicker."""
TUBE_SIDES = 10

SCALARS = "error (mm)"
"""Name of the point data that the arrows are coloured by."""
_RADIUS = "radius (mm)"


@dataclass(frozen=True, eq=False)
class Arrows:
    """``starts`` and ``ends`` (n, 3) in RAS mm, ``errors_mm`` (n,), ``outliers`` (n,) bool, and the length of the
    longest side of the image in mm, which everything is sized by."""

    starts: np.ndarray
    ends: np.ndarray
    errors_mm: np.ndarray
    outliers: np.ndarray
    image_mm: float

    def __len__(self) -> int:
        return len(self.ends)

    @property
    def full_head_mm(self) -> np.ndarray:
        """Length of the head (n, 1) that each arrow has if it is long enough."""
        return HEAD_SHARE * self.image_mm * np.where(self.outliers, OUTLIER_FACTOR, 1.0)[:, None]

    def chosen(self, which: np.ndarray) -> Arrows:
        """Some of the arrows: ``which`` (n,) is bool."""
        return Arrows(self.starts[which], self.ends[which], self.errors_mm[which], self.outliers[which], self.image_mm)


def flat_arrows(arrows: Arrows, normal: np.ndarray) -> vtk.vtkPolyData:
    """Arrows in planes across ``normal`` (unit vector), a shaft and a triangle each. What an arrow does along the
    normal is left out, so that one that stands upright on the plane is not seen."""
    along = arrows.ends - arrows.starts
    along = along - np.outer(along @ normal, normal)
    length, direction = _lengths(along)
    side = np.cross(normal, direction)
    head = np.minimum(arrows.full_head_mm, HEAD_OF_ARROW * length)
    half_head, half_shaft = (0.5 * width * side for width in (HEAD_WIDTH * head, SHAFT_WIDTH * arrows.full_head_mm))
    half_shaft = np.where(length > 0, half_shaft, 0.0)
    tip, tail = arrows.ends, arrows.ends - along
    neck = tip - head * direction
    corners = (
        *(tip, neck + half_head, neck - half_head),
        *(neck + half_shaft, neck - half_shaft, tail - half_shaft),
        *(neck + half_shaft, tail - half_shaft, tail + half_shaft),
    )
    result = vtk.vtkPolyData()
    result.SetPoints(_vtk_points(np.stack(corners, axis=1).reshape(-1, 3)))
    result.SetPolys(_cells(len(arrows) * len(corners), 3))
    return _with_scalars(result, SCALARS, np.repeat(arrows.errors_mm, len(corners)))


def solid_arrows(arrows: Arrows) -> vtk.vtkPolyData:
    """Tubes with cones on them, of the same sizes as the flat ones."""
    along = arrows.ends - arrows.starts
    length, direction = _lengths(along)
    head = np.minimum(arrows.full_head_mm, HEAD_OF_ARROW * length)
    both = vtk.vtkAppendPolyData()
    both.AddInputData(_tubes(arrows, arrows.ends - head * direction))
    both.AddInputData(_cones(arrows, direction, head))
    both.Update()
    result = both.GetOutput()
    result.GetPointData().SetActiveScalars(SCALARS)
    return result


def _tubes(arrows: Arrows, necks: np.ndarray) -> vtk.vtkPolyData:
    lines = vtk.vtkPolyData()
    lines.SetPoints(_vtk_points(np.stack([arrows.starts, necks], axis=1).reshape(-1, 3)))
    lines.SetLines(_cells(2 * len(arrows), 2))
    _with_scalars(lines, SCALARS, np.repeat(arrows.errors_mm, 2))
    _with_scalars(lines, _RADIUS, np.repeat(0.5 * SHAFT_WIDTH * arrows.full_head_mm[:, 0], 2))
    tubes = vtk.vtkTubeFilter()
    tubes.SetInputData(lines)
    tubes.SetVaryRadiusToVaryRadiusByAbsoluteScalar()  # the scalars that were set last
    tubes.SetNumberOfSides(TUBE_SIDES)
    tubes.CappingOn()
    tubes.Update()
    return tubes.GetOutput()


def _cones(arrows: Arrows, direction: np.ndarray, head: np.ndarray) -> vtk.vtkPolyData:
    tips = vtk.vtkPolyData()
    tips.SetPoints(_vtk_points(arrows.ends))
    _with_scalars(tips, SCALARS, arrows.errors_mm)
    vectors = numpy_to_vtk(np.ascontiguousarray(direction * head), deep=True)
    vectors.SetName("head")
    tips.GetPointData().SetVectors(vectors)
    cone = vtk.vtkConeSource()
    cone.SetCenter(-0.5, 0.0, 0.0)  # the tip at the origin
    cone.SetRadius(0.5 * HEAD_WIDTH)
    cone.SetResolution(TUBE_SIDES)
    cones = vtk.vtkGlyph3D()
    cones.SetSourceConnection(cone.GetOutputPort())
    cones.SetInputData(tips)
    cones.SetVectorModeToUseVector()
    cones.SetScaleModeToScaleByVector()
    cones.SetColorModeToColorByScalar()  # else the errors would be lost
    cones.Update()
    return cones.GetOutput()


def _lengths(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lengths (n, 1) and unit vectors (n, 3); a vector without length has no direction."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return length, np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0)


def _vtk_points(points: np.ndarray) -> vtk.vtkPoints:
    result = vtk.vtkPoints()
    result.SetData(numpy_to_vtk(np.ascontiguousarray(points, np.float32), deep=True))
    return result


def _cells(points: int, size: int) -> vtk.vtkCellArray:
    """Cells of ``size`` consecutive points each."""
    result = vtk.vtkCellArray()
    result.SetData(size, numpy_to_vtkIdTypeArray(np.arange(points, dtype=np.int64), deep=True))
    return result


def _with_scalars(mesh: vtk.vtkPolyData, name: str, values: np.ndarray) -> vtk.vtkPolyData:
    array = numpy_to_vtk(np.ascontiguousarray(values, np.float32), deep=True)
    array.SetName(name)
    mesh.GetPointData().AddArray(array)
    mesh.GetPointData().SetActiveScalars(name)
    return mesh
