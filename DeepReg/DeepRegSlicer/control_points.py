"""The control points of a thin-plate spline registration, to look at and to move by hand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import slicer
import vtk
from DeepRegLib.evidence.landmarks import Landmarks
from DeepRegLib.transforms.displacement_field import DisplacementField

from .nodes import add_landmarks, set_transform, to_ras
from .scene_changes import SceneChanges

SOURCE_COLOUR = (1.0, 0.75, 0.2)
TARGET_COLOUR = (0.3, 0.7, 1.0)
GLYPH_PERCENT = 1.0
"""Of the view: hundreds of points must leave the image to be seen."""


@dataclass(frozen=True)
class ControlPointNodes:
    """``transform`` is the spline that takes each of ``source`` (points of the fixed image) to the point of ``target``
    (in the moving image) with the same label."""

    transform: slicer.vtkMRMLTransformNode
    source: slicer.vtkMRMLMarkupsFiducialNode
    target: slicer.vtkMRMLMarkupsFiducialNode


def add_control_points(
    scene: slicer.vtkMRMLScene, control: DisplacementField, name: str, folder: int | None = None
) -> ControlPointNodes:
    """Add the spline through ``control``, the displacements from fixed to moving points (pre-alignment included) at its
    nodes, and both ends of each displacement as point lists; all in a subject hierarchy ``folder``, by default a new
    one.

    The transform is set *from parent*, as that of the whole registration; it is the answer of the network before the
    refinement. VTK solves it in one go, a tenth of a second. Its kernel is |x|, as in
    :class:`~DeepRegLib.transforms.thin_plate_spline.ThinPlateSpline`.
    """
    source = control.geometry.points().reshape(-1, 3)
    target = source + control.array.reshape(-1, 3)
    with SceneChanges(scene) as changes:
        transform = changes.new_node("vtkMRMLTransformNode", f"{name} thin-plate spline")
        set_transform(transform, _spline(source, target))
        lists = [
            changes.adopt(_add_points(scene, points, f"{name} control points {side}", colour))
            for points, side, colour in ((source, "fixed", SOURCE_COLOUR), (target, "moving", TARGET_COLOUR))
        ]
        if folder is None:
            changes.put_into_folder([transform, *lists], f"{name} control points")
        else:
            for node in (transform, *lists):
                changes.put_into(folder, node)
    return ControlPointNodes(transform, *lists)


def _spline(source: np.ndarray, target: np.ndarray) -> vtk.vtkThinPlateSplineTransform:
    spline = vtk.vtkThinPlateSplineTransform()
    spline.SetBasisToR()
    spline.SetSourceLandmarks(_vtk_points(source))
    spline.SetTargetLandmarks(_vtk_points(target))
    return spline


def _vtk_points(points: np.ndarray) -> vtk.vtkPoints:
    result = vtk.vtkPoints()
    result.SetDataTypeToDouble()
    for point in to_ras(points):
        result.InsertNextPoint(*point)
    return result


def _add_points(
    scene: slicer.vtkMRMLScene, points: np.ndarray, name: str, colour: tuple[float, float, float]
) -> slicer.vtkMRMLMarkupsFiducialNode:
    node = add_landmarks(scene, Landmarks(points), scene.GenerateUniqueName(name), colour)
    display = node.GetDisplayNode()
    display.SetPointLabelsVisibility(False)
    display.SetGlyphScale(GLYPH_PERCENT)
    return node
