"""``slicer.app``: the members of qSlicerApplication that modules use (Base/QTCore/qSlicerCoreApplication.h,
Base/QTGUI/qSlicerApplication.h). It is the real QApplication of the process, so Qt's own members are there too."""

from __future__ import annotations

import os
import tempfile
from typing import Any

from PySide6 import QtCore, QtWidgets
from PySide6.QtCore import Property, Signal

from slicer_host.io_manager import qSlicerCoreIOManager
from slicer_host.layout import qSlicerLayoutManager
from slicer_host.modules import qSlicerModuleManager
from slicer_host.pythonqt import CXX_SIGNALS
from slicer_host.scene import ApplicationScene
from slicer_host.strict import Strict
from slicer_host.widgets.base import stored

VERSION = (5, 12)


class CommandOptions(Strict):
    """``slicer.app.commandOptions()``."""

    testingEnabled: bool
    noMainWindow: bool
    pythonCode: str
    verboseModuleDiscovery: bool

    def __init__(self) -> None:
        self.testingEnabled, self.noMainWindow, self.pythonCode, self.verboseModuleDiscovery = True, True, "", False


class qSlicerApplication(QtWidgets.QApplication):
    startupCompleted = Signal()
    renderPaused = Signal(bool)
    mrmlSceneChanged = Signal(object)
    urlReceived = Signal(str)
    usageEventLogged = Signal(str, str)

    temporaryPath, setTemporaryPath = stored("temporaryPath", str, tempfile.gettempdir())
    cachePath, setCachePath = stored("cachePath", str, tempfile.gettempdir())
    defaultScenePath, setDefaultScenePath = stored("defaultScenePath", str, tempfile.gettempdir())
    extensionsInstallPath, setExtensionsInstallPath = stored("extensionsInstallPath", str, "")
    majorVersion = Property(int, lambda self: VERSION[0])
    minorVersion = Property(int, lambda self: VERSION[1])
    slicerHome = Property(str, lambda self: "")
    isInstalled = Property(bool, lambda self: True)
    revision = Property(str, lambda self: "0")
    os = Property(str, lambda self: "linux")
    arch = Property(str, lambda self: "amd64")
    applicationLocaleName = Property(str, lambda self: "en_US")
    documentationBaseUrl = Property(str, lambda self: "https://slicer.readthedocs.io/")

    def __init__(self, scene: ApplicationScene) -> None:
        super().__init__(["Slicer", "-platform", "offscreen"])
        self.setApplicationName("Slicer")
        self.setOrganizationName("SlicerHost")
        self.setQuitOnLastWindowClosed(False)
        QtCore.QSettings.setDefaultFormat(QtCore.QSettings.IniFormat)
        QtCore.QSettings.setPath(QtCore.QSettings.IniFormat, QtCore.QSettings.UserScope, scene.folder)
        self.__dict__.update(
            _host=scene,
            _options=CommandOptions(),
            _modules=qSlicerModuleManager(),
            _layout_manager=qSlicerLayoutManager(scene),
            _io=qSlicerCoreIOManager(scene),
            _startup_environment=QtCore.QProcessEnvironment.systemEnvironment(),
            _paused=0,
        )

    def mrmlScene(self) -> Any:
        return self._host.scene

    def applicationLogic(self) -> Any:
        return self._host.application_logic

    def moduleLogic(self, name: str) -> Any:
        return self._host.application_logic.GetModuleLogic(name)

    def layoutManager(self) -> qSlicerLayoutManager:
        return self._layout_manager

    def moduleManager(self) -> qSlicerModuleManager:
        return self._modules

    def coreIOManager(self) -> qSlicerCoreIOManager:
        return self._io

    def ioManager(self) -> qSlicerCoreIOManager:
        return self._io

    def commandOptions(self) -> CommandOptions:
        return self._options

    def testingEnabled(self) -> bool:
        return self._options.testingEnabled

    def settings(self) -> QtCore.QSettings:
        return QtCore.QSettings()

    userSettings = revisionUserSettings = settings

    def startupEnvironment(self) -> QtCore.QProcessEnvironment:
        return self._startup_environment

    def environment(self) -> QtCore.QProcessEnvironment:
        return QtCore.QProcessEnvironment.systemEnvironment()

    def setEnvironmentVariable(self, name: str, value: str) -> None:
        os.environ[name] = value

    def moduleDocumentationUrl(self, name: str) -> str:
        return f"{self.documentationBaseUrl}user_guide/modules/{name.lower()}.html"

    def pauseRender(self) -> None:
        self._count_pauses(1)

    def resumeRender(self) -> None:
        self._count_pauses(-1)

    def setRenderPaused(self, paused: bool) -> None:
        self._count_pauses(1 if paused else -1)

    def _count_pauses(self, change: int) -> None:
        self.__dict__["_paused"] += change
        self.renderPaused.emit(self._paused > 0)


CXX_SIGNALS[qSlicerApplication] = {"mrmlSceneChanged(vtkMRMLScene*)": "mrmlSceneChanged"}
