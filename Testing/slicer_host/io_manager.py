"""``slicer.app.coreIOManager()``: files into nodes and back (Base/QTCore/qSlicerCoreIOManager.h). As in Slicer the
readers are thin: the logic of the module does the work, and a volume is shown in the slice views."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import slicer
from PySide6 import QtCore
from PySide6.QtCore import Signal

from slicer_host.dialogs import refusal
from slicer_host.scene import ApplicationScene

Properties = dict[str, Any]
VOLUME_OPTIONS = {"labelmap": 1, "center": 2, "singleFile": 4, "autoWindowLevel": 8, "discardOrientation": 16}
"""Bits of vtkSlicerVolumesLogic::AddArchetypeVolume."""

FILE_TYPES = {
    "SceneFile": (".mrml", ".mrb"),
    "SegmentationFile": (".seg.nrrd", ".seg.nhdr"),
    "MarkupsFile": (".mrk.json", ".fcsv"),
    "TransformFile": (".h5", ".tfm", ".mat"),
    "ModelFile": (".vtk", ".vtp", ".stl", ".ply", ".obj"),
    "TableFile": (".tsv", ".csv"),
    "VolumeFile": (".nrrd", ".nhdr", ".mha", ".mhd", ".nii", ".nii.gz", ".dcm"),
}
"""In the order in which a name is tried."""

WRITER_TYPES = {
    "vtkMRMLSegmentationNode": "SegmentationFile",
    "vtkMRMLMarkupsNode": "MarkupsFile",
    "vtkMRMLTransformNode": "TransformFile",
    "vtkMRMLModelNode": "ModelFile",
    "vtkMRMLTableNode": "TableFile",
    "vtkMRMLVolumeNode": "VolumeFile",
}


class qSlicerCoreIOManager(QtCore.QObject):
    newFileLoaded = Signal(object)
    fileSaved = Signal(object)

    def __init__(self, host: ApplicationScene) -> None:
        super().__init__()
        readers: dict[str, Callable[[str, Properties, Any], list[Any]]] = {
            "SceneFile": self._read_scene,
            "VolumeFile": self._read_volume,
            "TransformFile": self._read_transform,
            "MarkupsFile": self._read_markups,
            "SegmentationFile": self._read_segmentation,
            "ModelFile": self._read_model,
            "TableFile": self._read_table,
        }
        self.__dict__.update(_host=host, _readers=readers)

    openDialog = staticmethod(refusal("ioManager().openDialog"))
    openAddDataDialog = staticmethod(refusal("ioManager().openAddDataDialog"))
    openAddVolumeDialog = staticmethod(refusal("ioManager().openAddVolumeDialog"))
    openSaveDataDialog = staticmethod(refusal("ioManager().openSaveDataDialog"))

    def fileType(self, path: str) -> str:
        name = Path(path).name.lower()
        return next((kind for kind, suffixes in FILE_TYPES.items() if name.endswith(suffixes)), "NoFile")

    def fileWriterFileType(self, node: Any) -> str:
        return next((kind for node_class, kind in WRITER_TYPES.items() if node.IsA(node_class)), "NoFile")

    def loadNodes(self, file_type: str, properties: Properties, loaded: Any = None, messages: Any = None) -> bool:
        """True when something was loaded; the nodes are added to the collection ``loaded``."""
        path = properties["fileName"]
        if not isinstance(path, str):
            raise TypeError("fileName must be a str; PythonQt cannot convert a Path")
        if file_type not in self._readers or not Path(path).exists():
            return False
        nodes = self._readers[file_type](path, properties, messages)
        for node in nodes if loaded is not None else []:
            loaded.AddItem(node)
        if nodes or file_type == "SceneFile":
            self.newFileLoaded.emit(properties)
            return file_type == "SceneFile" or all(node is not None for node in nodes)
        return False

    def loadScene(self, path: str, clear: bool = True, messages: Any = None) -> bool:
        return self.loadNodes("SceneFile", {"fileName": path, "clear": clear}, None, messages)

    def loadFile(self, path: str, messages: Any = None) -> bool:
        return self.loadNodes(self.fileType(path), {"fileName": path}, None, messages)

    def saveNodes(self, file_type: str, properties: Properties, messages: Any = None, scene: Any = None) -> bool:
        path = properties["fileName"]
        if file_type == "SceneFile":
            return self.saveScene(path, None, messages)
        node = self._host.scene.GetNodeByID(properties["nodeID"])
        storage = self.createAndAddDefaultStorageNode(node)
        if storage is None:
            return False
        storage.SetFileName(path)
        saved = bool(storage.WriteData(node))
        self.fileSaved.emit(properties)
        return saved

    def saveScene(self, path: str, screen_shot: Any = None, messages: Any = None) -> bool:
        if path.lower().endswith(".mrb"):
            return bool(self._host.scene.WriteToMRB(path, None, messages))
        if path.lower().endswith(".mrml"):
            return bool(self._host.scene.Commit(path, messages))
        return bool(self._host.scene.SaveSceneToSlicerDataBundleDirectory(path, None, messages))

    def addDefaultStorageNodes(self) -> None:
        for node in slicer.util.getNodesByClass("vtkMRMLStorableNode", self._host.scene):
            self.createAndAddDefaultStorageNode(node)

    def createAndAddDefaultStorageNode(self, node: Any) -> Any:
        if node.GetStorageNode() is None:
            node.AddDefaultStorageNode()
        return node.GetStorageNode()

    def _name(self, path: str, properties: Properties) -> str:
        name = properties.get("name") or Path(path).name
        for suffix in (s for suffixes in FILE_TYPES.values() for s in suffixes):
            name = name.removesuffix(suffix)
        return name

    def _read_scene(self, path: str, properties: Properties, messages: Any) -> list[Any]:
        scene, clear = self._host.scene, properties.get("clear", True)
        if path.lower().endswith(".mrb"):
            if not scene.ReadFromMRB(path, clear, messages):
                return [None]
        else:
            scene.SetURL(path)
            if not (scene.Connect(messages) if clear else scene.Import(messages)):
                return [None]
        return []

    def _read_volume(self, path: str, properties: Properties, messages: Any) -> list[Any]:
        options = sum(bit for name, bit in VOLUME_OPTIONS.items() if properties.get(name))
        node = self._host.logics["Volumes"].AddArchetypeVolume(path, self._name(path, properties), options)
        if node is not None and properties.get("show", True):
            selection = self._host.application_logic.GetSelectionNode()
            if node.IsA("vtkMRMLLabelMapVolumeNode"):
                selection.SetActiveLabelVolumeID(node.GetID())
            else:
                selection.SetActiveVolumeID(node.GetID())
            self._host.application_logic.PropagateVolumeSelection()
        return [node] if node is not None else []

    def _read_transform(self, path: str, properties: Properties, messages: Any) -> list[Any]:
        node = self._host.logics["Transforms"].AddTransform(path, self._host.scene, messages)
        return [node] if node is not None else []

    def _read_markups(self, path: str, properties: Properties, messages: Any) -> list[Any]:
        ids = self._host.logics["Markups"].LoadMarkups(path, self._name(path, properties), messages)
        return [self._host.scene.GetNodeByID(node_id) for node_id in ids.split(",")] if ids else []

    def _read_segmentation(self, path: str, properties: Properties, messages: Any) -> list[Any]:
        name = self._name(path, properties)
        node = self._host.logics["Segmentations"].LoadSegmentationFromFile(path, False, name, None, messages)
        return [node] if node is not None else []

    def _read_model(self, path: str, properties: Properties, messages: Any) -> list[Any]:
        node = self._host.logics["Models"].AddModel(path, slicer.vtkMRMLStorageNode.CoordinateSystemLPS, messages)
        return [node] if node is not None else []

    def _read_table(self, path: str, properties: Properties, messages: Any) -> list[Any]:
        node = self._host.logics["Tables"].AddTable(path, self._name(path, properties), True, "", messages)
        return [node] if node is not None else []
