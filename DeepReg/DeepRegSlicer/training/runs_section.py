"""*Runs*: all runs of the output folder, whoever started them; stop, resume, follow.

Runs belong to nobody: what is known of them is in their folders, so a panel that is opened anew, or in another Slicer,
shows the same and can do the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt
import slicer
from DeepRegLib.errors import DeepRegError
from DeepRegTrainLib.run_folder.layout import RunFolder
from slicer.i18n import tr as _

from ..event_loop import soon
from ..long_words import breakable
from ..steps import StepRunner, Steps
from .curves import TrainingCurves
from .detached_process import forget_ended_children
from .file_tail import last_bytes
from .levels import level_words
from .parameters import DeepRegTrainParameters
from .run_list import AT_WORK, CAN_RESUME, PREPARING, QUEUED, RUNNING, STOPPING, Run, RunList
from .run_start import OUTPUT, ask_to_stop, kill_run, read_launch, resume_run
from .run_table import RunTable, step_words
from .run_words import command_text
from .sample_pair import SamplePair, add_sample_in_steps, has_sample, show_sample

ALIVE_MS, QUIET_MS = 1000, 5000
"""Between two looks at the folder: while a run is at work and the panel is shown, and otherwise."""
GRACE_S = 10.0
"""A run saves and ends within a second or a step, whichever is longer. After this the user is told, and may end it."""
LOG_BYTES = 16_384
LAST_FOLDER = "DeepRegTrain/outputFolder"
"""Setting of the application: a scene that knows no output folder yet gets the one that was used last."""


class RunsSection:
    """``words_of_settings`` gives the command for what the panel asks for now (None while something is missing); it is
    copied when no run is chosen."""

    def __init__(
        self,
        ui,
        scene: slicer.vtkMRMLScene,
        words_of_settings: Callable[[], list[str] | None] = lambda: None,
    ) -> None:
        self._ui = ui
        self._scene = scene
        self.words_of_settings = words_of_settings
        self._parameters: DeepRegTrainParameters | None = None
        self._list: RunList | None = None
        self._runs: list[Run] = []
        self._chosen: Path | None = None
        self._stopping_since: dict[Path, float] = {}
        self._note = ""
        self._is_shown = False
        self._look_again = False
        self._looking: StepRunner | None = None
        self._sampling: StepRunner | None = None
        self._table = RunTable(ui.runTable, self.choose)
        self._curves = TrainingCurves(scene)
        self._timer = qt.QTimer()

    def connect(self) -> None:
        ui = self._ui
        self._table.connect()
        for button, act in (
            (ui.stopButton, self._stop),
            (ui.resumeButton, self._resume),
            (ui.openRunButton, self._open_folder),
            (ui.commandButton, self._copy_command),
            (ui.sampleButton, self._show_sample),
            (ui.logButton, self._show_log),
        ):
            button.connect("clicked(bool)", lambda *_args, act=act: act())
        self._timer.connect("timeout()", self.refresh)
        self._show()

    def disconnect(self) -> None:
        """The module is reloaded or the application quits: runs go on, the views get back what they had."""
        self._parameters = None
        self._timer.stop()
        self._stop_steps()
        self._curves.hide()

    def enter(self) -> None:
        self._is_shown = True
        self.refresh()

    def leave(self) -> None:
        """Another module is shown: only curves that are seen are followed."""
        self._is_shown = False
        self._set_pace()

    def close_scene(self) -> None:
        """The nodes of curves and sample are about to vanish; the runs do not belong to the scene."""
        self._stop_steps()
        self._curves.forget()

    def update(self, parameters: DeepRegTrainParameters | None) -> None:
        is_new = parameters is not self._parameters
        self._parameters = parameters
        if parameters is None:
            return
        settings = qt.QSettings()
        if parameters.outputFolder:
            settings.setValue(LAST_FOLDER, parameters.outputFolder)
        elif is_new and settings.value(LAST_FOLDER):
            soon(lambda: self._propose(parameters, str(settings.value(LAST_FOLDER))))
        output = Path(parameters.outputFolder).expanduser() if parameters.outputFolder else None
        if output != (None if self._list is None else self._list.output):
            self._stop_steps()
            self._list = None if output is None else RunList(output)
            self._chosen, self._note = None, ""
            self.refresh()
        if parameters.showCurves != self._curves.are_shown:
            self._show_curves(parameters.showCurves)

    def chosen_run(self) -> Path | None:
        """The folder of the run that is chosen in the table."""
        return self._chosen

    def choose(self, folder: Path) -> None:
        """The user goes to a run in the table."""
        if folder != self._chosen:
            self._follow(folder)
            if self._curves.are_shown:
                self.refresh()

    def follow(self, folder: Path) -> None:
        """Follow a run that was just started."""
        self._follow(folder)
        self.refresh()

    def refresh(self) -> None:
        """Look at the folder now, or again as soon as the look that is under way has ended."""
        if self._looking is not None:
            self._look_again = True
            return
        self._look_again = False
        forget_ended_children()
        self._looking = StepRunner(self._look_in_steps(), soon, self._looked, self._look_failed)
        self._looking.start()

    # Looking, in steps.

    def _look_in_steps(self) -> Steps[None]:
        runs = [] if self._list is None else (yield from self._list.refresh_in_steps())
        self._runs = runs
        if self._chosen is None and runs:
            self._follow(next((run.folder for run in runs if run.state in AT_WORK), runs[0].folder))
        self._time_the_stopping()
        self._show()
        yield
        yield from self._table.fill_in_steps(runs, self._chosen)
        yield from self._curves.update_in_steps()

    def _looked(self, _nothing: None) -> None:
        self._looking = None
        if self._look_again:
            self.refresh()
        self._set_pace()

    def _look_failed(self, error: Exception) -> None:
        self._looking = None
        self._set_pace()
        raise error

    def _set_pace(self) -> None:
        at_work = any(run.state in (QUEUED, *AT_WORK) for run in self._runs)
        if not self._is_shown and not self._curves.are_shown:
            self._timer.stop()
            return
        wait = ALIVE_MS if self._is_shown and at_work else QUIET_MS
        if not self._timer.active or self._timer.interval != wait:
            self._timer.start(wait)

    def _stop_steps(self) -> None:
        for runner in (self._looking, self._sampling):
            if runner is not None:
                runner.stop()
        self._looking = self._sampling = None

    # What the buttons do.

    def _stop(self) -> None:
        run = self._run_of(self._chosen)
        if run is None:
            return
        if run.state == STOPPING:
            self._end_now(run)
            return
        self._try(lambda: ask_to_stop(run.folder))
        self.refresh()

    def _end_now(self, run: Run) -> None:
        question = _(
            "'{run}' has not ended yet. End it now? What it learned after its last checkpoint is lost; it can be "
            "resumed from there."
        ).format(run=run.name)
        if slicer.util.confirmYesNoDisplay(question, windowTitle=_("End the run")):
            self._try(lambda: kill_run(run.folder))
            self.refresh()

    def _resume(self) -> None:
        folder = self._chosen
        if folder is not None:
            self._try(lambda: resume_run(folder))
            self.refresh()

    def _open_folder(self) -> None:
        qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(self._chosen)))

    def _copy_command(self) -> None:
        words = self._words()
        if words:
            slicer.app.clipboard().setText(command_text(words))
            self._tell(_("The command is in the clipboard."))

    def _show_log(self) -> None:
        folder = self._chosen
        log, output = (last_bytes(path, LOG_BYTES) for path in (RunFolder(folder).log, folder / OUTPUT))
        last = log.splitlines()[-1] if log else _("The run has written nothing yet.")
        slicer.util.infoDisplay(last, windowTitle=folder.name, detailedText=f"{log}\n{output}".strip())

    def _show_sample(self) -> None:
        if self._sampling is None and self._chosen is not None:
            steps = add_sample_in_steps(self._scene, self._chosen)
            self._sampling = StepRunner(steps, soon, self._sampled, self._not_sampled)
            self._sampling.start()
            self._show()

    def _sampled(self, sample: SamplePair) -> None:
        self._sampling = None
        show_sample(sample)
        errors = _("Sample pair after step {step}: error {error} mm, {zero} mm when no motion is found.")
        colours = _("Blue-green: true motion; orange: found motion.")
        numbers = {"error": f"{sample.error_mm:.2f}", "zero": f"{sample.zero_mm:.2f}"}
        levels = _("What each level found is in the Data module, its grid switched off.") if sample.levels else ""
        self._tell(f"{errors.format(step=sample.step, **numbers)} {colours} {levels}".rstrip())

    def _not_sampled(self, error: Exception) -> None:
        self._sampling = None
        if not isinstance(error, DeepRegError):
            raise error
        self._tell(f"{error} {error.hint}".rstrip())

    def _show_curves(self, wanted: bool) -> None:
        if wanted:
            self._curves.show()
            self._curves.follow(self._chosen)
            self.refresh()
        else:
            self._curves.hide()
            self._set_pace()

    def _try(self, act: Callable[[], Any]) -> None:
        try:
            act()
            self._note = ""
        except DeepRegError as error:
            self._tell(f"{error} {error.hint}".rstrip())

    def _propose(self, parameters: DeepRegTrainParameters, folder: str) -> None:
        if parameters is self._parameters and not parameters.outputFolder:
            parameters.outputFolder = folder

    def _time_the_stopping(self) -> None:
        now, stopping = time.monotonic(), [run.folder for run in self._runs if run.state == STOPPING]
        self._stopping_since = {folder: self._stopping_since.get(folder, now) for folder in stopping}

    # What is shown.

    def _follow(self, folder: Path) -> None:
        self._chosen, self._note = folder, ""
        self._curves.follow(folder)
        self._table.choose(folder)
        self._show()

    def _run_of(self, folder: Path | None) -> Run | None:
        return next((run for run in self._runs if run.folder == folder), None)

    def _words(self) -> list[str] | None:
        if self._chosen is None:
            return self.words_of_settings()
        launch = read_launch(self._chosen)
        return list(launch.words) if launch is not None else ["resume", str(self._chosen)]

    def _tell(self, sentence: str) -> None:
        self._note = sentence
        self._show()

    def _show(self) -> None:
        ui, run = self._ui, self._run_of(self._chosen)
        state = "" if run is None else run.state
        overdue = run is not None and state == STOPPING and self._is_overdue(run.folder)
        ui.stopButton.enabled = state in (QUEUED, RUNNING) or overdue
        ui.stopButton.text = _("End now...") if overdue else _("Stop")
        ui.resumeButton.enabled = state in CAN_RESUME
        for button in (ui.openRunButton, ui.logButton):
            button.enabled = run is not None
        ui.sampleButton.enabled = run is not None and self._sampling is None and has_sample(run.folder)
        ui.commandButton.enabled = self._chosen is not None or self.words_of_settings() is not None
        sentences = [self._note]
        if run is not None:
            waiting = self._why_it_goes_on(run) if overdue else ""
            progress = (step_words(run), level_words(run.folder, run.step, run.stage))
            sentences += [run.sentence, waiting, " ".join(filter(None, progress))]
        ui.levelsLabel.text = breakable("\n".join(filter(None, sentences)))

    def _why_it_goes_on(self, run: Run) -> str:
        if run.stage == PREPARING:
            return _("It is still being prepared; it saves and ends before its first step.")
        return _("It ends its step or its validation first, then saves.")

    def _is_overdue(self, folder: Path) -> bool:
        """Whether a run that was asked to stop, by us or by somebody else, has had its time."""
        return time.monotonic() - self._stopping_since.get(folder, time.monotonic()) > GRACE_S
