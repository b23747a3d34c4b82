"""Start, Queue and the estimate: from what the panel asks for to a process that outlives it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import slicer
from DeepRegLib.errors import DeepRegError
from slicer.i18n import tr as _

from ..background_process import BackgroundProcess, QtProcess
from ..event_loop import soon
from ..installation import install_missing
from ..long_words import breakable
from ..steps import StepRunner, Steps
from .command import TRAINING, Command
from .duration_words import duration_words
from .parameters import DeepRegTrainParameters
from .run_start import new_run_folder, queue_run, start_run
from .run_words import run_name, settings_words, train_words

NO_ESTIMATE = "-"
MEGABYTES = 1000.0


class StartSection:
    """``data_folder_in_steps`` gives the folder with the scans (written there first, where they are volumes of the
    scene); ``on_started(folder)`` hears of each new run. ``new_process`` makes the process of the estimate."""

    def __init__(
        self,
        ui,
        data_folder_in_steps: Callable[[], Steps[Path]],
        on_started: Callable[[Path], None],
        new_process: Callable[[], BackgroundProcess] = QtProcess,
    ) -> None:
        self._ui = ui
        self._data_folder_in_steps = data_folder_in_steps
        self._on_started = on_started
        self.new_process = new_process
        self._parameters: DeepRegTrainParameters | None = None
        self._work: StepRunner | None = None
        self._estimate: Command | None = None
        self._estimated: tuple[object, ...] = ()
        self._message, self._details = "", ""

    @property
    def busy(self) -> bool:
        """A run is being started, or an estimate is on its way."""
        return self._work is not None or self._estimate is not None

    def connect(self) -> None:
        ui = self._ui
        ui.startButton.connect("clicked(bool)", lambda *_args: self._start(start_run, ui.startButton))
        ui.queueButton.connect("clicked(bool)", lambda *_args: self._start(queue_run, ui.queueButton))
        ui.estimateButton.connect("clicked(bool)", lambda *_args: self._estimate_clicked())
        ui.detailsButton.connect("clicked(bool)", lambda *_args: self._show_details())
        ui.volumesSelector.connect("checkedNodesChanged()", self._show)
        self._show()

    def disconnect(self) -> None:
        """What was started goes on; an estimate is of no use to anybody any more."""
        self._parameters = None
        self._stop()

    def enter(self) -> None:
        self._show()

    def leave(self) -> None:
        """An estimate goes on."""

    def close_scene(self) -> None:
        self._stop()
        self.tell("")

    def update(self, parameters: DeepRegTrainParameters | None) -> None:
        self._parameters = parameters
        if self._estimated and self._estimated != self._asked_for():
            self._stop_estimate()
        self._show()

    def words(self) -> list[str] | None:
        """The command for what the panel asks for; None while something is missing."""
        parameters = self._parameters
        if parameters is None or not (parameters.dataFolder and parameters.outputFolder):
            return None
        run = Path(parameters.outputFolder).expanduser() / run_name(parameters)
        return train_words(parameters, Path(parameters.dataFolder).expanduser(), run)

    def tell(self, text: str, details: str = "") -> None:
        """Show a message below the buttons."""
        self._message, self._details = text, details
        self._show()

    # Start and Queue.

    def _start(self, start: Callable[[Path, list[str]], None], button) -> None:
        if not self.busy and self._can_go_on(button):
            self.tell(_("Starting..."))
            self._run(self._start_in_steps(start), self._started)

    def _start_in_steps(self, start: Callable[[Path, list[str]], None]) -> Steps[Path]:
        data = yield from self._data_folder_in_steps()
        parameters = self._parameters
        folder = new_run_folder(Path(parameters.outputFolder).expanduser(), run_name(parameters))
        try:
            start(folder, train_words(parameters, data, folder))
        except DeepRegError:
            with contextlib.suppress(OSError):
                folder.rmdir()  # unless something is in it
            raise
        return folder

    def _started(self, folder: Path) -> None:
        self.tell(_("'{run}' is on its way; it goes on when Slicer is closed.").format(run=folder.name))
        self._on_started(folder)

    # The estimate.

    def _estimate_clicked(self) -> None:
        if self._estimate is not None:
            self._stop_estimate()
            self._show()
        elif not self.busy and self._can_go_on(self._ui.estimateButton):
            self.tell("")
            self._run(self._data_folder_in_steps(), self._measure)

    def _measure(self, data: Path) -> None:
        words = ["estimate", *settings_words(self._parameters, data)]
        self._estimate = Command(TRAINING, words, self.new_process(), self._measured, self._not_measured)
        self._estimated = self._asked_for()
        self._ui.estimateValueLabel.text = _("Measuring two steps...")
        self._show()
        self._estimate.start()

    def _measured(self, numbers: dict[str, Any]) -> None:
        self._estimate = None
        where = _("the graphics card") if numbers.get("device") == "cuda" else _("the processor")
        self._ui.estimateValueLabel.text = _("{time} on {where}, {memory} GB of memory").format(
            time=duration_words(float(numbers["seconds"])),
            where=where,
            memory=f"{float(numbers['memory_mb']) / MEGABYTES:.1f}",
        )
        self._show()

    def _not_measured(self, error: DeepRegError, details: str) -> None:
        self._estimate = None
        self._stop_estimate()
        self.tell(_told(error), details)

    def _stop_estimate(self) -> None:
        estimate, self._estimate, self._estimated = self._estimate, None, ()
        if estimate is not None:
            estimate.abandon()
        self._ui.estimateValueLabel.text = NO_ESTIMATE

    def _asked_for(self) -> tuple[object, ...]:
        """Changes when the estimate does not hold any more."""
        if self._parameters is None:
            return ()
        return tuple(settings_words(self._parameters, Path(self._parameters.dataFolder)))

    # Work in steps, and what is shown.

    def _run(self, steps: Steps[Any], then: Callable[[Any], None]) -> None:
        def done(result: Any) -> None:
            self._work = None
            then(result)

        def failed(error: Exception) -> None:
            self._work = None
            if not isinstance(error, DeepRegError):
                self.tell("")
                raise error
            self.tell(_told(error))

        self._work = StepRunner(steps, soon, done, failed)
        self._work.start()
        self._show()

    def _stop(self) -> None:
        if self._work is not None:
            self._work.stop()
            self._work = None
        self._stop_estimate()

    def _can_go_on(self, button) -> bool:
        """Whether all is there for what ``button`` does, PyTorch too: it is installed after a question."""
        try:
            install_missing(ask=True, button=button.text)
        except DeepRegError as error:
            self.tell(_told(error))
            return False
        return not self._missing()

    def _missing(self) -> str:
        parameters = self._parameters
        if parameters is None:
            return _("Open a scene first.")
        if not parameters.dataFolder and not self._ui.volumesSelector.checkedNodes():
            return _("Choose a folder with scans, or volumes of the scene.")
        if not parameters.outputFolder:
            return _("Choose an output folder for the runs.")
        return ""

    def _show(self) -> None:
        missing, ui = self._missing(), self._ui
        for button in (ui.startButton, ui.queueButton):
            button.enabled = not (missing or self.busy)
        ui.estimateButton.enabled = self._estimate is not None or not (missing or self.busy)
        ui.estimateButton.text = _("Stop") if self._estimate is not None else _("Try two steps")
        text = "\n".join(filter(None, (self._message, missing)))
        ui.statusLabel.text = breakable(text)
        ui.statusLabel.visible = bool(text)
        ui.detailsButton.visible = bool(self._details)

    def _show_details(self) -> None:
        slicer.util.infoDisplay(self._message, windowTitle=_("Details"), detailedText=self._details)


def _told(error: DeepRegError) -> str:
    return f"{error} {error.hint}".rstrip()
