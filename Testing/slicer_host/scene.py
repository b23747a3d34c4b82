"""The application's scene: one, with the logic of every module, kept for the life of the process."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import slicer
import vtk

LOGICS = {
    "Colors": "vtkSlicerColorLogic",
    "Volumes": "vtkSlicerVolumesLogic",
    "Transforms": "vtkSlicerTransformLogic",
    "Markups": "vtkSlicerMarkupsLogic",
    "Models": "vtkSlicerModelsLogic",
    "Segmentations": "vtkSlicerSegmentationsModuleLogic",
    "SubjectHierarchy": "vtkSlicerSubjectHierarchyModuleLogic",
    "Units": "vtkSlicerUnitsLogic",
    "Tables": "vtkSlicerTablesLogic",
    "Plots": "vtkSlicerPlotsLogic",
    "Texts": "vtkSlicerTextsLogic",
    "Sequences": "vtkSlicerSequencesLogic",
    "CropVolume": "vtkSlicerCropVolumeLogic",
    "VolumeRendering": "vtkSlicerVolumeRenderingLogic",
}
"""Module logics by the name under which the application logic knows them."""


class ApplicationScene:
    """``scene``, ``application_logic`` and ``logics`` (by module name)."""

    def __init__(self) -> None:
        self.scene = slicer.vtkMRMLScene()
        self.application_logic = slicer.vtkSlicerApplicationLogic()
        self._folder = tempfile.TemporaryDirectory(prefix="slicer_host_")
        (Path(self._folder.name) / "share" / "ColorFiles").mkdir(parents=True)  # looked for at start
        self.application_logic.SetHomeDirectory(self._folder.name)
        self.application_logic.SetShareDirectory("share")
        crosshair = slicer.vtkMRMLCrosshairNode()  # before the logics, as the application does
        crosshair.SetCrosshairName("default")
        self.scene.AddNode(crosshair)
        self.application_logic.SetMRMLScene(self.scene)
        self.application_logic.SetSliceLogics(vtk.vtkCollection())
        self.application_logic.SetViewLogics(vtk.vtkCollection())
        slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(self.scene, True)
        self._connect_data_io()
        self.logics = {name: self._add_logic(name, getattr(slicer, kind)()) for name, kind in LOGICS.items()}
        self.application_logic.SetColorLogic(self.logics["Colors"])
        self.logics["Colors"].AddDefaultColorNodes()
        self._own_nodes: set[str] = set()

    def remember_own_nodes(self) -> None:
        """What is in the scene now stays when it is emptied."""
        self._own_nodes = {node.GetID() for node in self._nodes()}

    @property
    def folder(self) -> str:
        """Temporary files of the application; gone when the process ends."""
        return self._folder.name

    def reset(self) -> None:
        """As after the start of the application: close the scene, drop what closing leaves behind."""
        self.scene.Clear(False)
        for node in self._nodes():
            if node.GetID() not in self._own_nodes and self.scene.IsNodePresent(node):
                self.scene.RemoveNode(node)
        self.scene.SetURL("")
        self.scene.SetRootDirectory("")
        self.scene.ClearUndoStack()

    def _nodes(self) -> list[Any]:
        return [self.scene.GetNthNode(index) for index in range(self.scene.GetNumberOfNodes())]

    def _add_logic(self, name: str, logic: Any) -> Any:
        logic.SetMRMLApplicationLogic(self.application_logic)
        logic.SetMRMLScene(self.scene)
        self.application_logic.SetModuleLogic(name, logic)
        return logic

    def _connect_data_io(self) -> None:
        """Scene bundles are unpacked into the cache folder of this chain of objects."""
        self._remote_io, self._data_io = slicer.vtkMRMLRemoteIOLogic(), slicer.vtkDataIOManagerLogic()
        cache = Path(self._folder.name) / "cache"
        cache.mkdir()
        (cache / ".slicer-cache").touch()  # says that files in it may be deleted
        self._remote_io.GetCacheManager().SetRemoteCacheDirectory(str(cache))
        self._data_io.SetMRMLApplicationLogic(self.application_logic)
        self._data_io.SetAndObserveDataIOManager(self._remote_io.GetDataIOManager())
        self.application_logic.SetMRMLSceneDataIO(self.scene, self._remote_io, self._data_io)
