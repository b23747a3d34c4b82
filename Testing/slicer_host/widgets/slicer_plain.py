"""qMRMLWidget and small widgets of Slicer."""

from __future__ import annotations

from typing import Any

from PySide6 import QtWidgets
from PySide6.QtCore import Signal

from slicer_host.widgets.base import standin


@standin("mrmlSceneChanged(vtkMRMLScene*)")
class qMRMLWidget(QtWidgets.QWidget):
    """A widget that hands the scene on (Libs/MRML/Widgets/qMRMLWidget.h)."""

    mrmlSceneChanged = Signal(object)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self.__dict__["_scene"] = None

    def mrmlScene(self) -> Any:
        return self._scene

    def setMRMLScene(self, scene: Any) -> None:
        if scene is not self._scene:
            self.__dict__["_scene"] = scene
            self.mrmlSceneChanged.emit(scene)


@standin("mrmlSceneChanged(vtkMRMLScene*)")
class qSlicerWidget(qMRMLWidget):
    """The same for widgets of modules (Base/QTGUI/qSlicerWidget.h)."""
