"""*Landmarks*: how far they are apart before and after, as a table, arrows, plots and a file.

Everything is measured anew, in steps and no more than ten times a second, when a point, the transform or what they hang
under changes.
"""

from __future__ import annotations

from html import escape
from pathlib import Path

import qt
import slicer
import vtk
from DeepRegLib.errors import DeepRegError
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin

from ..event_loop import call_after, soon
from ..landmark_display import ErrorArrows, arrows_of
from ..landmark_files import load_landmarks
from ..landmark_plots import show_chart, update_before_after, update_existing, update_histogram
from ..landmark_table import LandmarkErrors, errors_table, landmark_errors_in_steps, write_csv, write_table
from ..nodes import to_ras
from ..parameters import DeepRegParameters
from ..result import FIXED_COLOUR, MOVING_COLOUR
from ..steps import StepRunner, Steps
from .landmark_table_view import LandmarkTableView, summary

MEASURE_AGAIN_AFTER_MS = 100
"""While a point is dragged it changes with every move of the mouse."""
LANDMARK_FILES = "*.mrk.json *.fcsv *.csv *.txt *.json"


class LandmarksSection(VTKObservationMixin):
    """Wires the widgets below *Landmarks* and the two buttons that load landmarks."""

    def __init__(self, ui, scene: slicer.vtkMRMLScene) -> None:
        super().__init__()
        self._ui = ui
        self._scene = scene
        self._parameters: DeepRegParameters | None = None
        self._inputs: tuple[slicer.vtkMRMLNode | None, ...] = ()
        self._hidden_points: slicer.vtkMRMLMarkupsNode | None = None
        self._look: tuple[object, ...] = ()
        self._errors: LandmarkErrors | None = None
        self._transform: slicer.vtkMRMLTransformNode | None = None
        self._waiting = False
        self._measuring: StepRunner | None = None
        self._table = LandmarkTableView(ui.landmarkTable, self._jump_to)
        self._arrows = ErrorArrows(scene)

    def connect(self) -> None:
        ui = self._ui
        self._table.connect()
        ui.histogramButton.connect("clicked(bool)", lambda *_args: self._plot(update_histogram))
        ui.beforeAfterButton.connect("clicked(bool)", lambda *_args: self._plot(update_before_after))
        ui.saveLandmarksButton.connect("clicked(bool)", lambda *_args: self._save())
        ui.fixedLandmarksLoadButton.connect("clicked(bool)", lambda *_args: self._load("fixed", FIXED_COLOUR))
        ui.movingLandmarksLoadButton.connect("clicked(bool)", lambda *_args: self._load("moving", MOVING_COLOUR))
        self._show_nothing(_("Choose fixed and moving landmarks under Inputs to measure the result."))

    def disconnect(self) -> None:
        """Stop measuring, observe nothing any more and take the arrows out of the views."""
        self.update(None)

    def update(self, parameters: DeepRegParameters | None) -> None:
        """Follow the parameter node: called after every change of it, and with None when the scene is closed."""
        self._parameters = parameters
        inputs = self._chosen_inputs()
        if inputs != self._inputs:
            self._inputs = inputs
            self._observe()
            if inputs:
                self._measure_soon()
            else:  # at once: the widgets may be gone a moment later
                self._stop()
                self._show_nothing(_("Choose fixed and moving landmarks under Inputs to measure the result."))
        self._show_moving_points()
        look = (
            () if parameters is None else (parameters.showErrorVectors, parameters.showBefore, parameters.fixedVolume)
        )
        if look != self._look:
            self._look = look
            self._show_arrows()

    def _show_moving_points(self) -> None:
        """Moving landmarks lie where they were clicked, in the moving image as it was: over the warped image they would
        look like errors. They are hidden while that is shown, unless they hang under a transform themselves."""
        parameters = self._parameters
        points = parameters.movingLandmarks if parameters is not None else None
        hidden = (
            points is not None
            and _result_of(parameters) is not None
            and not parameters.showBefore
            and points.GetParentTransformNode() is None
        )
        if hidden and points is not self._hidden_points:
            self._hidden_points = points
            points.SetDisplayVisibility(False)
        elif not hidden and self._hidden_points is not None:
            if self._scene.IsNodePresent(self._hidden_points):
                self._hidden_points.SetDisplayVisibility(True)
            self._hidden_points = None

    def _chosen_inputs(self) -> tuple[slicer.vtkMRMLNode | None, ...]:
        """Fixed list, moving list, transform, moving and fixed image; nothing while a list is missing."""
        p = self._parameters
        if p is None or p.fixedLandmarks is None or p.movingLandmarks is None:
            return ()
        return p.fixedLandmarks, p.movingLandmarks, p.outputTransform, p.movingVolume, p.fixedVolume

    def _observe(self) -> None:
        self.removeObservers()
        if not self._inputs:
            return
        fixed, moving, transform, image, _fixed_image = self._inputs
        markups = slicer.vtkMRMLMarkupsNode
        of_points = (
            *(markups.PointModifiedEvent, markups.PointAddedEvent, markups.PointRemovedEvent),
            *(markups.PointPositionDefinedEvent, markups.PointPositionUndefinedEvent),
        )
        moved = slicer.vtkMRMLTransformableNode.TransformModifiedEvent
        for node, events in (
            *((points, (*of_points, moved)) for points in dict.fromkeys((fixed, moving))),
            (transform, (moved, vtk.vtkCommand.ModifiedEvent)),
            (image, (moved, vtk.vtkCommand.ModifiedEvent)),
        ):
            for event in events if node is not None else ():
                self.addObserver(node, event, self._on_change)
        self.addObserver(self._scene, slicer.vtkMRMLScene.NodeRemovedEvent, self._on_node_removed)

    def _on_change(self, _node: slicer.vtkMRMLNode, _event: str) -> None:
        self._measure_soon()

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _on_node_removed(self, _scene: slicer.vtkMRMLScene, _event: str, node: slicer.vtkMRMLNode) -> None:
        if node in self._inputs:  # the parameter node forgets it only after this event
            soon(lambda: self.update(self._parameters))

    def _measure_soon(self) -> None:
        """Changes within ``MEASURE_AGAIN_AFTER_MS`` are measured together."""
        if not self._waiting:
            self._waiting = True
            call_after(MEASURE_AGAIN_AFTER_MS, self._measure)

    def _measure(self) -> None:
        self._waiting = False
        self._stop()
        if self._parameters is None or not self._inputs:
            return
        fixed, moving, _transform, image, _fixed_image = self._inputs
        self._measuring = StepRunner(
            self._measure_in_steps(fixed, moving, _result_of(self._parameters), image),
            soon,
            lambda _none: self._stop(),
            self._failed,
        )
        self._measuring.start()

    def _measure_in_steps(
        self,
        fixed: slicer.vtkMRMLMarkupsNode,
        moving: slicer.vtkMRMLMarkupsNode,
        transform: slicer.vtkMRMLTransformNode | None,
        image: slicer.vtkMRMLVolumeNode | None,
    ) -> Steps[None]:
        self._errors = yield from landmark_errors_in_steps(fixed, moving, transform, image)
        self._transform = transform
        self._ui.landmarkSummaryLabel.text = summary(self._errors)
        self._enable()
        yield
        self._show_arrows()
        yield
        if transform is not None:
            write_table(errors_table(self._scene), self._errors)
        update_existing(self._scene, self._errors)
        yield
        yield from self._table.fill_in_steps(self._errors)

    def _stop(self) -> None:
        measuring, self._measuring = self._measuring, None
        if measuring is not None:
            measuring.stop()

    def _failed(self, error: Exception) -> None:
        self._stop()
        if not isinstance(error, DeepRegError):
            self._show_nothing(_("The landmarks could not be measured."))
            raise error
        self._show_nothing(f"{error} {error.hint}".rstrip())

    def _show_nothing(self, sentence: str) -> None:
        self._errors = self._transform = None
        self._ui.landmarkSummaryLabel.text = escape(sentence)
        self._table.clear()
        self._enable()
        self._arrows.hide()

    def _enable(self) -> None:
        ui, there = self._ui, self._errors is not None
        ui.histogramButton.enabled = ui.saveLandmarksButton.enabled = ui.errorVectorsButton.enabled = there
        ui.beforeAfterButton.enabled = there and self._errors.after_mm is not None

    def _show_arrows(self) -> None:
        parameters = self._parameters
        if self._errors is None or parameters is None or not parameters.showErrorVectors:
            self._arrows.hide()
            return
        errors, transform = self._errors, self._transform
        if parameters.showBefore:  # the views show the moving image as it was: so do the arrows
            errors, transform = LandmarkErrors(errors.pairs), None
        self._arrows.show(arrows_of(errors, transform, parameters.fixedVolume))

    def _jump_to(self, pair: int) -> None:
        """Show a landmark in the middle of all slice views, with the crosshair on it."""
        if self._errors is None:
            return
        place = to_ras(self._errors.pairs.places[pair])
        slicer.vtkMRMLSliceNode.JumpAllSlices(self._scene, *place, slicer.vtkMRMLSliceNode.CenteredJumpSlice)
        crosshair = self._scene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
        if crosshair is not None:
            if crosshair.GetCrosshairMode() == crosshair.NoCrosshair:
                crosshair.SetCrosshairMode(crosshair.ShowBasic)
            crosshair.SetCrosshairRAS(*place)  # after the jump: a linked crosshair follows it

    def _plot(self, update_chart) -> None:
        if self._errors is not None:
            show_chart(update_chart(self._scene, self._errors))

    def _save(self) -> None:
        if self._errors is None:
            return
        name = qt.QFileDialog.getSaveFileName(
            slicer.util.mainWindow(), _("Save the landmark errors"), "landmark errors.csv", _("Table") + " (*.csv)"
        )
        if not name:
            return
        path = Path(name) if Path(name).suffix else Path(name).with_suffix(".csv")
        try:
            write_csv(path, self._errors)
        except DeepRegError as error:
            slicer.util.errorDisplay(f"{error} {error.hint}".rstrip())

    def _load(self, side: str, colour: tuple[float, float, float]) -> None:
        """Ask for a file and choose what it holds."""
        if self._parameters is None:
            return
        kinds = _("Landmarks") + f" ({LANDMARK_FILES});;" + _("All files") + " (*)"
        name = qt.QFileDialog.getOpenFileName(slicer.util.mainWindow(), _("Load landmarks"), "", kinds)
        if not name:
            return
        try:
            node = load_landmarks(self._scene, name, getattr(self._parameters, f"{side}Volume"), colour)
        except DeepRegError as error:
            slicer.util.errorDisplay(f"{error} {error.hint}".rstrip())
            return
        setattr(self._parameters, f"{side}Landmarks", node)


def _result_of(parameters: DeepRegParameters) -> slicer.vtkMRMLTransformNode | None:
    """The chosen transform, if it holds a result, and not one of other images: a node to be overwritten measures
    nothing."""
    transform = parameters.outputTransform
    if transform is None:
        return None
    fixed = transform.GetNodeReference(transform.GetFixedNodeReferenceRole())
    moving = transform.GetNodeReference(transform.GetMovingNodeReferenceRole())
    for recorded, chosen in ((fixed, parameters.fixedVolume), (moving, parameters.movingVolume)):
        if None not in (recorded, chosen) and recorded is not chosen:
            return None
    grid = transform.GetTransformFromParent()
    empty = grid is None or (grid.IsA("vtkGridTransform") and grid.GetDisplacementGrid().GetNumberOfPoints() <= 1)
    return None if empty else transform
