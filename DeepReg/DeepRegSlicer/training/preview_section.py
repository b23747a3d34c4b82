"""*Preview a training pair*: drawn as training will draw it, shown in the views, told in numbers; and the ranges that
pairs are drawn from, which the run takes over."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import slicer
from DeepRegLib.errors import DeepRegError
from slicer.i18n import tr as _

from ..background_process import BackgroundProcess, QtProcess
from ..event_loop import soon
from ..installation import install_missing, missing_packages
from ..long_words import breakable
from ..steps import StepRunner, Steps
from .pair_folder import PreviewPair, read_pair_in_steps
from .parameters import DeepRegTrainParameters
from .preview_display import PreviewDisplay
from .preview_server import PreviewServer
from .preview_words import pair_words
from .range_form import RangeForm, changed_preset
from .range_table import RangeTable
from .scan_folder import ScanFolder, look_into_in_steps

PERCENT = 100


class PreviewSection:
    """Wires the widgets below *Preview a training pair*. ``new_process`` makes the process that draws; tests give a
    fake one. Nothing is started, and the views are as they were, while the section is folded up or left."""

    def __init__(
        self, ui, scene: slicer.vtkMRMLScene, new_process: Callable[[], BackgroundProcess] = QtProcess
    ) -> None:
        self._ui = ui
        self._parameters: DeepRegTrainParameters | None = None
        self._server = PreviewServer(
            new_process, self._take_presets, self._read_pair, self._show_progress, self._failed
        )
        self._display = PreviewDisplay(scene, slicer.app.applicationLogic())
        self._table = RangeTable(ui.rangeTable, self._ranges_changed, self._tell_ranges)
        self._catalogue: dict[str, Any] = {}
        self._state: tuple[str, str] | None = None
        self._folder = ""
        self._files: tuple[str, ...] = ()
        self._index = 0
        self._drawing = False
        self._reading: StepRunner | None = None
        self._looking: StepRunner | None = None
        self._is_left = True

    @property
    def server(self) -> PreviewServer:
        return self._server

    @property
    def drawing(self) -> bool:
        """A pair was asked for and is not shown yet."""
        return self._drawing

    def connect(self) -> None:
        ui = self._ui
        self._table.connect()
        ui.previewSection.connect("contentsCollapsed(bool)", lambda *_args: self._folded())
        ui.drawButton.connect("clicked(bool)", lambda *_args: self._clicked())
        ui.nextDrawButton.connect("clicked(bool)", lambda *_args: self._draw(self._index + 1))
        ui.resetRangesButton.connect("clicked(bool)", lambda *_args: self._reset())
        ui.previewFadeSlider.connect("valueChanged(int)", lambda value: self._display.set_fade(value / PERCENT))
        ui.previewGridCheckBox.connect("toggled(bool)", self._display.show_grid)
        self._enable()

    def disconnect(self) -> None:
        """End the process, give the views back, remove what was drawn."""
        self._parameters = None
        self._stop()
        self._server.close()
        self._display.remove()

    def enter(self) -> None:
        self._is_left = False
        self._folded()

    def leave(self) -> None:
        """The views and the memory are somebody else's now."""
        self._is_left = True
        self._stop()
        self._server.close()
        self._display.hide()

    def close_scene(self) -> None:
        self._stop()
        self._display.forget()
        self._tell("")
        self._enable()

    def update(self, parameters: DeepRegTrainParameters | None) -> None:
        self._parameters = parameters
        if parameters is None:
            return
        self._show_ranges()
        if parameters.dataFolder != self._folder:
            self._look()

    # The section is opened and folded up.

    @property
    def _is_open(self) -> bool:
        return not (self._is_left or self._ui.previewSection.collapsed)

    def _folded(self) -> None:
        if not self._is_open:
            self._stop()
            self._server.stop()
            self._display.hide()
            return
        self._look()
        if self._display.has_pair:
            self._show_pair()
        if self._catalogue:
            return
        missing = ", ".join(package.title for package in missing_packages())
        if missing:
            self._tell(
                _("Drawing a pair needs {packages}: it is installed with the first one.").format(packages=missing)
            )
        else:
            self._server.ask_presets()

    def _look(self) -> None:
        """List the scans of the folder, in steps."""
        if self._parameters is None or not self._is_open:
            return
        if self._looking is not None:
            self._looking.stop()
        self._folder = self._parameters.dataFolder
        if not self._folder:
            self._list(())
            return
        self._looking = self._run(look_into_in_steps(Path(self._folder).expanduser()), self._looked)

    def _looked(self, found: ScanFolder) -> None:
        self._looking = None
        self._list(found.files)

    def _list(self, files: tuple[str, ...]) -> None:
        if files != self._files:
            chosen = self._scan
            self._files = files
            self._ui.previewScanSelector.clear()
            self._ui.previewScanSelector.addItems(list(files))
            self._ui.previewScanSelector.currentIndex = files.index(chosen) if chosen in files else 0 if files else -1
        self._enable()

    @property
    def _scan(self) -> str:
        index = self._ui.previewScanSelector.currentIndex
        return self._files[index] if 0 <= index < len(self._files) else ""

    # Drawing.

    def _clicked(self) -> None:
        if self._drawing:
            self._stop()
            self._server.stop()
            self._tell(_("Cancelled."))
            return
        self._draw(self._index)

    def _draw(self, index: int) -> None:
        """Pair number ``index``: after a change of the ranges the same number shows what they do."""
        parameters = self._parameters
        if parameters is None or self._drawing or not self._scan:
            return
        try:
            install_missing(ask=True, button=self._ui.drawButton.text)
        except DeepRegError as error:
            self._failed(error, "")
            return
        self._index, self._drawing = index, True
        self._enable()
        if not (self._catalogue or self._server.running):
            self._server.ask_presets()
        self._server.ask_pair(
            {
                "data": str(Path(self._folder).expanduser() / self._scan),
                "preset": parameters.preset,
                "network": parameters.network,
                "size": parameters.size.value,
                "index": index,
                "ranges": changed_preset(parameters.ranges, parameters.preset),
            }
        )

    def _read_pair(self, folder: Path) -> None:
        if self._drawing:
            self._reading = self._run(self._read_in_steps(folder), self._pair_read)

    def _read_in_steps(self, folder: Path) -> Steps[PreviewPair]:
        pair = yield from read_pair_in_steps(folder)
        shutil.rmtree(folder, ignore_errors=True)
        yield
        yield from self._display.fill_in_steps(pair)
        return pair

    def _pair_read(self, pair: PreviewPair) -> None:
        self._reading = None
        self._drawing = False
        self._tell(pair_words(pair))
        self._show_pair()

    def _show_pair(self) -> None:
        if self._is_open:
            self._display.show(self._ui.previewFadeSlider.value / PERCENT, bool(self._ui.previewGridCheckBox.checked))
        self._enable()

    def _show_progress(self, words: str) -> None:
        if self._drawing:
            self._tell(words)

    def _failed(self, error: DeepRegError, _details: str) -> None:
        self._stop()
        self._tell(f"{error} {error.hint}".rstrip())

    def _stop(self) -> None:
        for runner in (self._reading, self._looking):
            if runner is not None:
                runner.stop()
        self._reading = self._looking = None
        self._drawing = False
        self._enable()

    def _run(self, steps: Steps[Any], then: Callable[[Any], None]) -> StepRunner:
        runner = StepRunner(steps, soon, then, self._steps_failed)
        runner.start()
        return runner

    def _steps_failed(self, error: Exception) -> None:
        if isinstance(error, DeepRegError):
            self._failed(error, "")
            return
        self._stop()
        self._tell(_("The pair could not be shown."))
        raise error

    # Ranges.

    def _take_presets(self, catalogue: dict[str, Any]) -> None:
        self._catalogue = catalogue
        self._state = None
        self._show_ranges()

    def _show_ranges(self) -> None:
        """Fill the table, unless it shows this already."""
        parameters = self._parameters
        if parameters is None or not self._catalogue:
            return
        state = parameters.preset, parameters.ranges
        if state == self._state:
            return
        self._state = state
        entry = self._catalogue.get(parameters.preset)
        form = RangeForm(entry, parameters.ranges) if entry is not None else None
        self._table.show(form)
        self._tell_ranges(form.misfit if form is not None else "")
        self._enable()

    def _ranges_changed(self, form: RangeForm, sentence: str) -> None:
        if self._parameters is None:
            return
        self._state = self._parameters.preset, form.text()  # the table shows it already
        self._parameters.ranges = form.text()
        self._tell_ranges(sentence)
        self._enable()

    def _reset(self) -> None:
        if self._parameters is not None:
            self._state = None
            self._parameters.ranges = ""
            self._show_ranges()

    def _tell_ranges(self, sentence: str) -> None:
        self._ui.rangeLabel.text = sentence
        self._ui.rangeLabel.visible = bool(sentence)

    # What can be clicked, and what is said.

    def _enable(self) -> None:
        ui, ready, form = self._ui, bool(self._scan), self._table.form
        ui.drawButton.text = _("Cancel") if self._drawing else _("Draw a pair")
        ui.drawButton.enabled = ready
        ui.nextDrawButton.enabled = ready and not self._drawing and self._display.has_pair
        for widget in (ui.previewFadeSlider, ui.previewGridCheckBox):
            widget.enabled = self._display.has_pair
        ui.resetRangesButton.enabled = form is not None and (form.is_changed or bool(form.misfit))

    def _tell(self, words: str) -> None:
        self._ui.previewLabel.text = breakable(words)
        self._ui.previewLabel.visible = bool(words)
