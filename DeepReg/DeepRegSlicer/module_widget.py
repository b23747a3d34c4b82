"""The life of a module's panel in Slicer, the same for all modules of the extension."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import slicer
import vtk
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleWidget
from slicer.util import VTKObservationMixin


class ModulePanel(Protocol):
    """What a module shows. ``set_parameters(None)`` lets go of the parameter node for a while; ``close_scene`` of all
    nodes, which are about to vanish; ``disconnect`` of everything."""

    def connect(self) -> None: ...
    def disconnect(self) -> None: ...
    def enter(self) -> None: ...
    def leave(self) -> None: ...
    def close_scene(self) -> None: ...
    def set_parameters(self, parameters: Any) -> None: ...
    def update(self) -> None: ...


class ModuleWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """Built, entered, left, scene closed or read, reloaded. A module's own class says which panel and which logic."""

    def __init__(self, parent=None) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self.panel: ModulePanel | None = None
        self._parameterNode = None
        self._parameterNodeGuiTag = None

    def build(self, ui_file: str, logic: Any, new_panel: Callable[[Any, slicer.vtkMRMLScene], ModulePanel]) -> None:
        """To be called by ``setup()``. Nothing is installed, downloaded, started or read but the panel's own file."""
        uiWidget = slicer.util.loadUI(self.resourcePath(ui_file))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        scene = slicer.mrmlScene
        uiWidget.setMRMLScene(scene)
        self.logic = logic
        self.panel = new_panel(self.ui, scene)
        self.panel.connect()
        self.addObserver(scene, scene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(scene, scene.EndCloseEvent, self.onSceneChanged)
        self.addObserver(scene, scene.StartImportEvent, self.onSceneStartImport)
        self.addObserver(scene, scene.EndImportEvent, self.onSceneChanged)
        self.initializeParameterNode()

    def cleanup(self) -> None:
        """The application quits, or the module is reloaded."""
        if self.panel is not None:
            self.panel.disconnect()
        self.setParameterNode(None)
        self.removeObservers()

    def enter(self) -> None:
        self.initializeParameterNode()
        self.panel.enter()

    def exit(self) -> None:
        """Another module is opened; the parameter node is still followed."""
        self.panel.leave()

    def onSceneStartClose(self, caller, event) -> None:
        self.panel.close_scene()
        self.setParameterNode(None)

    def onSceneStartImport(self, caller, event) -> None:
        """Node selectors lose their choice while a scene is read, and would write that into the parameter node."""
        self.setParameterNode(None)

    def onSceneChanged(self, caller, event) -> None:
        """A closed scene has no parameter node, a loaded one may bring its own."""
        self.initializeParameterNode()

    def initializeParameterNode(self) -> None:
        self.setParameterNode(self.logic.getParameterNode())

    def setParameterNode(self, parameterNode) -> None:
        if self._parameterNode is not None:
            self._parameterNode.disconnectGui(self._parameterNodeGuiTag)
            self.removeObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self.onParametersModified)
        self._parameterNode = parameterNode
        if parameterNode is not None:
            self._parameterNodeGuiTag = parameterNode.connectGui(self.ui)
            self.addObserver(parameterNode, vtk.vtkCommand.ModifiedEvent, self.onParametersModified)
        if self.panel is not None:
            self.panel.set_parameters(parameterNode)

    def onParametersModified(self, caller=None, event=None) -> None:
        self.panel.update()
