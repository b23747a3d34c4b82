"""The deformation as grid, arrows and contours, in the slice views and in 3-D; each on and off by itself.

3D Slicer draws a transform in the way that one of its display nodes says. Each way has a display node of its own here,
and 3-D has others with wider spacing, so that any of them can be shown together. They hang on two hidden transform
nodes of ours, which hold the deformation without the rigid motion; display nodes of the user's transforms are left
alone.

3D Slicer draws the transform *to parent*. For the grid that is the inverse of T, as on a moving image that bends with
it. Arrows and contours are drawn from T itself: an arrow starts at a point of the fixed image and ends where that point
comes from, and no inverse is needed.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
import slicer
from DeepRegLib.transforms.displacement_field import DisplacementField
from DeepRegLib.transforms.linear import LinearTransform

from .colour_tables import LINE_COLOURS, displacement_colour_map
from .deformation_grid import CELLS_ACROSS, STEPS_PER_CELL, line_spacing_mm, without_rigid_motion_in_steps
from .field_maps import largest_on_scale
from .nodes import grid_transform_in_steps
from .review_nodes import find_review_node, hidden, remove_review_nodes, review_node
from .review_pair import ReviewPair
from .steps import Steps

GRID, ARROWS, CONTOURS = WAYS = ("grid", "arrows", "contours")
GRID_ROLE = "deformation as a grid"
FIELD_ROLE = "deformation as arrows and contours"
WAY_ATTRIBUTE = "DeepReg.way"
CELLS_ACROSS_3D = 11
"""Wider than in a slice: one looks through all layers at once."""
CONTOUR_LINES = 5
CONTOUR_SURFACES = 3
LINE_SHARE_3D = 0.04
"""Thickness of grid lines in 3-D, as a share of their distance."""
ARROW_SHARE_3D = 0.3
"""Thickness of arrow heads in 3-D, as a share of their distance."""
ARROW_ROOM = 0.7
"""Arrows have their true length; they stand at least this share of the longest apart, or they would join to lines."""
SMALLEST_ARROW_SHARE = 0.05
"""Shorter arrows, as a share of the scale, would be dots."""
SURFACE_OPACITY = 0.25
GRID_PIXELS, LINE_PIXELS = 1, 2
NO_LIMIT_MM = 1e6


@dataclass(frozen=True)
class _Look:
    """One way to draw, in the slice views or in 3-D."""

    way: str
    in_3d: bool

    @property
    def name(self) -> str:
        return f"{self.way} 3-D" if self.in_3d else self.way


def build_deformation_in_steps(pair: ReviewPair, field: DisplacementField, rigid: LinearTransform) -> Steps[None]:
    """Make the nodes that :func:`show_deformation` shows, or fill them anew."""
    scene = pair.transform.GetScene()
    step = line_spacing_mm(pair.fixed, CELLS_ACROSS) / STEPS_PER_CELL
    deformation = yield from without_rigid_motion_in_steps(field, rigid, step)
    scale = largest_on_scale(np.linalg.norm(deformation.array, axis=-1))
    colours = displacement_colour_map(scene, scale)
    grid = review_node(scene, "vtkMRMLGridTransformNode", GRID_ROLE, GRID_ROLE)
    grid.SetAndObserveTransformFromParent((yield from grid_transform_in_steps(deformation)))
    vectors = review_node(scene, "vtkMRMLGridTransformNode", FIELD_ROLE, FIELD_ROLE)
    vectors.SetAndObserveTransformToParent((yield from grid_transform_in_steps(_ending_outside(deformation))))
    for node, ways in ((grid, (GRID,)), (vectors, (ARROWS, CONTOURS))):
        for look in (_Look(way, in_3d) for way in ways for in_3d in (False, True)):
            _set_up(_display_node(node, look), look, pair, scale, colours)
        pair.place(node)
        yield


def show_deformation(scene: slicer.vtkMRMLScene, ways: Collection[str], in_3d: bool) -> None:
    """Show these ways (of ``WAYS``) in the slice views, with ``in_3d`` also in the 3-D views, and hide the others."""
    for role in (GRID_ROLE, FIELD_ROLE):
        node = find_review_node(scene, role)
        for index in range(node.GetNumberOfDisplayNodes() if node else 0):
            display = node.GetNthDisplayNode(index)
            wanted = display.GetAttribute(WAY_ATTRIBUTE).removesuffix(" 3-D") in ways
            display.SetVisibility(wanted and (in_3d or not display.GetVisibility3D()))


def remove_deformation(scene: slicer.vtkMRMLScene) -> None:
    """Take all nodes of the display out of the scene."""
    remove_review_nodes(scene, GRID_ROLE, FIELD_ROLE, LINE_COLOURS)


def _ending_outside(field: DisplacementField) -> DisplacementField:
    """The same inside, and no displacement two steps beyond the border: a grid transform keeps its border value for
    ever, which would be drawn as arrows and contours far away from the image."""
    kept = np.pad(field.array, ((1, 1), (1, 1), (1, 1), (0, 0)), mode="edge")
    ended = np.pad(kept, ((1, 1), (1, 1), (1, 1), (0, 0)))
    geometry = field.geometry
    size = tuple(n + 4 for n in geometry.size)
    return DisplacementField(ended, replace(geometry, size=size, origin=tuple(geometry.to_physical([-2, -2, -2]))))


def _display_node(node: slicer.vtkMRMLTransformNode, look: _Look) -> slicer.vtkMRMLTransformDisplayNode:
    for index in range(node.GetNumberOfDisplayNodes()):
        if node.GetNthDisplayNode(index).GetAttribute(WAY_ATTRIBUTE) == look.name:
            return node.GetNthDisplayNode(index)
    display = hidden(slicer.vtkMRMLTransformDisplayNode())
    display.SetAttribute(WAY_ATTRIBUTE, look.name)
    display.SetVisibility(False)
    display = node.GetScene().AddNode(display)
    node.AddAndObserveDisplayNodeID(display.GetID())
    return display


def _set_up(
    display: slicer.vtkMRMLTransformDisplayNode,
    look: _Look,
    pair: ReviewPair,
    largest_mm: float,
    colours: slicer.vtkMRMLProceduralColorNode,
) -> None:
    spacing = line_spacing_mm(pair.fixed, CELLS_ACROSS_3D if look.in_3d else CELLS_ACROSS)
    display.SetAndObserveColorNodeID(colours.GetID())
    display.SetAndObserveRegionNode(pair.fixed)
    display.SetVisibility2D(not look.in_3d)
    display.SetVisibility3D(look.in_3d)
    display.SetSliceIntersectionThickness(GRID_PIXELS if look.way == GRID else LINE_PIXELS)
    if look.way == GRID:
        display.SetVisualizationMode(display.VIS_MODE_GRID)
        display.SetGridSpacingMm(spacing)
        display.SetGridResolutionMm(spacing / STEPS_PER_CELL)
        display.SetGridLineDiameterMm(LINE_SHARE_3D * spacing)
    elif look.way == ARROWS:
        spacing = max(spacing, ARROW_ROOM * largest_mm)
        display.SetVisualizationMode(display.VIS_MODE_GLYPH)
        display.SetGlyphSpacingMm(spacing)
        display.SetGlyphDiameterMm(ARROW_SHARE_3D * spacing)
        display.SetGlyphDisplayRangeMinMm(SMALLEST_ARROW_SHARE * largest_mm)
        display.SetGlyphDisplayRangeMaxMm(NO_LIMIT_MM)
    else:
        count = CONTOUR_SURFACES if look.in_3d else CONTOUR_LINES
        levels = np.linspace(0, largest_mm, count + 2)[1:-1]
        display.SetVisualizationMode(display.VIS_MODE_CONTOUR)
        display.SetContourLevelsMmFromString(" ".join(f"{level:.3g}" for level in levels))
        display.SetContourResolutionMm(spacing / STEPS_PER_CELL)
        display.SetContourOpacity(SURFACE_OPACITY)
