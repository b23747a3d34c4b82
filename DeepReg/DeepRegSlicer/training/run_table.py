"""The table of runs in the panel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import qt
from slicer.i18n import tr as _

from ..pacing import paced_steps
from ..row_table import choose_by_row
from ..steps import Steps
from .duration_words import duration_words
from .run_list import AT_WORK, FAILED, FINISHED, INTERRUPTED, QUEUED, RUNNING, STOPPED, STOPPING, Run

FIRST_ROWS = 5
HEIGHT_PIXELS = 160
"""Some six rows; the rest is reached by scrolling."""
NOTHING = "-"


class RunTable:
    """One row for each run. ``on_chosen(folder)`` is called when the user goes to another row."""

    def __init__(self, table, on_chosen: Callable[[Path], None]) -> None:
        self._table = table
        self._on_chosen = on_chosen
        self._folders: list[Path] = []
        self._shown: list[tuple[str, ...]] = []
        self._filling = False

    def connect(self) -> None:
        table = self._table
        choose_by_row(table)
        table.setMinimumHeight(HEIGHT_PIXELS)
        titles = [_("Run"), _("State"), _("Step"), _("To go"), _("Best")]
        table.setTextElideMode(qt.Qt.ElideMiddle)
        table.setWordWrap(False)
        table.setColumnCount(len(titles))
        table.setHorizontalHeaderLabels(titles)
        table.horizontalHeaderItem(2).setToolTip(_("Steps that are done."))
        table.horizontalHeaderItem(3).setToolTip(_("Time that all remaining steps will take, validation aside."))
        table.horizontalHeaderItem(4).setToolTip(_("Smallest mean error in validation so far, in mm."))
        # Otherwise the titles are bold while a row is chosen, and wider than their columns.
        table.horizontalHeader().setHighlightSections(False)
        table.horizontalHeader().setSectionResizeMode(0, qt.QHeaderView.Stretch)
        table.connect("cellClicked(int,int)", lambda row, _column: self._choose(row))
        table.connect("currentCellChanged(int,int,int,int)", lambda row, *_others: self._choose(row))

    def fill_in_steps(self, runs: Sequence[Run], chosen: Path | None) -> Steps[None]:
        """Show ``runs``; only what changed is touched. The row of ``chosen`` is selected."""
        lengths = self._lengths()

        def fill(start: int, stop: int) -> None:
            self._filling = True
            try:
                for row in range(start, stop):
                    self._fill_row(row, runs[row])
            finally:
                self._filling = False

        self._set_row_count(len(runs))
        yield from paced_steps(fill, len(runs), FIRST_ROWS)
        if self._lengths() != lengths:
            for column in range(1, self._table.columnCount):
                self._table.resizeColumnToContents(column)
        self.choose(chosen)

    def choose(self, folder: Path | None) -> None:
        """Select the row of a run, or none."""
        self._filling = True
        try:
            if folder in self._folders:
                row = self._folders.index(folder)
                if self._table.currentRow() != row or not self._table.selectedItems():
                    self._table.selectRow(row)
            else:
                self._table.clearSelection()
        finally:
            self._filling = False

    def _lengths(self) -> set[tuple[int, ...]]:
        """Letters of the cells beside the names: their columns get other widths only when these change."""
        return {tuple(map(len, texts[1:-1])) for texts in self._shown}

    def _set_row_count(self, count: int) -> None:
        self._filling = True
        try:
            self._table.setRowCount(count)
        finally:
            self._filling = False
        del self._folders[count:], self._shown[count:]

    def _fill_row(self, row: int, run: Run) -> None:
        texts = (*row_texts(run), "\n".join(filter(None, (str(run.folder), step_words(run), run.sentence))))
        if row < len(self._shown):
            if self._shown[row] == texts and self._folders[row] == run.folder:
                return
            self._shown[row], self._folders[row] = texts, run.folder
        else:
            self._shown.append(texts)
            self._folders.append(run.folder)
        *cells, tip = texts
        for column, text in enumerate(cells):
            item = self._table.item(row, column)
            if item is None:
                item = qt.QTableWidgetItem()
                if column > 1:
                    item.setTextAlignment(qt.Qt.AlignRight | qt.Qt.AlignVCenter)
                self._table.setItem(row, column, item)
            item.setText(text)
            item.setToolTip(tip)

    def _choose(self, row: int) -> None:
        if not self._filling and 0 <= row < len(self._folders):
            self._on_chosen(self._folders[row])


def row_texts(run: Run) -> tuple[str, ...]:
    """The cells of a row."""
    step = str(run.step) if run.steps else NOTHING
    left = duration_words(run.seconds_left) if run.seconds_left and run.state in AT_WORK else NOTHING
    best = NOTHING if run.best_error_mm is None else f"{run.best_error_mm:.2f}"
    return run.name, state_title(run.state), step, left, best


def step_words(run: Run) -> str:
    """How far the run is, as a sentence; empty when nobody knows yet."""
    if not run.steps:
        return ""
    if run.best_error_mm is None:
        return _("Step {step} of {steps}.").format(step=run.step, steps=run.steps)
    words = _("Step {step} of {steps}, smallest error {error} mm.")
    return words.format(step=run.step, steps=run.steps, error=f"{run.best_error_mm:.2f}")


def state_title(state: str) -> str:
    """The state for people."""
    titles = {
        QUEUED: _("queued"),
        RUNNING: _("running"),
        STOPPING: _("stopping"),
        STOPPED: _("stopped"),
        FINISHED: _("finished"),
        FAILED: _("failed"),
        INTERRUPTED: _("interrupted"),
    }
    return titles[state]
