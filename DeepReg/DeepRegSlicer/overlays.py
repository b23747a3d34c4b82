"""Displacement and volume change as colours over the images with a legend, and folding as a mark.

The colours are hidden volume nodes on the grid of the field; the mark is a hidden segmentation.
"""

from __future__ import annotations

import numpy as np
import slicer
from DeepRegLib.images.geometry import Geometry

from .colour_tables import FOLDING_COLOUR, JACOBIAN_RANGE, displacement_colours, jacobian_colours
from .field_maps import labels_on_scale, largest_on_scale
from .nodes import ijk_to_ras, image_data_in_steps, set_voxels, vtk_matrix
from .review_nodes import ROLE_ATTRIBUTE, give_display, hide_display_nodes, remove_review_nodes, review_node
from .review_pair import ReviewPair
from .steps import Steps

DISPLACEMENT_ROLE = "displacement in colours"
JACOBIAN_ROLE = "volume change in colours"
FOLDING_ROLE = "folding"
LEGEND_ROLE = "legend"
OVERLAY_ROLES = (DISPLACEMENT_ROLE, JACOBIAN_ROLE, FOLDING_ROLE, LEGEND_ROLE)
LABEL_WIDTH = 7
"""Characters that the numbers of the legend are padded to. 3D Slicer makes the letters as large as fits; short numbers
would get letters that cover the image."""
JACOBIAN_LABELS = 4
"""0.5, 1, 1.5, 2: the number that matters, 1, is among them."""


def add_displacement_in_steps(
    pair: ReviewPair, displacement: np.ndarray, geometry: Geometry
) -> Steps[slicer.vtkMRMLScalarVolumeNode]:
    """A hidden volume of displacements in mm (z, y, x), coloured from 0 to a round number."""
    node = yield from _coloured_in_steps(pair, displacement, geometry, DISPLACEMENT_ROLE)
    _set_range(node, displacement_colours(node.GetScene()), (0.0, largest_on_scale(displacement)))
    return node


def add_jacobian_in_steps(
    pair: ReviewPair, determinant: np.ndarray, geometry: Geometry
) -> Steps[slicer.vtkMRMLScalarVolumeNode]:
    """A hidden volume of det(dT/dx) (z, y, x), coloured around 1."""
    node = yield from _coloured_in_steps(pair, determinant, geometry, JACOBIAN_ROLE)
    _set_range(node, jacobian_colours(node.GetScene()), JACOBIAN_RANGE)
    return node


def add_folding_in_steps(
    pair: ReviewPair, mask: np.ndarray, geometry: Geometry, name: str
) -> Steps[slicer.vtkMRMLSegmentationNode]:
    """A hidden segmentation that marks the voxels of ``mask`` (z, y, x), drawn filled and with an outline so that a
    single voxel is seen."""
    scene = pair.transform.GetScene()
    remove_review_nodes(scene, FOLDING_ROLE)
    flat = yield from image_data_in_steps(mask.astype(np.uint8))
    image = slicer.vtkOrientedImageData()
    image.ShallowCopy(flat)
    image.SetImageToWorldMatrix(vtk_matrix(ijk_to_ras(geometry)))
    node = review_node(scene, "vtkMRMLSegmentationNode", FOLDING_ROLE, name)
    node.CreateDefaultDisplayNodes()
    hide_display_nodes(node)
    if mask.any():
        node.AddSegmentFromBinaryLabelmapRepresentation(image, name, FOLDING_COLOUR)
    display = node.GetDisplayNode()
    display.SetOpacity2DFill(1.0)
    display.SetOpacity2DOutline(1.0)
    display.SetSliceIntersectionThickness(2)
    display.SetVisibility3D(False)
    display.SetVisibility(False)
    pair.place(node)
    return node


def show_legend(overlay: slicer.vtkMRMLScalarVolumeNode, title: str) -> None:
    """The colour bar of an overlay, in all views.

    3D Slicer shows the legend of a volume only while the volume is the background, foreground or label of a view. The
    overlay is an additional layer; therefore its legend belongs to a hidden model without a surface.
    """
    scene = overlay.GetScene()
    shown = overlay.GetDisplayNode()
    model = review_node(scene, "vtkMRMLModelNode", LEGEND_ROLE, LEGEND_ROLE)
    if model.GetDisplayNode() is None:
        model.CreateDefaultDisplayNodes()
    colours = model.GetDisplayNode()
    colours.SetVisibility2D(True)  # or else the legend stays out of the slice views
    colours.SetAndObserveColorNodeID(shown.GetColorNodeID())
    colours.SetScalarRangeFlag(colours.UseManualScalarRange)
    half = shown.GetWindow() / 2
    colours.SetScalarRange(shown.GetLevel() - half, shown.GetLevel() + half)
    legend = slicer.vtkSlicerColorLogic.AddDefaultColorLegendDisplayNode(colours)
    jacobian = overlay.GetAttribute(ROLE_ATTRIBUTE) == JACOBIAN_ROLE
    labels = JACOBIAN_LABELS if jacobian else labels_on_scale(shown.GetWindow())
    whole = not jacobian and (shown.GetWindow() / (labels - 1)).is_integer()
    legend.SetTitleText(title)
    legend.SetNumberOfLabels(labels)
    legend.SetLabelFormat(f"%{LABEL_WIDTH}.{0 if whole else 1}f")
    hide_display_nodes(model)
    legend.Modified()  # a change of its text is not noticed


def hide_legend(scene: slicer.vtkMRMLScene) -> None:
    remove_review_nodes(scene, LEGEND_ROLE)


def _coloured_in_steps(
    pair: ReviewPair, values: np.ndarray, geometry: Geometry, role: str
) -> Steps[slicer.vtkMRMLScalarVolumeNode]:
    image = yield from image_data_in_steps(values)
    node = review_node(pair.transform.GetScene(), "vtkMRMLScalarVolumeNode", role, role)
    give_display(node)
    set_voxels(node, image, geometry)
    pair.place(node)
    return node


def _set_range(
    node: slicer.vtkMRMLScalarVolumeNode, colours: slicer.vtkMRMLColorTableNode, ends: tuple[float, float]
) -> None:
    display = node.GetDisplayNode()
    display.SetAndObserveColorNodeID(colours.GetID())
    display.SetWindowLevel(ends[1] - ends[0], (ends[0] + ends[1]) / 2)
