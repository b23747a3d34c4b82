"""The deformation as a grid drawn over the slice views.

3D Slicer draws a transform by its own displacements. Those of a whole registration contain how the patient was placed
in the scanner: some centimetres that shift the drawn grid against the image, take it out of the slice and paint all
of it in the colour of large motion. Therefore the grid has a node of its own, from which the rigid motion is taken out.
"""

from __future__ import annotations

import numpy as np
import slicer
from DeepRegLib.transforms.displacement_field import DisplacementField
from DeepRegLib.transforms.lattice import coarse_lattice, slice_points
from DeepRegLib.transforms.linear import LinearTransform

from . import nodes
from .pacing import paced_steps
from .steps import Steps, finish

CELLS_ACROSS = 25
"""Cells along the longest side of the image: dense enough to show a bend, open enough to see through."""
SPACINGS_MM = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 25.0, 50.0)
"""Round numbers to choose the spacing of the grid lines from; 15 mm is 3D Slicer's own."""
STEPS_PER_CELL = 3
"""Straight pieces that a grid line is bent from within one cell, as in 3D Slicer's own setting (15 mm and 5 mm)."""
RIGID_SAMPLES = 20
"""Points along the longest side that the rigid motion is fitted to: it has six unknowns."""
REWEIGHTINGS = 15
"""Rounds until what moves by itself has lost its say."""
SAME_MOTION_MM = 2.0
"""Points that differ less than this from a motion share it."""


def add_deformation_grid(
    scene: slicer.vtkMRMLScene, transform: DisplacementField, region: slicer.vtkMRMLVolumeNode, name: str
) -> slicer.vtkMRMLGridTransformNode:
    """A transform node that shows the deformation as a grid in the slice views; nothing else is meant to use it.

    With R the rigid motion that most of the image shares, the node holds R^-1(T(x)), sampled as finely as the grid is
    drawn, which suits the size of the image ``region``.
    """
    spacing = line_spacing_mm(region, CELLS_ACROSS)
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
    """R^-1(T(x)) - x with R the rigid motion of most of the image, on a grid of ``spacing_mm`` over the same extent."""
    return finish(without_rigid_motion_in_steps(transform, rigid_motion_of(transform), spacing_mm))


def without_rigid_motion_in_steps(
    transform: DisplacementField, rigid: LinearTransform, spacing_mm: float
) -> Steps[DisplacementField]:
    """:func:`without_rigid_motion` for a rigid motion that is known already."""
    geometry = transform.geometry.with_spacing((spacing_mm,) * 3)
    out = np.empty((*geometry.shape, 3), np.float32)
    back = rigid.inverse()

    def sample(start: int, stop: int) -> None:
        for z in range(start, stop):
            points = slice_points(geometry, z)
            out[z] = back.map_points(transform.map_points(points)) - points

    yield from paced_steps(sample, len(out), 1)
    return DisplacementField(out, geometry)


def rigid_motion_of(transform: DisplacementField) -> LinearTransform:
    """The rigid motion that most of the grid shares: how the patient was placed differently.

    Least squares alone would mix the motion of the lungs into it, and then the spine would seem to breathe. Therefore
    points that do not follow count less and less (Cauchy's weights).
    """
    longest = max(transform.geometry.extent_mm.max(), min(transform.geometry.spacing))
    points = coarse_lattice(transform.geometry, longest / RIGID_SAMPLES).points().reshape(-1, 3)
    mapped = transform.map_points(points)
    weights = np.ones(len(points))
    for _ in range(REWEIGHTINGS):
        rigid = nearest_rigid_motion(points, mapped, weights)
        left = np.linalg.norm(rigid.map_points(points) - mapped, axis=1)
        weights = 1 / (1 + (left / max(np.median(left), SAME_MOTION_MM)) ** 2)
    return rigid


def nearest_rigid_motion(points: np.ndarray, mapped: np.ndarray, weights: np.ndarray | None = None) -> LinearTransform:
    """The rotation and translation that bring ``points`` (n, 3) nearest to ``mapped`` in the least-squares sense, with
    ``weights`` (n,) or with equal ones.

    K. S. Arun, T. S. Huang, S. D. Blostein, Least-Squares Fitting of Two 3-D Point Sets, IEEE PAMI 9 (1987) 698-700.
    """
    weights = np.ones(len(points)) if weights is None else weights
    centre, mapped_centre = (np.average(p, axis=0, weights=weights) for p in (points, mapped))
    left, _, right = np.linalg.svd((weights[:, None] * (mapped - mapped_centre)).T @ (points - centre))
    no_mirror = np.diag([1.0, 1.0, np.linalg.det(left @ right)])
    rotation = left @ no_mirror @ right
    return LinearTransform(rotation, mapped_centre - rotation @ centre)


def line_spacing_mm(volume: slicer.vtkMRMLVolumeNode, cells_across: int) -> float:
    """The round number that comes nearest to ``cells_across`` cells along the longest side of the image."""
    sides = np.array(volume.GetImageData().GetDimensions()) * np.array(volume.GetSpacing())
    wanted = sides.max() / cells_across
    return min(SPACINGS_MM, key=lambda spacing: abs(np.log(spacing / wanted)))
