"""*Result*: what shall come out, structures that move along, control points and the report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import qt
import slicer
from DeepRegLib.errors import DeepRegError
from slicer.i18n import tr as _

from ..also_move import move_in_steps
from ..control_points import add_control_points
from ..event_loop import soon
from ..parameters import DeepRegParameters
from ..registration_nodes import NEW, WantedOutputs
from ..result_marks import belongs_to_other_images, control_points_of
from ..steps import StepRunner, Steps


def wanted_outputs(parameters: DeepRegParameters) -> WantedOutputs:
    """The outputs that are ticked: the chosen node, or a new one. What belongs to another pair of images is kept, even
    when it is still chosen from the last run: a new node is made."""
    images = (parameters.fixedVolume, parameters.movingVolume)

    def wanted(ticked: bool, node: slicer.vtkMRMLNode | None) -> slicer.vtkMRMLNode | str | None:
        if not ticked:
            return None
        return NEW if node is None or belongs_to_other_images(node, *images) else node

    return WantedOutputs(
        transform=wanted(parameters.makeTransform, parameters.outputTransform),
        warped=wanted(parameters.makeWarped, parameters.outputWarped),
        inverse=wanted(parameters.makeInverse, parameters.outputInverse),
        place_moving_under_transform=parameters.placeMovingUnderTransform,
    )


class ResultSection:
    """``tell(sentence, details)`` shows a message below the Register button; ``write_report(folder)`` has the report on
    the chosen transform written."""

    def __init__(
        self,
        ui,
        scene: slicer.vtkMRMLScene,
        tell: Callable[[str, str], None],
        write_report: Callable[[Path], None],
    ) -> None:
        self._ui = ui
        self._scene = scene
        self._tell = tell
        self._write_report = write_report
        self._parameters: DeepRegParameters | None = None
        self._moving: StepRunner | None = None

    def connect(self) -> None:
        self._ui.alsoMoveButton.connect("clicked(bool)", lambda *_args: self._move())
        self._ui.alsoMoveSelector.connect("checkedNodesChanged()", self._enable)
        self._ui.reportButton.connect("clicked(bool)", lambda *_args: self._report())
        self._ui.controlPointsButton.connect("clicked(bool)", lambda *_args: self._add_control_points())

    def disconnect(self) -> None:
        if self._moving is not None:
            self._moving.stop()
            self._moving = None

    def update(self, parameters: DeepRegParameters | None) -> None:
        self._parameters = parameters
        for ticked, selector in (("makeTransform", "transform"), ("makeWarped", "warped"), ("makeInverse", "inverse")):
            enabled = parameters is not None and getattr(parameters, ticked)
            getattr(self._ui, f"{selector}Selector").enabled = enabled
        self._ui.moveMovingCheckBox.enabled = parameters is not None and parameters.makeTransform
        self._enable()

    def _enable(self) -> None:
        transform = self._parameters.outputTransform if self._parameters is not None else None
        chosen = bool(self._ui.alsoMoveSelector.checkedNodes())
        self._ui.alsoMoveButton.enabled = bool(transform) and chosen and self._moving is None
        self._ui.reportButton.enabled = bool(transform)
        self._ui.controlPointsButton.visible = bool(transform) and control_points_of(transform) is not None

    def _report(self) -> None:
        folder = qt.QFileDialog.getExistingDirectory(
            slicer.util.mainWindow(), _("Folder for the report and all files of the result"), ""
        )
        if folder:
            self._write_report(Path(folder))

    def _add_control_points(self) -> None:
        transform = self._parameters.outputTransform if self._parameters is not None else None
        control = control_points_of(transform) if transform is not None else None
        if control is not None:
            added = add_control_points(self._scene, control, transform.GetName())
            names = (node.GetName() for node in (added.transform, added.source, added.target))
            self._tell(_("Added: {names}.").format(names=", ".join(names)), "")

    def _move(self) -> None:
        if self._parameters is None or self._parameters.outputTransform is None:
            return
        chosen = list(self._ui.alsoMoveSelector.checkedNodes())
        self._moving = StepRunner(
            self._move_in_steps(chosen, self._parameters.outputTransform),
            soon,
            self._moved,
            self._failed,
        )
        self._enable()
        self._moving.start()

    def _move_in_steps(
        self, chosen: list[slicer.vtkMRMLNode], transform: slicer.vtkMRMLTransformNode
    ) -> Steps[list[slicer.vtkMRMLNode]]:
        copies = []
        for node in chosen:
            copies.append((yield from move_in_steps(self._scene, node, transform)))
        return copies

    def _moved(self, copies: list[slicer.vtkMRMLNode]) -> None:
        self._moving = None
        self._enable()
        self._tell(_("Moved: {names}.").format(names=", ".join(node.GetName() for node in copies)), "")

    def _failed(self, error: Exception) -> None:
        self._moving = None
        self._enable()
        if isinstance(error, DeepRegError):
            self._tell(f"{error} {error.hint}".rstrip(), "")
        else:
            self._tell(_("The structures could not be moved."), repr(error))
