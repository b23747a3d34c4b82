"""*Compare two models*: both on one landmark pair of the scene, in one table."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from html import escape
from pathlib import Path

import qt
import slicer
from DeepRegLib.errors import DeepRegError
from DeepRegLib.job_folder import JobOptions
from DeepRegLib.methods.automatic import SOLVER_ALONE
from slicer.i18n import tr as _

from ..background_process import BackgroundProcess
from ..background_run import Listener
from ..event_loop import call_after
from ..installation import install_missing
from ..long_words import breakable
from ..request import Request
from ..row_table import row_pixels
from .compare_models import (
    Comparison,
    ComparisonRun,
    Measures,
    check_comparison,
    comparison_sentences,
    comparison_table,
    heading_of,
)
from .parameters import DeepRegTrainParameters

PERCENT = 100
NOTHING = "–"


class CompareSection:
    """The part of the models section that compares. ``new_process`` makes the process that a registration runs in."""

    def __init__(self, ui, scene: slicer.vtkMRMLScene, new_process: Callable[[], BackgroundProcess]) -> None:
        self._ui = ui
        self._scene = scene
        self._new_process = new_process
        self._parameters: DeepRegTrainParameters | None = None
        self._names: list[str] = []
        self._run: ComparisonRun | None = None
        self._message = ""
        self._has_table = False

    @property
    def running(self) -> bool:
        return self._run is not None

    def connect(self) -> None:
        ui = self._ui
        ui.compareButton.connect("clicked(bool)", lambda *_args: self._clicked())
        for selector in (ui.firstModelSelector, ui.secondModelSelector):
            selector.connect("currentIndexChanged(int)", lambda *_args: self._show())
        for section in (ui.compareSection, ui.modelsSection):
            # A collapsed section hides what it holds, whatever was said about it meanwhile.
            section.connect("contentsCollapsed(bool)", lambda *_args: self._show())
        ui.compareLabel.setTextFormat(qt.Qt.PlainText)
        table = ui.compareTable
        table.setEditTriggers(qt.QAbstractItemView.NoEditTriggers)
        table.setSelectionMode(qt.QAbstractItemView.NoSelection)
        table.setFocusPolicy(qt.Qt.NoFocus)
        table.verticalHeader().setDefaultSectionSize(row_pixels(table))
        table.horizontalHeader().setFixedHeight(row_pixels(table))
        header = table.horizontalHeader()
        header.setSectionResizeMode(qt.QHeaderView.Stretch)
        header.setDefaultAlignment(qt.Qt.AlignRight | qt.Qt.AlignVCenter)
        header.setTextElideMode(qt.Qt.ElideRight)
        self._show()

    def read_methods(self) -> None:
        """List what can be compared now, and keep both choices: at first the solver alone, and a model if there is
        one."""
        from DeepRegLib.methods.interface import available_methods
        from DeepRegLib.models.find import available_models

        models = available_models().models
        usable = [name for name, method in available_methods().items() if method.model is None or name in models]
        names = sorted(usable, key=lambda name: name != SOLVER_ALONE)
        first, second = (self._chosen(selector) for selector in self._selectors)
        first = first if first in names else names[0]
        others = [name for name in names if name != first]
        second = second if second in others or not others else others[0]
        self._names = names
        for selector, chosen in zip(self._selectors, (first, second), strict=True):
            selector.clear()
            selector.addItems([heading_of(name) for name in names])
            selector.currentIndex = names.index(chosen) if chosen in names else 0
        self._show()

    def update(self, parameters: DeepRegTrainParameters | None) -> None:
        self._parameters = parameters
        self._show()

    def abandon(self) -> None:
        """Stop and say nothing: the scene is closing, or the application."""
        run, self._run = self._run, None
        if run is not None:
            run.abandon()
            self._show()

    @property
    def _selectors(self) -> tuple[qt.QComboBox, qt.QComboBox]:
        return self._ui.firstModelSelector, self._ui.secondModelSelector

    def _chosen(self, selector) -> str:
        index = selector.currentIndex
        return self._names[index] if 0 <= index < len(self._names) else ""

    def _request(self) -> Request:
        p = self._parameters
        assert p is not None
        return Request(
            fixed=p.compareFixed,
            moving=p.compareMoving,
            fixed_landmarks=p.compareFixedLandmarks,
            moving_landmarks=p.compareMovingLandmarks,
            options=JobOptions(refine=self._ui.compareRefineCheckBox.checked),
        )

    def _what_is_missing(self) -> str:
        if self._parameters is None:
            return _("Open a scene first.")
        try:
            check_comparison(self._request(), [self._chosen(selector) for selector in self._selectors])
        except DeepRegError as error:
            return f"{error} {error.hint}".rstrip()
        return ""

    def _clicked(self) -> None:
        if self._run is not None:
            self._run.cancel()
            return
        first, second = (self._chosen(selector) for selector in self._selectors)
        listener = Listener(self._show_progress, self._finished, self._failed, self._cancelled)
        run = ComparisonRun(
            self._request(),
            (first, second),
            listener,
            call_after,
            self._new_process,
            Path(slicer.app.temporaryPath or tempfile.gettempdir()),
        )
        try:
            install_missing(ask=True, button=self._ui.compareButton.text)
            run.start()
        except DeepRegError as error:
            self._failed(error, "")
            return
        self._run, self._has_table = run, False
        self._show()

    def _show_progress(self, fraction: float, stage: str, seconds_left: float | None) -> None:
        self._ui.compareProgressBar.value = int(PERCENT * fraction)
        self._ui.compareLabel.text = f"{stage}..."

    def _finished(self, comparison: Comparison) -> None:
        self._fill(comparison)
        comparison_table(self._scene, comparison)
        self._ended(" ".join(comparison_sentences(comparison)))

    def _failed(self, error: DeepRegError, details: str) -> None:
        self._ended(f"{error} {error.hint}".rstrip(), details)

    def _cancelled(self) -> None:
        self._ended(_("Cancelled; nothing was changed."))

    def _ended(self, message: str, details: str = "") -> None:
        self._run = None
        self._message = message
        self._ui.compareLabel.toolTip = f"<pre>{escape(details)}</pre>" if details else ""
        self._show()

    def _show(self) -> None:
        """The button and what is to be said, by what runs and what is missing."""
        ui = self._ui
        missing = "" if self.running else self._what_is_missing()
        ui.compareButton.text = _("Cancel") if self.running else _("Compare")
        ui.compareButton.enabled = not missing
        ui.compareProgressBar.visible = self.running
        if not self.running:
            text = " ".join(filter(None, (self._message, missing)))
            ui.compareLabel.text = breakable(text)
        ui.compareLabel.visible = self.running or bool(self._message or missing)
        ui.compareTable.visible = self._has_table

    def _fill(self, comparison: Comparison) -> None:
        table = self._ui.compareTable
        rows = table_texts(comparison)
        table.setColumnCount(3)
        table.setRowCount(len(rows))
        titles = [_("Before"), *(_("Solver") if name == SOLVER_ALONE else name for name in comparison.names)]
        for column, title in enumerate(titles):
            item = qt.QTableWidgetItem(title)
            item.setToolTip(title)
            table.setHorizontalHeaderItem(column, item)
        for number, (title, texts) in enumerate(rows):
            table.setVerticalHeaderItem(number, qt.QTableWidgetItem(title))
            for column, text in enumerate(texts):
                item = qt.QTableWidgetItem(text)
                item.setTextAlignment(qt.Qt.AlignRight | qt.Qt.AlignVCenter)
                table.setItem(number, column, item)
        table.setFixedHeight((1 + len(rows)) * row_pixels(table) + 2 * table.frameWidth)
        self._has_table = True


def table_texts(comparison: Comparison) -> list[tuple[str, list[str]]]:
    """The table as it is read: a title for each row, and its texts before, first and second."""
    columns = [_texts(measures) for measures in (comparison.before, *comparison.after)]
    titles = [
        *(_("Mean (SD), mm"), _("Median, mm"), _("95 %, mm"), _("Largest, mm")),
        *(_("Folding, %"), _("Similarity"), _("Seconds")),
    ]
    return [(title, [column[row] for column in columns]) for row, title in enumerate(titles)]


def _texts(measures: Measures) -> list[str]:
    s = measures.statistics
    return [
        f"{s.mean_mm:.2f} ({s.sd_mm:.2f})",
        *(f"{value:.2f}" for value in (s.median_mm, s.p95_mm, s.max_mm)),
        NOTHING if measures.folding_percent is None else f"{measures.folding_percent:.2g}",
        NOTHING if measures.similarity is None else f"{measures.similarity:.3f}",
        NOTHING if measures.seconds is None else f"{measures.seconds:.1f}",
    ]
