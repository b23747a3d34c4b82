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
from DeepRegSlicer.console import evaluate, methods, register
from DeepRegSlicer.help_text import acknowledgement, contributors, help_text
from DeepRegSlicer.module_widget import ModuleWidget
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
)

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


class DeepRegWidget(ModuleWidget):
    """The panel is :class:`DeepRegSlicer.panel.panel.Panel`; a registration that runs goes on in other modules."""

    def setup(self) -> None:
        ModuleWidget.setup(self)
        from DeepRegSlicer.panel.panel import Panel

        self.build("UI/DeepReg.ui", DeepRegLogic(), Panel)


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
