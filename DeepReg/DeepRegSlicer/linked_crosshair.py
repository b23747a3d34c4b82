"""A crosshair for the moving image as it was scanned: where the cursor is in the fixed image, T says where it is there.

The layout gets a second row of slice views with the unmoved moving image. They jump to T(x) when the cursor or the
crosshair moves to x in the fixed image; a mark shows x in the first and T(x) in the second row.
"""

from __future__ import annotations

import slicer
import vtk

from .compare_views import slice_logic
from .review_nodes import hide_display_nodes, remove_review_nodes, review_node
from .review_pair import ReviewPair, unmoved_image
from .transform_chain import world_to_local

LAYOUT = 15010
"""Number of the layout; 3D Slicer's own end below 1000, and other extensions use hundreds."""
FIXED_VIEWS = {"Red": "Axial", "Green": "Coronal", "Yellow": "Sagittal"}
MOVING_VIEWS = {"DeepRegAxial": "Axial", "DeepRegCoronal": "Coronal", "DeepRegSagittal": "Sagittal"}
COLOURS = {"Axial": "#F34A33", "Coronal": "#6EB04B", "Sagittal": "#EDD54C"}
VIEW_GROUP = 15
"""Views of one group are linked; the second row is linked with itself only."""
HERE_ROLE = "cursor in the fixed image"
THERE_ROLE = "cursor in the moving image"
MARK_ROLES = (HERE_ROLE, THERE_ROLE)
MARK_COLOUR = (1.0, 0.8, 0.1)
MARK_PERCENT = 4.0


class LinkedCrosshair:
    """``switch_on`` shows the second row, ``switch_off`` takes it away and restores layout and crosshair."""

    def __init__(self, scene: slicer.vtkMRMLScene, application_logic: slicer.vtkMRMLApplicationLogic) -> None:
        self._scene = scene
        self._application_logic = application_logic
        self._pair: ReviewPair | None = None
        self._former_layout: int | None = None
        self._former_mode = 0
        self._observed: slicer.vtkMRMLCrosshairNode | None = None
        self._tags: list[int] = []

    @property
    def is_on(self) -> bool:
        return self._pair is not None

    def switch_on(self, pair: ReviewPair) -> None:
        """Show the second row for this pair; for another one while it is on, the row changes."""
        self._pair = pair
        self._show_second_row()
        self._fill_second_row(unmoved_image(pair))
        self._show_marks()
        self._observe()
        self.show(self._start(), centred=True)

    def switch_off(self) -> None:
        if not self.is_on:
            return
        self.stop()
        layout = self._layout_node()
        if layout is not None and self._former_layout is not None and layout.GetViewArrangement() == LAYOUT:
            layout.SetViewArrangement(self._former_layout)
        self._former_layout = None
        remove_review_nodes(self._scene, *MARK_ROLES)

    def stop(self) -> None:
        """Follow the cursor no longer; nothing in the scene is touched but the crosshair's look."""
        if self._observed is not None:
            for tag in self._tags:
                self._observed.RemoveObserver(tag)
            self._observed.SetCrosshairMode(self._former_mode)
        self._observed = None
        self._tags = []
        self._pair = None

    def show(self, ras: tuple[float, float, float], centred: bool = False) -> None:
        """The point x of the fixed image (RAS mm, world) here, and T(x) there."""
        pair = self._pair
        if pair is None or pair.transform.GetScene() is None:
            return
        there = corresponding_point(pair, ras)
        jump = slicer.vtkMRMLSliceNode.CenteredJumpSlice if centred else slicer.vtkMRMLSliceNode.OffsetJumpSlice
        slicer.vtkMRMLSliceNode.JumpAllSlices(self._scene, *there, jump, VIEW_GROUP)
        for role, point in ((HERE_ROLE, ras), (THERE_ROLE, there)):
            review_node(self._scene, "vtkMRMLMarkupsFiducialNode", role, "").SetNthControlPointPositionWorld(0, *point)

    def _follow_cursor(self, crosshair: slicer.vtkMRMLCrosshairNode, _event: str) -> None:
        xyz, ras = [0.0] * 3, [0.0] * 3
        view = crosshair.GetCursorPositionXYZ(xyz)
        if view is not None and view.GetLayoutName() not in MOVING_VIEWS and crosshair.GetCursorPositionRAS(ras):
            self.show(tuple(ras))

    def _follow_crosshair(self, crosshair: slicer.vtkMRMLCrosshairNode, _event: str) -> None:
        self._hide_crosshair(crosshair)
        xyz = [0.0] * 3
        view = crosshair.GetCursorPositionXYZ(xyz)
        if view is None or view.GetLayoutName() not in MOVING_VIEWS:
            self.show(tuple(crosshair.GetCrosshairRAS()))

    def _observe(self) -> None:
        if self._observed is not None:
            return
        crosshair = self._scene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
        if crosshair is None:
            return
        self._observed = crosshair
        self._former_mode = crosshair.NoCrosshair
        self._hide_crosshair(crosshair)
        self._tags = [
            crosshair.AddObserver(crosshair.CursorPositionModifiedEvent, self._follow_cursor),
            crosshair.AddObserver(vtk.vtkCommand.ModifiedEvent, self._follow_crosshair),
        ]

    def _hide_crosshair(self, crosshair: slicer.vtkMRMLCrosshairNode) -> None:
        """It would be drawn at x in the second row, too; the marks take its place until the link is switched off."""
        if crosshair.GetCrosshairMode() != crosshair.NoCrosshair:
            self._former_mode = crosshair.GetCrosshairMode()
            crosshair.SetCrosshairMode(crosshair.NoCrosshair)

    def _start(self) -> tuple[float, float, float]:
        """The crosshair where it is, or the middle of the fixed image when that is elsewhere."""
        bounds = [0.0] * 6
        self._pair.fixed.GetRASBounds(bounds)
        if self._observed is not None:
            ras = tuple(self._observed.GetCrosshairRAS())
            inside = all(bounds[2 * k] <= ras[k] <= bounds[2 * k + 1] for k in range(3))
            if inside and any(ras):
                return ras
        return tuple((bounds[2 * k] + bounds[2 * k + 1]) / 2 for k in range(3))

    def _layout_node(self) -> slicer.vtkMRMLLayoutNode | None:
        return self._scene.GetFirstNodeByClass("vtkMRMLLayoutNode")

    def _show_second_row(self) -> None:
        layout = self._layout_node()
        if layout is None:
            return
        if not layout.IsLayoutDescription(LAYOUT):
            layout.AddLayoutDescription(LAYOUT, layout_description())
        if layout.GetViewArrangement() != LAYOUT:
            self._former_layout = layout.GetViewArrangement()
        elif self._former_layout is None:  # a scene that was saved with the second row
            self._former_layout = layout.SlicerLayoutFourUpView
        layout.SetViewArrangement(LAYOUT)

    def _fill_second_row(self, image: slicer.vtkMRMLVolumeNode) -> None:
        for name in MOVING_VIEWS:
            view = self._scene.GetSingletonNode(name, "vtkMRMLSliceCompositeNode")
            if view is None:
                continue
            view.SetBackgroundVolumeID(image.GetID())
            view.SetForegroundVolumeID(None)
            view.SetLabelVolumeID(None)
            logic = slice_logic(self._application_logic, name)
            if logic is not None:
                logic.FitSliceToBackground()

    def _show_marks(self) -> None:
        for role, views in ((HERE_ROLE, FIXED_VIEWS), (THERE_ROLE, MOVING_VIEWS)):
            mark = review_node(self._scene, "vtkMRMLMarkupsFiducialNode", role, "")
            if mark.GetNumberOfControlPoints() == 0:
                mark.AddControlPoint(vtk.vtkVector3d(0, 0, 0), "")
                mark.SetLocked(True)
                mark.CreateDefaultDisplayNodes()
                hide_display_nodes(mark)
            display = mark.GetDisplayNode()
            display.SetPointLabelsVisibility(False)
            display.SetPropertiesLabelVisibility(False)
            display.SetGlyphType(display.CrossDot2D)
            display.SetGlyphScale(MARK_PERCENT)
            display.SetColor(*MARK_COLOUR)
            display.SetSelectedColor(*MARK_COLOUR)
            display.RemoveAllViewNodeIDs()
            for name in views:
                node = self._scene.GetSingletonNode(name, "vtkMRMLSliceNode")
                if node is not None:
                    display.AddViewNodeID(node.GetID())


def corresponding_point(pair: ReviewPair, ras: tuple[float, float, float]) -> tuple[float, float, float]:
    """T(x) for a point x of the views (RAS mm, world): where that place of the anatomy lies in the unmoved image."""
    in_frame = world_to_local(pair.transform).TransformPoint(*ras)
    moved = pair.transform.GetTransformFromParent().TransformPoint(*in_frame)
    return tuple(moved)


def layout_description() -> str:
    """Two rows of slice views: those of the fixed image, and those of the moving one as it was scanned."""
    rows = "".join(
        f'<item><layout type="horizontal">{_row(views, group, mark)}</layout></item>'
        for views, group, mark in ((FIXED_VIEWS, None, ""), (MOVING_VIEWS, VIEW_GROUP, "M"))
    )
    return f'<layout type="vertical" split="true">{rows}</layout>'


def _row(views: dict[str, str], group: int | None, mark: str) -> str:
    def view(name: str, orientation: str) -> str:
        label = mark + name[0] if not mark else f"{mark}-{orientation[0]}"
        properties = {"orientation": orientation, "viewlabel": label, "viewcolor": COLOURS[orientation]}
        if group is not None:
            properties["viewgroup"] = str(group)
        inner = "".join(
            f'<property name="{key}" action="default">{value}</property>' for key, value in properties.items()
        )
        return f'<item><view class="vtkMRMLSliceNode" singletontag="{name}">{inner}</view></item>'

    return "".join(view(name, orientation) for name, orientation in views.items())
