"""``slicer.modules`` and the modules in it."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import slicer
from PySide6 import QtCore, QtGui, QtWidgets
from PySide6.QtCore import Property, Signal

from slicer_host.strict import Strict
from slicer_host.widgets.base import stored
from slicer_host.widgets.slicer_plain import qSlicerWidget


class BuiltInModule(Strict):
    """A module of Slicer itself; only its logic is here."""

    name: str
    _logic: Any

    def __init__(self, name: str, logic: Any) -> None:
        self.name, self._logic = name, logic

    def logic(self) -> Any:
        return self._logic


class qSlicerScriptedLoadableModule(QtCore.QObject):
    """The C++ side of a scripted module: what ``self.parent`` of the Python class is
    (Base/QTGUI/qSlicerScriptedLoadableModule.h, Base/QTCore/qSlicerAbstractCoreModule.h)."""

    title, _ = stored("title", str, "")
    categories, _ = stored("categories", "QStringList", ())
    contributors, _ = stored("contributors", "QStringList", ())
    dependencies, _ = stored("dependencies", "QStringList", ())
    associatedNodeTypes, _ = stored("associatedNodeTypes", "QStringList", ())
    helpText, _ = stored("helpText", str, "")
    acknowledgementText, _ = stored("acknowledgementText", str, "")
    hidden, _ = stored("hidden", bool, False)
    index, _ = stored("index", int, -1)
    icon, _ = stored("icon", QtGui.QIcon, QtGui.QIcon())

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.setObjectName(path.stem)
        self.__dict__.update(_path=path, _logic=None, _widget=None)

    path = Property(str, lambda self: str(self._path))

    def logic(self) -> Any:
        if self._logic is None:
            logic = slicer.vtkSlicerScriptedLoadableModuleLogic()
            logic.SetMRMLApplicationLogic(slicer.app.applicationLogic())
            logic.SetMRMLScene(slicer.mrmlScene)
            self.__dict__["_logic"] = logic
        return self._logic

    def widgetRepresentation(self) -> qSlicerScriptedLoadableModuleWidget:
        """The one panel of the module, made when first asked for."""
        if self._widget is None:
            self.__dict__["_widget"] = self.createNewWidgetRepresentation()
        return self._widget

    def createNewWidgetRepresentation(self) -> qSlicerScriptedLoadableModuleWidget:
        """The panel gets the scene after its setup, as in Slicer."""
        panel = qSlicerScriptedLoadableModuleWidget(self._path.stem)
        panel.setup()
        panel.setMRMLScene(slicer.mrmlScene)
        return panel

    def forget_widget(self) -> None:
        """Clean the panel up and delete it, as when the module is unloaded."""
        if self._widget is not None:
            slicer.app.moduleManager().moduleAboutToBeUnloaded.emit(self._path.stem)  # its panel cleans up
            self._widget.hide()
            self._widget.deleteLater()
            self.__dict__["_widget"] = None
            delattr(slicer.modules, f"{self._path.stem}Widget")


class qSlicerScriptedLoadableModuleWidget(qSlicerWidget):
    """The C++ side of a module's panel; ``self()`` is the Python object
    (Base/QTGUI/qSlicerScriptedLoadableModuleWidget.h, qSlicerAbstractModuleWidget.h)."""

    isEntered = Property(bool, lambda self: self._entered)

    def __init__(self, module_name: str) -> None:
        super().__init__()
        self.setObjectName(f"{module_name}ModuleWidget")
        self.setLayout(QtWidgets.QVBoxLayout())
        self.__dict__.update(_entered=False, _module_name=module_name)
        self._make_python_side()

    def self(self) -> Any:
        return self._self

    def setup(self) -> None:
        self._self.setup()

    def reload(self) -> None:
        """A new Python object from the module as it is now; what ``slicer.util.reloadScriptedModule`` ends with."""
        self._make_python_side()
        self.setup()

    def enter(self) -> None:
        self.__dict__["_entered"] = True
        if hasattr(self._self, "enter"):
            self._self.enter()

    def exit(self) -> None:
        self.__dict__["_entered"] = False
        if hasattr(self._self, "exit"):
            self._self.exit()

    def _make_python_side(self) -> None:
        name = f"{self._module_name}Widget"
        self.__dict__["_self"] = getattr(sys.modules[self._module_name], name)(self)
        setattr(slicer.modules, name, self._self)


class qSlicerModuleManager(QtCore.QObject):
    """``slicer.app.moduleManager()`` (Base/QTCore/qSlicerModuleManager.h)."""

    moduleLoaded = Signal(str)
    moduleAboutToBeUnloaded = Signal(str)
    moduleUnloaded = Signal(str)

    def module(self, name: str) -> Any:
        return getattr(slicer.modules, name.lower(), None)

    def isLoaded(self, name: str) -> bool:
        return hasattr(slicer.modules, name.lower())

    def modulesNames(self) -> tuple[str, ...]:
        return tuple(sorted(name for name in vars(slicer.modules) if not name.startswith("_")))


def load_scripted_module(path: Path) -> qSlicerScriptedLoadableModule:
    """Load a module file as Slicer does at start: its folder on the path, an instance of its class made,
    ``slicer.modules.<name>`` set."""
    folder = str(path.parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    source = importlib.import_module(path.stem)
    module = qSlicerScriptedLoadableModule(path)
    instance = getattr(source, path.stem)(module)
    module.__dict__["_instance"] = instance
    setattr(slicer.modules, f"{path.stem}Instance", instance)
    setattr(slicer.modules, path.stem.lower(), module)
    if hasattr(instance, "setup"):
        instance.setup()
    slicer.app.moduleManager().moduleLoaded.emit(path.stem)
    return module


def make_modules(logics: dict[str, Any]) -> ModuleType:
    """The package ``slicer.modules`` with Slicer's own modules, as far as their logic is here."""
    modules = ModuleType("slicer.modules")
    for name, logic in logics.items():
        setattr(modules, name.lower(), BuiltInModule(name, logic))
    return modules
