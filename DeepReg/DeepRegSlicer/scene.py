"""An MRML scene outside the application: what 3D Slicer sets up at start, and no more.

Inside Slicer use ``slicer.mrmlScene``. Outside it, ``import slicer`` (the package slicer-core) gives the same classes,
but a bare ``vtkMRMLScene`` knows neither markups nor tables and reads no scene bundle; :class:`StandaloneScene` does.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from types import TracebackType

import slicer
import vtk
from DeepRegLib.errors import BadInput

LOGICS = {
    "Volumes": slicer.vtkSlicerVolumesLogic,
    "Transforms": slicer.vtkSlicerTransformLogic,
    "Markups": slicer.vtkSlicerMarkupsLogic,
    "Tables": slicer.vtkSlicerTablesLogic,
}
"""Modules whose logic registers the node and storage classes that registration results need."""


class StandaloneScene:
    """A scene with its logics; use it in a ``with`` block, which releases everything and removes temporary files.

    ``scene`` is the vtkMRMLScene, ``application_logic`` the vtkSlicerApplicationLogic that views and slice logics need.
    It leaves ``slicer.mrmlScene`` alone, so that it can be used inside the application too.

    >>> with StandaloneScene() as standalone:
    ...     node = standalone.scene.AddNewNodeByClass("vtkMRMLTableNode", "errors")
    ...     node.GetID()
    'vtkMRMLTableNode1'
    """

    def __init__(self) -> None:
        self.scene = slicer.vtkMRMLScene()
        self.application_logic = slicer.vtkSlicerApplicationLogic()
        self._add_crosshair()  # before the logics, as the application does: they look it up by its tag
        self.application_logic.SetMRMLScene(self.scene)
        self.application_logic.SetSliceLogics(vtk.vtkCollection())
        self.application_logic.SetViewLogics(vtk.vtkCollection())
        colors = self.application_logic.GetColorLogic()
        colors.SetMRMLScene(self.scene)
        colors.AddDefaultColorNodes()
        slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(self.scene, True)
        self._logics = [self._add_logic(name, kind()) for name, kind in LOGICS.items()]
        self._cache = tempfile.TemporaryDirectory(prefix="mrml_scene_")
        self._connect_data_io()

    def read(self, path: Path) -> None:
        """Replace the scene by that of a bundle (.mrb) file. Raises :class:`BadInput` when it cannot be read."""
        messages = slicer.vtkMRMLMessageCollection()
        if not self.scene.ReadFromMRB(str(path), True, messages):
            raise BadInput(f"The scene {path} cannot be read. {messages.GetAllMessagesAsString()}".rstrip())

    def close(self) -> None:
        """Release scene and logics and remove the temporary folder; a second call does nothing."""
        for logic in reversed(self._logics):
            logic.SetMRMLScene(None)
        self._logics.clear()
        self.scene.Clear(1)
        self.application_logic.SetMRMLScene(None)
        self._cache.cleanup()

    def __enter__(self) -> StandaloneScene:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _add_crosshair(self) -> None:
        crosshair = slicer.vtkMRMLCrosshairNode()
        crosshair.SetCrosshairName("default")
        self.scene.AddNode(crosshair)

    def _add_logic(self, name: str, logic: vtk.vtkObject) -> vtk.vtkObject:
        logic.SetMRMLScene(self.scene)
        logic.SetMRMLApplicationLogic(self.application_logic)
        self.application_logic.SetModuleLogic(name, logic)
        return logic

    def _connect_data_io(self) -> None:
        """Scene bundles are unpacked into the cache folder of this chain of objects."""
        self._remote_io, self._data_io = slicer.vtkMRMLRemoteIOLogic(), slicer.vtkDataIOManagerLogic()
        self._remote_io.GetCacheManager().SetRemoteCacheDirectory(self._cache.name)
        self._data_io.SetMRMLApplicationLogic(self.application_logic)
        self._data_io.SetAndObserveDataIOManager(self._remote_io.GetDataIOManager())
        self.application_logic.SetMRMLSceneDataIO(self.scene, self._remote_io, self._data_io)
