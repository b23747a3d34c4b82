"""DeepRegTrain: trains registration networks in the background and shows how they learn.

The module of 3D Slicer; what it does is in ``DeepRegSlicer.training`` (panel, runs) and ``DeepRegTrainLib`` (the
trainer, also a command: ``python -m DeepRegTrainLib train --help``).
"""

from __future__ import annotations

import slicer
from DeepRegSlicer.help_text import acknowledgement, contributors, training_help_text
from DeepRegSlicer.module_widget import ModuleWidget
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
)


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


class DeepRegTrainWidget(ModuleWidget):
    """The panel is :class:`DeepRegSlicer.training.panel.TrainingPanel`. Runs are processes of their own: nothing that
    happens here stops them."""

    def setup(self) -> None:
        ModuleWidget.setup(self)
        from DeepRegSlicer.training.panel import TrainingPanel

        self.build("UI/DeepRegTrain.ui", DeepRegTrainLogic(), TrainingPanel)


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
