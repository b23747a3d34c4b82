"""*Scans*: a folder or volumes of the scene, and what the check finds in each of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import slicer
from DeepRegLib.errors import BadInput, DeepRegError
from slicer.i18n import tr as _

from ..background_process import BackgroundProcess, QtProcess
from ..event_loop import call_after, soon
from ..installation import install_missing
from ..long_words import breakable
from ..steps import StepRunner, Steps
from .parameters import DeepRegTrainParameters
from .scan_check import CheckListener, Findings, ScanCheck
from .scan_folder import ScanFolder, look_into_in_steps
from .scan_table import ScanTable, total_words
from .scene_scans import state_of, write_scans_in_steps

LOOK_AFTER_MS = 300
"""A path that is typed changes with every letter."""


class DataSection:
    """Wires the widgets below *Scans*. ``new_process`` makes the process of the check; tests give a fake one."""

    def __init__(
        self, ui, scene: slicer.vtkMRMLScene, new_process: Callable[[], BackgroundProcess] = QtProcess
    ) -> None:
        self._ui = ui
        self._scene = scene
        self.new_process = new_process
        self._parameters: DeepRegTrainParameters | None = None
        self._table = ScanTable(ui.scanTable)
        self._check = ScanCheck(
            CheckListener(self._show_busy, self._show_rows, self._table.show_picture, self._show_verdict, self._failed)
        )
        self._path = ""
        self._looking: StepRunner | None = None
        self._preparing: StepRunner | None = None
        self._filling: StepRunner | None = None
        self._written: tuple[tuple[object, ...], Path] | None = None

    @property
    def busy(self) -> bool:
        """Scans are written or checked."""
        return self._preparing is not None or self._check.running

    def connect(self) -> None:
        self._table.connect()
        self._ui.dataPath.connect("currentPathChanged(QString)", self._choose_folder)
        self._ui.volumesSelector.connect("checkedNodesChanged()", self._volumes_chosen)
        self._ui.checkButton.connect("clicked(bool)", lambda *_args: self._clicked())
        self._show_idle("")

    def disconnect(self) -> None:
        """End everything, and remove the small pictures."""
        self._parameters = None
        self._stop()
        self._check.close()

    def enter(self) -> None:
        """Scans may have come or gone meanwhile."""
        self._look()

    def leave(self) -> None:
        """A check goes on: it only reads."""

    def close_scene(self) -> None:
        """Volumes that are being written are about to vanish."""
        self._stop()
        self._written = None
        self._show_idle("")

    def update(self, parameters: DeepRegTrainParameters | None) -> None:
        self._parameters = parameters
        path = "" if parameters is None else parameters.dataFolder
        if self._ui.dataPath.currentPath != path:
            self._ui.dataPath.currentPath = path
        if path != self._path:
            self._path = path
            self._stop()
            self._show_nothing("")
            call_after(LOOK_AFTER_MS, self._look)

    def folder_in_steps(self) -> Steps[Path]:
        """The folder to train on: that of the panel, or one with the volumes that are ticked, written now unless it is
        there already.

        Raises :class:`~DeepRegLib.errors.BadInput` when nothing is chosen, and what
        :func:`~.scene_scans.write_scans_in_steps` raises.
        """
        parameters, nodes = self._parameters, self._volumes()
        if parameters is None or not (nodes or parameters.dataFolder):
            raise BadInput(_("Choose a folder with scans, or volumes of the scene."))
        if not nodes:
            return Path(parameters.dataFolder).expanduser()
        if not parameters.outputFolder:
            raise BadInput(_("Choose the output folder first: the volumes are written there."))
        state = state_of(nodes)
        if self._written is None or self._written[0] != state or not self._written[1].is_dir():
            self._written = state, (yield from write_scans_in_steps(nodes, Path(parameters.outputFolder).expanduser()))
        return self._written[1]

    # Choosing.

    def _choose_folder(self, path: str) -> None:
        if self._parameters is None or self._parameters.dataFolder == path:
            return
        self._parameters.dataFolder = path
        for node in self._volumes():  # what was chosen last counts
            self._ui.volumesSelector.uncheck(node)

    def _volumes(self) -> list[slicer.vtkMRMLScalarVolumeNode]:
        return list(self._ui.volumesSelector.checkedNodes())

    def _volumes_chosen(self) -> None:
        count = len(self._volumes())
        if self.busy:
            return
        if count:
            self._show_nothing(
                _("Volumes chosen: {n}. The check writes them to the output folder first.").format(n=count)
            )
        else:
            self._look()

    # Which scans there are, and whether they were checked before.

    def _look(self) -> None:
        if self._parameters is None or self.busy or self._volumes():
            return
        self._stop()
        if self._path:
            self._looking = self._run(look_into_in_steps(Path(self._path).expanduser()), self._looked)
        else:
            self._show_nothing("")

    def _looked(self, folder: ScanFolder) -> None:
        self._looking = None
        findings = self._check.known(folder)
        if findings is not None:
            self._show_rows(findings)
            self._show_verdict(findings)
        else:
            self._show_nothing(_not_checked(folder))

    # The check.

    def _clicked(self) -> None:
        if self.busy:
            self._stop()
            self._show_idle(_("The check was cancelled."))
            return
        try:
            install_missing(ask=True, button=self._ui.checkButton.text)
        except DeepRegError as error:
            self._failed(error)
            return
        self._stop()
        self._show_busy(_("Writing the volumes...") if self._volumes() else _("Looking for scans..."))
        self._preparing = self._run(self._prepare_in_steps(), self._start_check)

    def _prepare_in_steps(self) -> Steps[ScanFolder]:
        path = yield from self.folder_in_steps()
        return (yield from look_into_in_steps(path))

    def _start_check(self, folder: ScanFolder) -> None:
        self._preparing = None
        if self._parameters is None:
            return
        if self._volumes():  # the run is started with a folder too
            self._path = str(folder.path)
            self._parameters.dataFolder = self._path
        self._show_busy(_("Starting the check..."))
        self._check.start(folder, self.new_process())

    def _show_rows(self, findings: Findings) -> None:
        self._ui.scanTable.visible = True
        if self._filling is not None:
            self._filling.stop()
        self._filling = self._run(
            self._table.fill_in_steps(findings.check["scans"], findings.pictures), lambda _none: None
        )

    def _show_verdict(self, findings: Findings) -> None:
        self._show_idle(total_words(findings.check))

    # Small things.

    def _run(self, steps: Steps[Any], then: Callable[[Any], None]) -> StepRunner:
        runner = StepRunner(steps, soon, then, self._steps_failed)
        runner.start()
        return runner

    def _steps_failed(self, error: Exception) -> None:
        self._looking = self._preparing = None
        if not isinstance(error, DeepRegError):
            self._show_idle(_("The scans could not be read."))
            raise error
        self._failed(error)

    def _failed(self, error: DeepRegError) -> None:
        self._show_idle(f"{error} {error.hint}".rstrip())

    def _stop(self) -> None:
        for runner in (self._looking, self._preparing, self._filling):
            if runner is not None:
                runner.stop()
        self._looking = self._preparing = self._filling = None
        self._check.stop()

    def _show_nothing(self, sentence: str) -> None:
        self._table.clear()
        self._ui.scanTable.visible = False
        self._show_idle(sentence)

    def _show_busy(self, sentence: str) -> None:
        self._ui.checkButton.text = _("Cancel")
        self._tell(sentence)

    def _show_idle(self, sentence: str) -> None:
        self._ui.checkButton.text = _("Check the scans")
        self._tell(sentence)

    def _tell(self, sentence: str) -> None:
        self._ui.checkLabel.text = breakable(sentence)
        self._ui.checkLabel.visible = bool(sentence)


def _not_checked(folder: ScanFolder) -> str:
    if not folder.files:
        return _("There are no scans in this folder (NIfTI, NRRD or MetaImage files).")
    return _("Scans: {n}, not checked yet.").format(n=len(folder.files))
