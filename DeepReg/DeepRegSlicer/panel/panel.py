"""The panel as a whole: its sections, the registration that runs, and what follows when the scene changes."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import slicer
from DeepRegLib.errors import DeepRegError
from DeepRegLib.job_folder import Job, JobOptions, JobResult
from slicer.i18n import tr as _

from ..background_process import BackgroundProcess, QtProcess
from ..background_run import BackgroundRun, Listener
from ..event_loop import call_after
from ..installation import install_missing, what_will_be_installed
from ..outcome import outcome_sentences
from ..parameters import DeepRegParameters
from ..registration_run import Finished, put_result_in_steps
from ..report import deliver_in_steps, evaluation_job_in_steps
from ..request import Request, job_in_steps
from ..steps import Steps
from .inputs_section import InputsSection
from .landmarks_section import LandmarksSection
from .method_section import MethodSection
from .result_section import ResultSection, wanted_outputs
from .review_section import ReviewSection
from .run_section import RunSection


def request_of(parameters: DeepRegParameters) -> Request:
    """What the panel asks for, as it stands in the parameter node."""
    return Request(
        fixed=parameters.fixedVolume,
        moving=parameters.movingVolume,
        fixed_region=parameters.fixedRegion,
        moving_region=parameters.movingRegion,
        fixed_segment_id=parameters.fixedSegmentID,
        moving_segment_id=parameters.movingSegmentID,
        fixed_landmarks=parameters.fixedLandmarks,
        moving_landmarks=parameters.movingLandmarks,
        wanted=wanted_outputs(parameters),
        options=JobOptions(
            method=parameters.method,
            quality=parameters.quality.value,
            device=parameters.device.value,
            prealignment=parameters.prealignment.value,
            similarity=parameters.similarity.value,
            refine=parameters.refine,
            field_spacing_mm=parameters.fieldSpacing or None,
            wants_warped=parameters.makeWarped,
            wants_inverse=parameters.makeInverse,
        ),
    )


def report_request(parameters: DeepRegParameters) -> Request:
    """The images that the shown transform belongs to, with what the panel has on them."""
    transform, chosen = parameters.outputTransform, request_of(parameters)
    fixed = transform.GetNodeReference(transform.GetFixedNodeReferenceRole()) or chosen.fixed
    moving = transform.GetNodeReference(transform.GetMovingNodeReferenceRole()) or chosen.moving
    same = fixed is chosen.fixed and moving is chosen.moving
    return Request(
        fixed=fixed,
        moving=moving,
        fixed_region=chosen.fixed_region if same else None,
        fixed_segment_id=chosen.fixed_segment_id,
        fixed_landmarks=chosen.fixed_landmarks if same else None,
        moving_landmarks=chosen.moving_landmarks if same else None,
        options=JobOptions(wants_warped=False, report=True),
    )


class Panel:
    """``new_process`` makes the process that a registration runs in; tests give a fake one."""

    def __init__(
        self, ui, scene: slicer.vtkMRMLScene, new_process: Callable[[], BackgroundProcess] = QtProcess
    ) -> None:
        self._ui = ui
        self._scene = scene
        self.new_process = new_process
        self._parameters: DeepRegParameters | None = None
        self._updating = False
        self._run: BackgroundRun | None = None
        self.runs = RunSection(ui, self.register, self.cancel)
        self.inputs = InputsSection(ui, scene, self.runs.tell)
        self.method = MethodSection(ui)
        self.result = ResultSection(ui, scene, self.runs.tell, self.report)
        self.review = ReviewSection(ui, scene)
        self.landmarks = LandmarksSection(ui, scene)
        self._sections = (self.inputs, self.method, self.result, self.review, self.landmarks)

    @property
    def running(self) -> bool:
        """A registration runs."""
        return self._run is not None

    def connect(self) -> None:
        """Wire the widgets; once, after the panel is built."""
        for section in (self.runs, *self._sections):
            section.connect()
        self.runs.show_idle()

    def disconnect(self) -> None:
        """Stop everything: the module is reloaded or the application quits."""
        self.abandon()
        for section in (self.inputs, self.result, self.review, self.landmarks):
            section.disconnect()

    def enter(self) -> None:
        """The panel is shown: read what lies on the disk, and choose what is obvious."""
        self.method.read_methods()
        self.inputs.choose_defaults()
        self.review.enter()
        sentence = what_will_be_installed(self._ui.registerButton.text)
        self._ui.installationLabel.text = sentence or ""
        self._ui.installationLabel.visible = bool(sentence)

    def leave(self) -> None:
        """Another module is shown: what runs goes on, what flickers stops."""
        self.review.leave()

    def set_parameters(self, parameters: DeepRegParameters | None) -> None:
        """Follow another parameter node, or none for a while."""
        self._parameters = parameters
        self.update()

    def close_scene(self) -> None:
        """Let go of everything: the nodes that the panel works on are about to vanish."""
        self.abandon()
        self.review.clear()

    def update(self) -> None:
        """Show what the parameter node says; called after every change of it. Changes that are made meanwhile are
        taken up at the end, not in between."""
        if self._updating:
            return
        self._updating = True
        try:
            for section in self._sections:
                section.update(self._parameters)
        finally:
            self._updating = False
        self.runs.show_missing(self._what_is_missing())

    def register(self) -> None:
        """Start the registration that the panel asks for."""
        if self._parameters is None or self._run is not None:
            return
        try:
            request = request_of(self._parameters)
            request.check()
            install_missing(ask=True, button=self._ui.registerButton.text)
        except DeepRegError as error:
            self._failed(error, "")
            return
        self._start(
            job_in_steps(request), lambda result: put_result_in_steps(self._scene, request, result), self._finished
        )

    def report(self, folder: Path) -> None:
        """Write the report on the transform that the panel shows to ``folder``."""
        if self._parameters is None or self._run is not None or self._parameters.outputTransform is None:
            return
        transform, images = self._parameters.outputTransform, report_request(self._parameters)
        try:
            images.check()
        except DeepRegError as error:
            self._failed(error, "")
            return
        self._start(
            evaluation_job_in_steps(images, transform),
            lambda result: deliver_in_steps(result, folder),
            lambda delivered: self._ended([_("Report: {path}").format(path=delivered / "report.html")]),
        )

    def _start(
        self,
        job_steps: Steps[Job],
        use_in_steps: Callable[[JobResult], Steps[Any]],
        on_finished: Callable[[Any], None],
    ) -> None:
        assert self._parameters is not None
        self._run = BackgroundRun(
            job_steps,
            use_in_steps,
            Listener(self.runs.show_progress, on_finished, self._failed, self._cancelled),
            call_after,
            self.new_process(),
            Path(slicer.app.temporaryPath or tempfile.gettempdir()),
            self._parameters.keepLog,
        )
        self.runs.show_running()
        self._run.start()

    def cancel(self) -> None:
        """Stop the registration; the panel is idle again within a second."""
        if self._run is not None:
            self.runs.show_cancelling()
            self._run.cancel()

    def abandon(self) -> None:
        """Stop the registration and say nothing."""
        run, self._run = self._run, None
        if run is not None:
            run.abandon()
            self.runs.show_idle()

    def _what_is_missing(self) -> str:
        if self._parameters is None:
            return _("Open a scene first.")
        try:
            request_of(self._parameters).check()
        except DeepRegError as error:
            return f"{error} {error.hint}".rstrip()
        return ""

    def _finished(self, finished: Finished) -> None:
        self._ended(outcome_sentences(finished.evidence, finished.notes))
        parameters, nodes = self._parameters, finished.nodes
        if parameters is None:
            return
        with slicer.util.NodeModify(parameters.parameterNode):
            parameters.outputTransform = nodes.transform
            parameters.outputWarped = nodes.warped
            parameters.outputInverse = nodes.inverse
        self.review.show_result(nodes)
        self._ui.reviewSection.collapsed = False
        if parameters.fixedLandmarks:
            self._ui.landmarksSection.collapsed = False

    def _ended(self, sentences: list[str], details: str = "") -> None:
        """Back to idle, with a word on where the log lies."""
        run, self._run = self._run, None
        if run is not None and run.log_path is not None:
            sentences = [*sentences, _("Log: {path}").format(path=run.log_path)]
        self.runs.show_idle(sentences, details)

    def _failed(self, error: DeepRegError, details: str) -> None:
        self._ended([sentence for sentence in (str(error), error.hint) if sentence], details)

    def _cancelled(self) -> None:
        self._ended([_("Cancelled; nothing was changed.")])
