"""The deformation as a grid drawn over the slice views.

3D Slicer draws a transform by its own displacements. Those of a whole registration contain how the patient was placed
in the scanner: some centimetres that shift the drawn grid against the image, take it out of the slice and paint all
of it in the colour of large motion. Therefore the grid has a node of its own, from which the rigid motion is taken out.
"""

from __future__ import annotations

import numpy as np
import slicer
from DeepRegLib.transforms.displacement_field import DisplacementField
from DeepRegLib.transforms.linear import LinearTransform

from . import nodes

CELLS_ACROSS = 25
"""Cells along the longest side of the image: dense enough to show a bend, open enough to see through."""
SPACINGS_MM = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 25.0, 50.0)
"""Round numbers to choose the spacing of the grid lines from; 15 mm is 3D Slicer's own."""
STEPS_PER_CELL = 3
"""Straight pieces that a grid line is bent from within one cell, as in 3D Slicer's own setting (15 mm and 5 mm)."""


def add_deformation_grid(
    scene: slicer.vtkMRMLScene, transform: DisplacementField, region: slicer.vtkMRMLVolumeNode, name: str
) -> slicer.vtkMRMLGridTransformNode:
    """A transform node that shows the deformation as a grid in the slice views; nothing else is meant to use it.

    With R the rigid motion nearest to T, the node holds R^-1(T(x)), sampled as finely as the grid is drawn, which suits
    the size of the image ``region``.
    """
    spacing = _spacing_mm(region)
    step = spacing / STEPS_PER_CELL
    node = nodes.add_transform(scene, without_rigid_motion(transform, step), name)
    node.SetDescription("What is drawn as a grid: the deformation without the rigid motion. For display only.")
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetAndObserveRegionNode(region)
    display.SetVisualizationMode(display.VIS_MODE_GRID)
    display.SetGridSpacingMm(spacing)
    display.SetGridResolutionMm(step)
    display.SetVisibility(True)
    display.SetVisibility2D(True)
    display.SetVisibility3D(False)  # in 3-D it is a dense cage that hides the landmarks
    return node


def without_rigid_motion(transform: DisplacementField, spacing_mm: float) -> DisplacementField:
    """R^-1(T(x)) - x with R the rigid motion nearest to T, on a grid of ``spacing_mm`` over the same extent."""
    geometry = transform.geometry.with_spacing((spacing_mm,) * 3)
    points = geometry.points()
    mapped = transform.map_points(points)
    rigid = nearest_rigid_motion(points.reshape(-1, 3), mapped.reshape(-1, 3))
    return DisplacementField((rigid.inverse().map_points(mapped) - points).astype(np.float32), geometry)


def nearest_rigid_motion(points: np.ndarray, mapped: np.ndarray) -> LinearTransform:
    """The rotation and translation that bring ``points`` (n, 3) nearest to ``mapped`` in the least-squares sense.

    K. S. Arun, T. S. Huang, S. D. Blostein, Least-Squares Fitting of Two 3-D Point Sets, IEEE PAMI 9 (1987) 698-700.
    """
    centre, mapped_centre = points.mean(0), mapped.mean(0)
    left, _, right = np.linalg.svd((mapped - mapped_centre).T @ (points - centre))
    no_mirror = np.diag([1.0, 1.0, np.linalg.det(left @ right)])
    rotation = left @ no_mirror @ right
    return LinearTransform(rotation, mapped_centre - rotation @ centre)


def _spacing_mm(volume: slicer.vtkMRMLVolumeNode) -> float:
    """The round number that comes nearest to ``CELLS_ACROSS`` cells along the longest side of the image."""
    sides = np.array(volume.GetImageData().GetDimensions()) * np.array(volume.GetSpacing())
    wanted = sides.max() / CELLS_ACROSS
    return min(SPACINGS_MM, key=lambda spacing: abs(np.log(spacing / wanted)))
