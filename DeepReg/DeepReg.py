"""DeepReg: registers two images of the same anatomy in seconds and shows how well they fit.

The module of 3D Slicer; what it does is in ``DeepRegSlicer`` (nodes, panel) and ``DeepRegLib`` (the registrator). For
the Python console::

    import DeepReg
    result = DeepReg.register("CT inhale", "CT exhale", quality="accurate")
    result.transform, result.warped, result.evidence["folding_percent"]
    DeepReg.evaluate(result.transform)["similarity"]
    DeepReg.methods()

(``help(DeepReg.register)`` names all options.)
"""

from __future__ import annotations

import slicer
import vtk
from DeepRegSlicer.console import evaluate, methods, register
from DeepRegSlicer.help_text import acknowledgement, contributors, help_text
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

__all__ = ["DeepReg", "DeepRegLogic", "DeepRegTest", "DeepRegWidget", "evaluate", "methods", "register"]


class DeepReg(ScriptedLoadableModule):
    """What Slicer shows of the module before it is opened."""

    def __init__(self, parent) -> None:
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("DeepReg")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Registration")]
        self.parent.dependencies = []
        self.parent.contributors = contributors()
        self.parent.helpText = help_text()
        self.parent.acknowledgementText = acknowledgement()
        slicer.app.connect("startupCompleted()", register_sample_data)


def register_sample_data() -> None:
    """Add the sample pairs to the module Sample Data; nothing is downloaded before a click."""
    from DeepRegSlicer.sample_data import register_sample_data as add_samples

    add_samples()


class DeepRegWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel's life in Slicer: built, entered, left, scene closed, reloaded. The panel itself is
    :class:`DeepRegSlicer.panel.panel.Panel`."""

    def __init__(self, parent=None) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self.panel = None
        self._parameterNode = None
        self._parameterNodeGuiTag = None

    def setup(self) -> None:
        """Build the panel: nothing is installed, downloaded or read from the disk but the panel's own file."""
        ScriptedLoadableModuleWidget.setup(self)
        from DeepRegSlicer.panel.panel import Panel

        uiWidget = slicer.util.loadUI(self.resourcePath("UI/DeepReg.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.logic = DeepRegLogic()
        self.panel = Panel(self.ui, slicer.mrmlScene)
        self.panel.connect()
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEndClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartImportEvent, self.onSceneStartImport)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndImportEvent, self.onSceneEndImport)
        self.initializeParameterNode()

    def cleanup(self) -> None:
        """The application quits, or the module is reloaded: no process may stay behind."""
        if self.panel is not None:
            self.panel.disconnect()
        self.setParameterNode(None)
        self.removeObservers()

    def enter(self) -> None:
        self.initializeParameterNode()
        self.panel.enter()

    def exit(self) -> None:
        """Another module is opened: a registration that runs goes on, and the parameter node is still followed."""
        self.panel.leave()

    def onSceneStartClose(self, caller, event) -> None:
        """What the panel works on is about to vanish."""
        self.panel.close_scene()
        self.setParameterNode(None)

    def onSceneEndClose(self, caller, event) -> None:
        self.initializeParameterNode()

    def onSceneStartImport(self, caller, event) -> None:
        """Node selectors lose their choice while a scene is read, and would write that into the parameter node."""
        self.setParameterNode(None)

    def onSceneEndImport(self, caller, event) -> None:
        """A loaded scene may have brought other parameters."""
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


class DeepRegLogic(ScriptedLoadableModuleLogic):
    """Registration without the panel; the same functions as in the module."""

    def getParameterNode(self):
        """The panel's parameters in this scene."""
        from DeepRegSlicer.parameter_words import forget_unknown_words
        from DeepRegSlicer.parameters import RANGES, WORDS, DeepRegParameters

        node = super().getParameterNode()
        forget_unknown_words(node, WORDS, RANGES)
        return DeepRegParameters(node)

    def register(self, *arguments, **options):
        """See :func:`DeepRegSlicer.console.register`."""
        return register(*arguments, **options)

    def evaluate(self, *arguments, **options):
        """See :func:`DeepRegSlicer.console.evaluate`."""
        return evaluate(*arguments, **options)

    def methods(self):
        """See :func:`DeepRegSlicer.console.methods`."""
        return methods()


class DeepRegTest(ScriptedLoadableModuleTest):
    """What Slicer runs with *Reload and Test* and in CTest: a phantom pair from nodes to errors."""

    def setUp(self) -> None:
        slicer.mrmlScene.Clear()

    def runTest(self) -> None:
        self.setUp()
        self.test_a_phantom_is_registered_to_a_third_of_its_voxels()
        self.setUp()
        self.test_an_image_and_itself_are_refused()

    def test_a_phantom_is_registered_to_a_third_of_its_voxels(self) -> None:
        import numpy as np
        from DeepRegLib.phantom import make_phantom
        from DeepRegSlicer.nodes import add_volume

        self.delayDisplay("Registering a phantom")
        pair = make_phantom((64, 48, 48), seed=1)
        fixed = add_volume(slicer.mrmlScene, pair.fixed, "fixed")
        moving = add_volume(slicer.mrmlScene, pair.moving, "moving")
        result = DeepRegLogic().register(fixed, moving, method="lucas-kanade")
        ras = pair.fixed_landmarks * [-1, -1, 1]
        from_parent = result.transform.GetTransformFromParent()
        mapped = np.array([from_parent.TransformPoint(point) for point in ras]) * [-1, -1, 1]
        error = np.linalg.norm(mapped - pair.moving_landmarks, axis=1).mean()
        self.assertLess(error, np.mean(pair.fixed.geometry.spacing) / 3)
        self.assertEqual(result.evidence["folding_percent"], 0)

    def test_an_image_and_itself_are_refused(self) -> None:
        from DeepRegLib.errors import BadInput
        from DeepRegLib.phantom import make_phantom
        from DeepRegSlicer.nodes import add_volume

        fixed = add_volume(slicer.mrmlScene, make_phantom((32, 32, 32), seed=1).fixed, "fixed")
        self.assertRaises(BadInput, register, fixed, fixed)
