"""Fixed and moving image in the slice views, and the views back as they were when the review ends.

Only the layers of the views are used: the fixed image behind, what it is compared with in front, and a colour overlay
as an additional layer, so that a comparison and an overlay can be seen together and the user's label layer stays.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import slicer

OVERLAY_LAYER = slicer.vtkMRMLSliceCompositeNode.Layer_Last
"""The first layer behind background, foreground and label."""
OVERLAY_OPACITY = 0.65
"""Colours are told apart, and the anatomy below is recognised."""


@dataclass(frozen=True)
class _Layers:
    """What a slice view showed."""

    background: str | None
    foreground: str | None
    opacity: float
    compositing: int


class CompareViews:
    """All slice views of a scene, but for those named in ``left_alone``.

    ``application_logic`` knows the slice logics; a view that did not show the fixed image is fitted to it.
    """

    def __init__(
        self,
        scene: slicer.vtkMRMLScene,
        application_logic: slicer.vtkMRMLApplicationLogic,
        left_alone: tuple[str, ...] = (),
    ) -> None:
        self._scene = scene
        self._application_logic = application_logic
        self._left_alone = left_alone
        self._former: dict[str, _Layers] = {}
        self._shown: tuple[str, str] | None = None

    def show(self, fixed: slicer.vtkMRMLVolumeNode, front: slicer.vtkMRMLVolumeNode, opacity: float) -> None:
        """``front`` over ``fixed`` in every view."""
        self._shown = fixed.GetID(), front.GetID()
        for view in self._views():
            if view.GetID() not in self._former:
                self._former[view.GetID()] = _Layers(
                    view.GetBackgroundVolumeID(),
                    view.GetForegroundVolumeID(),
                    view.GetForegroundOpacity(),
                    view.GetCompositing(),
                )
            fitting = view.GetBackgroundVolumeID() is None
            change = view.StartModify()
            view.SetBackgroundVolumeID(fixed.GetID())
            view.SetForegroundVolumeID(front.GetID())
            view.SetForegroundOpacity(opacity)
            view.SetCompositing(view.Alpha)
            view.EndModify(change)
            if fitting:
                self._fit(view)

    def set_opacity(self, opacity: float) -> None:
        """Of what lies in front, where it is still ours."""
        for view in self._views():
            if self._is_ours(view):
                view.SetForegroundOpacity(opacity)

    def show_overlay(self, overlay: slicer.vtkMRMLVolumeNode) -> None:
        """Paint a volume over everything but labels."""
        for view in self._views():
            view.SetNthLayerOpacity(OVERLAY_LAYER, OVERLAY_OPACITY)
            view.SetNthLayerVolumeID(OVERLAY_LAYER, overlay.GetID())

    def hide_overlay(self) -> None:
        for view in self._views():
            if view.GetNumberOfAdditionalLayers() > 0:
                view.SetNthLayerVolumeID(OVERLAY_LAYER, None)

    def restore(self) -> None:
        """Give the views back the layers that they had. A view in which the user chose others meanwhile keeps them."""
        self.hide_overlay()
        for view in self._views():
            former = self._former.get(view.GetID())
            if former is None or not self._is_ours(view):
                continue
            change = view.StartModify()
            view.SetBackgroundVolumeID(self._existing(former.background))
            view.SetForegroundVolumeID(self._existing(former.foreground))
            view.SetForegroundOpacity(former.opacity)
            view.SetCompositing(former.compositing)
            view.EndModify(change)
        self._former.clear()
        self._shown = None

    def forget(self) -> None:
        """The scene is closed: there is nothing to give back."""
        self._former.clear()
        self._shown = None

    def _views(self) -> Iterator[slicer.vtkMRMLSliceCompositeNode]:
        for index in range(self._scene.GetNumberOfNodesByClass("vtkMRMLSliceCompositeNode")):
            view = self._scene.GetNthNodeByClass(index, "vtkMRMLSliceCompositeNode")
            if view.GetLayoutName() not in self._left_alone:
                yield view

    def _is_ours(self, view: slicer.vtkMRMLSliceCompositeNode) -> bool:
        return self._shown == (view.GetBackgroundVolumeID(), view.GetForegroundVolumeID())

    def _existing(self, node_id: str | None) -> str | None:
        return node_id if node_id and self._scene.GetNodeByID(node_id) else None

    def _fit(self, view: slicer.vtkMRMLSliceCompositeNode) -> None:
        logic = slice_logic(self._application_logic, view.GetLayoutName())
        if logic is not None:
            logic.FitSliceToBackground()


def slice_logic(application_logic: slicer.vtkMRMLApplicationLogic, layout_name: str) -> slicer.vtkMRMLSliceLogic | None:
    """The logic of a slice view, when the view exists."""
    logics = application_logic.GetSliceLogics()
    for index in range(logics.GetNumberOfItems() if logics is not None else 0):
        logic = logics.GetItemAsObject(index)
        if logic.GetSliceNode() is not None and logic.GetSliceNode().GetLayoutName() == layout_name:
            return logic
    return None
