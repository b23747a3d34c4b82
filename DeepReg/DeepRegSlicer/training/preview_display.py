"""A training pair in the slice views: both images, one over the other, and the motion as a grid.

One set of hidden nodes, filled anew with each pair and left out of saved scenes. The views show what they showed before
as soon as the preview ends.
"""

from __future__ import annotations

import numpy as np
import slicer

from ..colour_tables import displacement_colour_map
from ..compare_views import CompareViews, slice_logic
from ..deformation_grid import CELLS_ACROSS, STEPS_PER_CELL, line_spacing_mm
from ..field_maps import largest_on_scale
from ..nodes import CT_LUNG, grid_transform_in_steps, image_data_in_steps, set_transform, set_voxels
from ..review_nodes import find_review_node, give_display, hide_display_nodes, remove_review_nodes, review_node
from ..steps import Steps
from .pair_folder import PreviewPair

FIXED_ROLE = "training pair: fixed image"
MOVING_ROLE = "training pair: moving image"
MOTION_ROLE = "training pair: motion"


class PreviewDisplay:
    """``application_logic`` knows the slice logics."""

    def __init__(self, scene: slicer.vtkMRMLScene, application_logic: slicer.vtkMRMLApplicationLogic) -> None:
        self._scene = scene
        self._application_logic = application_logic
        self._views = CompareViews(scene, application_logic)
        self._is_on = False
        self._size_mm: tuple[float, ...] = ()

    @property
    def has_pair(self) -> bool:
        """A pair was drawn, whether it is shown or not."""
        return find_review_node(self._scene, MOTION_ROLE) is not None

    def fill_in_steps(self, pair: PreviewPair) -> Steps[None]:
        """Put ``pair`` into the nodes. All of it is made first, so that the views never mix two pairs."""
        fixed = yield from image_data_in_steps(pair.fixed.array)
        moving = yield from image_data_in_steps(pair.moving.array)
        motion = yield from grid_transform_in_steps(pair.motion)
        largest = largest_on_scale(np.linalg.norm(pair.motion.array[::2, ::2, ::2], axis=-1))
        yield
        for role, image in ((FIXED_ROLE, fixed), (MOVING_ROLE, moving)):
            node = review_node(self._scene, "vtkMRMLScalarVolumeNode", role, role)
            if node.GetDisplayNode() is None:
                give_display(node)
                node.GetDisplayNode().SetWindowLevel(*CT_LUNG)
            set_voxels(node, image, pair.fixed.geometry)
        grid = review_node(self._scene, "vtkMRMLGridTransformNode", MOTION_ROLE, MOTION_ROLE)
        set_transform(grid, motion)
        self._set_up_grid(grid, largest)

    def show(self, fade: float, with_grid: bool) -> None:
        """The moving image over the fixed one in all slice views, ``fade`` (0 to 1) of it; the grid on top."""
        fixed, moving = (find_review_node(self._scene, role) for role in (FIXED_ROLE, MOVING_ROLE))
        if fixed is None or moving is None:
            return
        self._views.show(fixed, moving, fade)
        size_mm = tuple(np.array(fixed.GetImageData().GetDimensions()) * fixed.GetSpacing())
        if not self._is_on or not np.allclose(size_mm, self._size_mm):
            self._fit()  # the pair lies about the origin, wherever the views look
        self._is_on, self._size_mm = True, size_mm
        self.show_grid(with_grid)

    def set_fade(self, fade: float) -> None:
        if self._is_on:
            self._views.set_opacity(fade)

    def show_grid(self, visible: bool) -> None:
        grid = find_review_node(self._scene, MOTION_ROLE)
        if grid is not None and grid.GetDisplayNode() is not None:
            grid.GetDisplayNode().SetVisibility(visible)

    def hide(self) -> None:
        """Give the views back; the pair is kept."""
        if self._is_on:
            self._is_on = False
            self._views.restore()
            self.show_grid(False)

    def remove(self) -> None:
        """Give the views back and take the nodes out of the scene."""
        self.hide()
        remove_review_nodes(self._scene, FIXED_ROLE, MOVING_ROLE, MOTION_ROLE)

    def forget(self) -> None:
        """The scene is closed: there is nothing to give back."""
        self._is_on = False
        self._views.forget()

    def _set_up_grid(self, grid: slicer.vtkMRMLTransformNode, largest_mm: float) -> None:
        fixed = find_review_node(self._scene, FIXED_ROLE)
        if grid.GetDisplayNode() is None:
            grid.CreateDefaultDisplayNodes()
            hide_display_nodes(grid)
            grid.GetDisplayNode().SetVisibility(False)
        display, spacing = grid.GetDisplayNode(), line_spacing_mm(fixed, CELLS_ACROSS)
        display.SetAndObserveColorNodeID(displacement_colour_map(self._scene, largest_mm).GetID())
        display.SetAndObserveRegionNode(fixed)
        display.SetVisualizationMode(display.VIS_MODE_GRID)
        display.SetGridSpacingMm(spacing)
        display.SetGridResolutionMm(spacing / STEPS_PER_CELL)
        display.SetVisibility2D(True)
        display.SetVisibility3D(False)

    def _fit(self) -> None:
        for index in range(self._scene.GetNumberOfNodesByClass("vtkMRMLSliceNode")):
            name = self._scene.GetNthNodeByClass(index, "vtkMRMLSliceNode").GetLayoutName()
            logic = slice_logic(self._application_logic, name)
            if logic is not None:
                logic.FitSliceToBackground()
