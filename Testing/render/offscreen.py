"""Slice and 3-D views of a scene, drawn off screen by 3D Slicer's own displayable managers."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import slicer
import vtk
import vtkmodules.vtkRenderingFreeType
import vtkmodules.vtkRenderingOpenGL2  # noqa: F401 (registers the OpenGL classes)
from DeepRegSlicer.compare_views import slice_logic
from DeepRegSlicer.scene import StandaloneScene
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

VIEW_PIXELS = 500
SLICE_MANAGERS = (
    "vtkMRMLCrosshairDisplayableManager",
    "vtkMRMLModelSliceDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager2D",
    "vtkMRMLMarkupsDisplayableManager",
    "vtkMRMLTransformsDisplayableManager2D",
    "vtkMRMLColorLegendDisplayableManager",
)
THREE_D_MANAGERS = (  # not vtkMRMLViewDisplayableManager: with it the process dies at its end
    "vtkMRMLCameraDisplayableManager",
    "vtkMRMLModelDisplayableManager",
    "vtkMRMLThreeDReformatDisplayableManager",
    "vtkMRMLMarkupsDisplayableManager",
    "vtkMRMLTransformsDisplayableManager3D",
    "vtkMRMLColorLegendDisplayableManager",
)


def with_views(standalone: StandaloneScene) -> None:
    """Add what the application has besides: the layout with its view nodes, the interaction node that 3-D views ask
    for, and the legend of the Colors module."""
    scene = standalone.scene
    scene.RegisterNodeClass(slicer.vtkMRMLColorLegendDisplayNode())
    scene.AddNode(slicer.vtkMRMLInteractionNode())
    layout = standalone._add_logic("Layout", slicer.vtkMRMLLayoutLogic())
    standalone._logics.append(layout)
    layout.GetLayoutNode().SetViewArrangement(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)


class _View:
    """A window with the displayable managers of one kind of view; ``size`` is its width and height in pixels.
    ``standalone`` is a :class:`StandaloneScene`, or what has its ``scene``, ``application_logic`` and ``_logics``."""

    def __init__(self, standalone: StandaloneScene, size: tuple[int, int]) -> None:
        self.renderer, self.window = vtk.vtkRenderer(), vtk.vtkRenderWindow()
        self.window.SetOffScreenRendering(True)
        self.window.SetMultiSamples(0)
        self.window.SetAlphaBitPlanes(True)
        self.size = size
        self.window.SetSize(*size)
        self.window.AddRenderer(self.renderer)
        self.interactor = vtk.vtkRenderWindowInteractor()
        self.interactor.SetRenderWindow(self.window)
        self._application = standalone.application_logic
        standalone._logics.append(self)  # to be taken off the scene before it is closed

    def SetMRMLScene(self, _none: None) -> None:  # noqa: N802 (as the logics have it)
        self.group.SetMRMLDisplayableNode(None)

    def _manage(self, factory: vtk.vtkObject, managers: tuple[str, ...], node: slicer.vtkMRMLAbstractViewNode) -> None:
        factory.SetMRMLApplicationLogic(self._application)
        for manager in managers:
            if not factory.IsDisplayableManagerRegistered(manager):
                factory.RegisterDisplayableManager(manager)
        self.group = slicer.vtkMRMLDisplayableManagerGroup()
        self.group.SetRenderer(self.renderer)
        self.group.Initialize(factory, self.renderer)
        self.group.SetMRMLDisplayableNode(node)

    def picture(self) -> np.ndarray:
        """Rendered pixels (row from the top, column, RGB)."""
        self.window.Render()
        grab = vtk.vtkWindowToImageFilter()
        grab.SetInput(self.window)
        grab.ReadFrontBufferOff()
        grab.SetInputBufferTypeToRGB()
        grab.Update()
        flat = vtk_to_numpy(grab.GetOutput().GetPointData().GetScalars())
        width, height = self.size
        return flat.reshape(height, width, 3)[::-1].copy()


class SliceView(_View):
    """A slice view, drawn as the scene has it. Only the window gets its size, as in the application; nothing is fitted
    or moved here. Where the application has a logic for the view, that one is drawn."""

    def __init__(
        self, standalone: StandaloneScene, name: str, size: tuple[int, int] = (VIEW_PIXELS, VIEW_PIXELS)
    ) -> None:
        super().__init__(standalone, size)
        self.renderer.GetActiveCamera().ParallelProjectionOn()
        self.node = standalone.scene.GetSingletonNode(name, "vtkMRMLSliceNode")
        given = slice_logic(self._application, name)
        self.logic = given or self._new_logic(standalone)
        self._logic_is_ours = given is None
        self.logic.ResizeSliceNode(*size)
        self._manage(slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance(), SLICE_MANAGERS, self.node)
        self._add_slice_image()

    def resize(self, size: tuple[int, int]) -> None:
        """Another width and height of the window, in pixels; what is seen keeps its height."""
        self.size = size
        self.window.SetSize(*size)
        self.logic.ResizeSliceNode(*size)

    def _new_logic(self, standalone: StandaloneScene) -> slicer.vtkMRMLSliceLogic:
        logic = slicer.vtkMRMLSliceLogic()
        logic.SetMRMLApplicationLogic(self._application)
        self._application.GetSliceLogics().AddItem(logic)
        logic.SetMRMLScene(standalone.scene)
        logic.SetSliceNode(self.node)
        return logic

    def _add_slice_image(self) -> None:
        """The blended volumes; in the application this actor belongs to the view widget."""
        self._mapper = vtk.vtkImageMapper()
        self._mapper.SetColorWindow(255)
        self._mapper.SetColorLevel(127.5)
        self._mapper.SetInputConnection(self.logic.GetImageDataConnection())
        actor = vtk.vtkActor2D()
        actor.SetMapper(self._mapper)
        actor.GetProperty().SetDisplayLocationToBackground()
        self.renderer.AddViewProp(actor)

    def SetMRMLScene(self, _none: None) -> None:  # noqa: N802
        super().SetMRMLScene(None)
        if self._logic_is_ours:
            self._application.GetSliceLogics().RemoveItem(self.logic)
            self.logic.SetMRMLScene(None)

    def picture(self) -> np.ndarray:
        self._mapper.SetInputConnection(self.logic.GetImageDataConnection())
        return super().picture()


FROM_THE_FRONT = (300.0, 900.0, 400.0)
"""A direction to look from, RAS: from the front, and a little from above and the side."""


class ThreeDView(_View):
    """The first 3-D view."""

    def __init__(self, standalone: StandaloneScene, size: tuple[int, int] = (VIEW_PIXELS, VIEW_PIXELS)) -> None:
        super().__init__(standalone, size)
        self.renderer.GradientBackgroundOn()
        self.renderer.SetBackground(0.76, 0.76, 0.91)
        self.renderer.SetBackground2(0.45, 0.47, 0.75)
        self.node = standalone.scene.GetSingletonNode("1", "vtkMRMLViewNode")
        self._manage(slicer.vtkMRMLThreeDViewDisplayableManagerFactory.GetInstance(), THREE_D_MANAGERS, self.node)

    def look_at(
        self,
        volume: slicer.vtkMRMLVolumeNode,
        direction: tuple[float, float, float] = FROM_THE_FRONT,
        closer: float = 1.0,
    ) -> None:
        """See the whole volume from a direction (RAS), or come ``closer`` by this factor."""
        bounds = np.zeros(6)
        volume.GetRASBounds(bounds)
        centre = (bounds[0::2] + bounds[1::2]) / 2
        camera = self.renderer.GetActiveCamera()
        camera.SetFocalPoint(*centre)
        camera.SetPosition(*(centre + np.array(direction)))
        camera.SetViewUp(0, 0, 1)
        self.renderer.ResetCamera(bounds)
        camera.Dolly(closer)
        self.renderer.ResetCameraClippingRange()


def changed(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Which pixels differ to the eye."""
    return np.abs(one.astype(int) - other.astype(int)).max(-1) > 40


def keep_picture(picture: np.ndarray, name: str, folder: Path) -> None:
    """Write pixels (row, column, RGB) as PNG into the folder that DEEPREG_KEEP_PICTURES names, else into ``folder``."""
    folder = Path(os.environ.get("DEEPREG_KEEP_PICTURES", folder))
    folder.mkdir(parents=True, exist_ok=True)
    height, width = picture.shape[:2]
    image = vtk.vtkImageData()
    image.SetDimensions(width, height, 1)
    image.GetPointData().SetScalars(numpy_to_vtk(np.ascontiguousarray(picture[::-1]).reshape(-1, 3), deep=True))
    writer = vtk.vtkPNGWriter()
    writer.SetFileName(str(folder / f"{name}.png"))
    writer.SetInputData(image)
    writer.Write()
