"""DeepRegTrain: trains registration networks in the background and shows how they learn.

The module of 3D Slicer; what it does is in ``DeepRegSlicer.training`` (panel, runs) and ``DeepRegTrainLib`` (the
trainer, also a command: ``python -m DeepRegTrainLib train --help``).
"""

from __future__ import annotations

import slicer
import vtk
from DeepRegSlicer.help_text import acknowledgement, contributors, training_help_text
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin


class DeepRegTrain(ScriptedLoadableModule):
    """What Slicer shows of the module before it is opened."""

    def __init__(self, parent) -> None:
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("DeepReg Train")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Registration")]
        self.parent.dependencies = ["DeepReg"]
        self.parent.contributors = contributors()
        self.parent.helpText = training_help_text()
        self.parent.acknowledgementText = acknowledgement()


class DeepRegTrainWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel's life in Slicer; the panel itself is :class:`DeepRegSlicer.training.panel.TrainingPanel`. Runs are
    processes of their own: nothing that happens here stops them."""

    def __init__(self, parent=None) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self.panel = None
        self._parameterNode = None
        self._parameterNodeGuiTag = None

    def setup(self) -> None:
        """Build the panel: nothing is started, and no folder is read before the panel is shown."""
        ScriptedLoadableModuleWidget.setup(self)
        from DeepRegSlicer.training.panel import TrainingPanel

        uiWidget = slicer.util.loadUI(self.resourcePath("UI/DeepRegTrain.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.logic = DeepRegTrainLogic()
        self.panel = TrainingPanel(self.ui, slicer.mrmlScene)
        self.panel.connect()
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(scene, scene.EndCloseEvent, self.onSceneChanged)
        self.addObserver(scene, scene.StartImportEvent, self.onSceneStartImport)
        self.addObserver(scene, scene.EndImportEvent, self.onSceneChanged)
        self.initializeParameterNode()

    def cleanup(self) -> None:
        """The application quits, or the module is reloaded: runs go on, what only the panel needs is stopped."""
        if self.panel is not None:
            self.panel.disconnect()
        self.setParameterNode(None)
        self.removeObservers()

    def enter(self) -> None:
        self.initializeParameterNode()
        self.panel.enter()

    def exit(self) -> None:
        self.panel.leave()

    def onSceneStartClose(self, caller, event) -> None:
        self.panel.close_scene()
        self.setParameterNode(None)

    def onSceneStartImport(self, caller, event) -> None:
        """Node selectors lose their choice while a scene is read, and would write that into the parameter node."""
        self.setParameterNode(None)

    def onSceneChanged(self, caller, event) -> None:
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


class DeepRegTrainLogic(ScriptedLoadableModuleLogic):
    """The panel's parameters. Training itself needs no Slicer: see ``python -m DeepRegTrainLib``."""

    def getParameterNode(self):
        """The panel's parameters in this scene."""
        from DeepRegSlicer.parameter_words import forget_unknown_words
        from DeepRegSlicer.training.parameters import RANGES, WORDS, DeepRegTrainParameters

        node = super().getParameterNode()
        forget_unknown_words(node, WORDS, RANGES)
        return DeepRegTrainParameters(node)


class DeepRegTrainTest(ScriptedLoadableModuleTest):
    """What Slicer runs with *Reload and Test* and in CTest."""

    def setUp(self) -> None:
        slicer.mrmlScene.Clear()

    def runTest(self) -> None:
        self.setUp()
        self.test_the_panel_opens_without_torch_and_starts_nothing()

    def test_the_panel_opens_without_torch_and_starts_nothing(self) -> None:
        import sys

        before = "torch" in sys.modules
        self.delayDisplay("Opening the panel")
        slicer.util.selectModule("DeepRegTrain")
        self.assertEqual("torch" in sys.modules, before)
        self.assertIsNotNone(DeepRegTrainLogic().getParameterNode())
