"""How a registration result is first seen: four views centred on the image, moving over fixed, crosshair on.

For scenes outside the application. Inside it the views already have their logics and follow the user's layout.
"""

from __future__ import annotations

import numpy as np
import slicer

from .scene import StandaloneScene

SLICE_VIEWS = ("Red", "Green", "Yellow")
"""Names of the axial, coronal and sagittal view of the four-up layout."""
VIEW_PIXELS = 500
"""Width and height that the views are prepared for; the application adapts them to its window, keeping the height."""
THREE_D_VIEW = "1"
"""Name of the 3-D view of the four-up layout."""


def show_pair(
    standalone: StandaloneScene,
    background: slicer.vtkMRMLVolumeNode,
    foreground: slicer.vtkMRMLVolumeNode,
    foreground_opacity: float,
) -> None:
    """Set up the four-up layout with ``foreground`` over ``background``, every view fitted to ``background``."""
    layout_logic = slicer.vtkMRMLLayoutLogic()
    layout_logic.SetMRMLApplicationLogic(standalone.application_logic)
    layout_logic.SetMRMLScene(standalone.scene)  # adds the layout node
    layout_logic.GetLayoutNode().SetViewArrangement(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)  # adds the views
    for name in SLICE_VIEWS:
        _show_in_slice_view(standalone, name, background, foreground, foreground_opacity)
    centre, radius = _centre_and_radius(background)
    _aim_camera(standalone.scene, centre, radius)
    crosshair = standalone.scene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
    crosshair.SetCrosshairRAS(*centre)
    crosshair.SetCrosshairMode(crosshair.ShowBasic)


def _show_in_slice_view(
    standalone: StandaloneScene,
    name: str,
    background: slicer.vtkMRMLVolumeNode,
    foreground: slicer.vtkMRMLVolumeNode,
    foreground_opacity: float,
) -> None:
    logic = slicer.vtkMRMLSliceLogic()
    logic.SetMRMLApplicationLogic(standalone.application_logic)
    logic.SetMRMLScene(standalone.scene)
    logic.SetSliceNode(standalone.scene.GetSingletonNode(name, "vtkMRMLSliceNode"))
    composite = logic.GetSliceCompositeNode()
    composite.SetBackgroundVolumeID(background.GetID())
    composite.SetForegroundVolumeID(foreground.GetID())
    composite.SetForegroundOpacity(foreground_opacity)
    composite.SetLinkedControl(True)
    logic.ResizeSliceNode(VIEW_PIXELS, VIEW_PIXELS)
    logic.FitSliceToVolume(background, VIEW_PIXELS, VIEW_PIXELS)


def _centre_and_radius(volume: slicer.vtkMRMLVolumeNode) -> tuple[np.ndarray, float]:
    """Centre (RAS mm) of the box around the image, and half the diagonal of that box in mm."""
    bounds = np.zeros(6)
    volume.GetRASBounds(bounds)
    low, high = bounds[0::2], bounds[1::2]
    return (low + high) / 2, float(np.linalg.norm(high - low)) / 2


def _aim_camera(scene: slicer.vtkMRMLScene, centre: np.ndarray, radius: float) -> None:
    """Look at the image from the front, far enough to see all of it, head up."""
    camera = scene.AddNewNodeByClass("vtkMRMLCameraNode", "Camera")
    camera.SetLayoutName(THREE_D_VIEW)
    distance = radius / np.sin(np.radians(camera.GetCamera().GetViewAngle() / 2))
    camera.SetFocalPoint(*centre)
    camera.SetPosition(centre[0], centre[1] + distance, centre[2])
    camera.SetViewUp(0, 0, 1)
