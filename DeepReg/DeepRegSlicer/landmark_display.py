"""Landmark errors as arrows in the views of the fixed image.

An arrow runs from where a landmark of the moving image came to lie to where it should be, the landmark of the fixed
image: the way from the green to the red point when the moving list hangs under the transform. It is drawn true to
scale; its colour is the error as the table lists it, measured forward, without an inverse.

In 3-D all arrows are there. In a slice view are those whose fixed landmark lies near the slice, laid flat onto it; an
intersection with the slice would leave specks of them, a projection of all would bury the image.
"""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from DeepRegLib.evidence.pictures import ramp
from slicer.util import VTKObservationMixin

from .arrow_shapes import SCALARS, Arrows, flat_arrows, solid_arrows
from .landmark_pairs import seen_in_fixed_image
from .landmark_table import LandmarkErrors
from .linked_crosshair import MOVING_VIEWS
from .nodes import to_ras
from .review_nodes import hidden, hide_display_nodes, remove_review_nodes, review_node
from .transform_chain import array_of

ERROR_COLOURS = np.array([[110, 175, 255], [255, 235, 90], [255, 60, 200]], float)
"""Light blue, yellow, pink: seen on black, grey and white, and neither the red nor the green of the points."""
ENTRIES = 256
"""Colours of the table; more cannot be told apart on a screen."""
SCALE_ENDS_MM = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 70.0, 100.0)
"""Round numbers for the end of the colour scale: the first that no error exceeds."""

REACH_SHARE = 0.01
"""A slice shows the arrows of landmarks this close to it, over the longest side of the image: 3 mm for a chest."""

AMBIENT = 0.4
"""Light from everywhere, so that the colour of an arrow is seen from its dark side."""
LINE_PIXELS = 2

ROLE_3D, ROLE_SLICE, ROLE_COLOURS, ROLE_LEGEND = (
    "landmark errors in 3-D",
    "landmark errors in slice view ",
    "landmark error colours",
    "landmark error legend",
)


def arrows_of(
    errors: LandmarkErrors, transform: slicer.vtkMRMLTransformNode | None, image: slicer.vtkMRMLVolumeNode | None
) -> Arrows:
    """The arrows of measured errors; without a transform they show the errors before the registration. ``image`` is
    the fixed one; without it the landmarks themselves tell the size."""
    ends = to_ras(errors.pairs.places)
    starts = to_ras(seen_in_fixed_image(errors.pairs.moving.points, transform))
    return Arrows(
        starts, ends, errors.current_mm, errors.outliers, longest_side_mm(image) or float(np.ptp(ends, 0).max())
    )


def longest_side_mm(image: slicer.vtkMRMLVolumeNode | None) -> float:
    """Length of the longest side of an image; 0 without voxels."""
    if image is None or image.GetImageData() is None:
        return 0.0
    return float(max(np.array(image.GetImageData().GetDimensions()) * image.GetSpacing()))


class ErrorArrows(VTKObservationMixin):
    """The arrows in all views of a scene; slice views that are opened later get theirs, too."""

    def __init__(self, scene: slicer.vtkMRMLScene) -> None:
        super().__init__()
        self._scene = scene
        self._arrows: Arrows | None = None
        self._slices: dict[str, tuple[slicer.vtkMRMLSliceNode, slicer.vtkMRMLModelNode]] = {}

    def show(self, arrows: Arrows) -> None:
        """Draw ``arrows`` in place of what was drawn before."""
        self._arrows = arrows
        self._show_in_3d(arrows)
        if not self.hasObserver(self._scene, slicer.vtkMRMLScene.NodeAddedEvent, self._on_node_added):
            self.addObserver(self._scene, slicer.vtkMRMLScene.NodeAddedEvent, self._on_node_added)
        for index in range(self._scene.GetNumberOfNodesByClass("vtkMRMLSliceNode")):
            self._add_slice(self._scene.GetNthNodeByClass(index, "vtkMRMLSliceNode"))

    def hide(self) -> None:
        """Take everything out of the scene; a second call does nothing."""
        self.removeObservers()
        roles = [ROLE_3D, ROLE_LEGEND, *(ROLE_SLICE + name for name in self._slices), ROLE_COLOURS]
        self._slices.clear()
        if self._arrows is not None:
            self._arrows = None
            remove_review_nodes(self._scene, *roles)

    def _show_in_3d(self, arrows: Arrows) -> None:
        node = self._model(ROLE_3D, arrows)
        display = node.GetDisplayNode()
        display.SetVisibility2D(False)
        display.SetAmbient(AMBIENT)
        node.SetAndObservePolyData(solid_arrows(arrows))
        legend = review_node(self._scene, "vtkMRMLColorLegendDisplayNode", ROLE_LEGEND, SCALARS)
        if legend.GetPrimaryDisplayNode() is not display:
            legend.SetTitleText(SCALARS)
            legend.SetPosition(0.02, 0.5)  # on the left, where no other legend is
            legend.SetAndObservePrimaryDisplayNode(display)
            node.AddAndObserveDisplayNodeID(legend.GetID())
            legend.Modified()  # its displayable manager does not hear of the line above

    def _model(self, role: str, arrows: Arrows) -> slicer.vtkMRMLModelNode:
        """The model node with this role, coloured by the errors."""
        node = review_node(self._scene, "vtkMRMLModelNode", role, role)
        if node.GetDisplayNode() is None:
            node.CreateDefaultDisplayNodes()
            hide_display_nodes(node)
        display = node.GetDisplayNode()
        display.SetAndObserveColorNodeID(error_colours(self._scene).GetID())
        display.SetActiveScalar(SCALARS, vtk.vtkAssignAttribute.POINT_DATA)
        display.SetScalarRangeFlag(display.UseManualScalarRange)
        display.SetScalarRange(0.0, scale_end_mm(arrows.errors_mm))
        display.SetScalarVisibility(True)
        return node

    def _add_slice(self, view: slicer.vtkMRMLSliceNode) -> None:
        name = view.GetLayoutName()
        if name in MOVING_VIEWS:
            return  # they show the moving image as it was scanned; the arrows belong to the fixed one
        node = self._model(ROLE_SLICE + name, self._arrows)
        display = node.GetDisplayNode()
        if name not in self._slices:
            display.SetViewNodeIDs([view.GetID()])
            display.SetVisibility2D(True)
            display.SetSliceDisplayModeToProjection()
            display.SetSliceIntersectionThickness(LINE_PIXELS)
            self._slices[name] = (view, node)
            self.addObserver(view, vtk.vtkCommand.ModifiedEvent, self._on_slice_modified)
        self._draw_in_slice(name)

    def _draw_in_slice(self, name: str) -> None:
        view, node = self._slices[name]
        to_ras_matrix = array_of(view.GetSliceToRAS())
        normal, origin = to_ras_matrix[:3, 2], to_ras_matrix[:3, 3]
        distance = np.abs((self._arrows.ends - origin) @ normal)
        near = self._arrows.chosen(distance <= REACH_SHARE * self._arrows.image_mm)
        drawn = node.GetPolyData()
        if len(near) == 0 and drawn is not None and drawn.GetNumberOfPoints() == 0:
            return  # scrolling past empty slices costs nothing
        node.SetAndObservePolyData(flat_arrows(near, normal))

    def _on_slice_modified(self, view: slicer.vtkMRMLSliceNode, _event: str) -> None:
        if self._arrows is not None and view.GetLayoutName() in self._slices:
            self._draw_in_slice(view.GetLayoutName())

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _on_node_added(self, _scene: slicer.vtkMRMLScene, _event: str, node: slicer.vtkMRMLNode) -> None:
        if self._arrows is not None and isinstance(node, slicer.vtkMRMLSliceNode):
            self._add_slice(node)


def error_colours(scene: slicer.vtkMRMLScene) -> slicer.vtkMRMLColorTableNode:
    """The colours of the arrows, from no error to the end of the scale."""
    node = review_node(scene, "vtkMRMLColorTableNode", ROLE_COLOURS, ROLE_COLOURS)
    if node.GetNumberOfColors() != ENTRIES:
        hidden(node)
        node.SetTypeToUser()
        node.SetNumberOfColors(ENTRIES)
        for entry, colour in enumerate(ramp(np.linspace(0, 1, ENTRIES), ERROR_COLOURS) / 255):
            node.SetColor(entry, str(entry), *colour, 1.0)
    return node


def scale_end_mm(errors_mm: np.ndarray) -> float:
    """The end of the colour scale.

    >>> scale_end_mm(np.array([0.3, 3.4]))
    5.0
    """
    largest = float(errors_mm.max())
    return next((end for end in SCALE_ENDS_MM if end >= largest), largest)
