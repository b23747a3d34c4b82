"""Landmark errors in the panel: the list of landmarks, and their statistics in a few lines."""

from __future__ import annotations

from collections.abc import Callable
from html import escape

import numpy as np
import qt
from DeepRegLib.evidence.landmarks import ErrorStatistics
from slicer.i18n import tr as _

from ..landmark_table import LandmarkErrors
from ..pacing import paced_steps
from ..row_table import choose_by_row
from ..steps import Steps

FIRST_ROWS = 20
"""Rows that are filled in the first step."""
SHOWN_DECIMALS = 2
"""A hundredth of a millimetre is finer than any landmark was placed."""
HEIGHT_PIXELS = 220
"""Some nine rows; the rest is reached by scrolling."""


class LandmarkTableView:
    """The table widget: largest error first, outliers bold. ``on_chosen(pair)`` is called with the number of the pair
    whose row the user clicks or goes to with the arrow keys."""

    def __init__(self, table, on_chosen: Callable[[int], None]) -> None:
        self._table = table
        self._on_chosen = on_chosen
        self._rows = np.zeros(0, int)
        self._labels: tuple[str, ...] = ()
        self._chosen = ""
        self._filling = False

    def connect(self) -> None:
        table = self._table
        choose_by_row(table)
        table.setMinimumHeight(HEIGHT_PIXELS)
        table.connect("cellClicked(int,int)", lambda row, _column: self._choose(row))
        table.connect("currentCellChanged(int,int,int,int)", lambda row, *_others: self._choose(row))

    def clear(self) -> None:
        self._filling = True
        self._rows = np.zeros(0, int)
        self._table.setRowCount(0)
        self._filling = False

    def fill_in_steps(self, errors: LandmarkErrors) -> Steps[None]:
        """List ``errors``; the row of the landmark that was chosen last stays selected."""
        titles, numbers = _columns(errors)
        outliers, table = errors.outliers, self._table
        self._rows, self._labels = errors.largest_first, errors.labels
        bold = qt.QFont(table.font)
        bold.setBold(True)

        def fill(start: int, stop: int) -> None:
            for row in range(start, stop):
                pair = self._rows[row]
                texts = [self._labels[pair], *(f"{values[pair]:z.{SHOWN_DECIMALS}f}" for values in numbers)]
                for column, text in enumerate(texts):
                    item = qt.QTableWidgetItem(text)
                    if column > 0:
                        item.setTextAlignment(qt.Qt.AlignRight | qt.Qt.AlignVCenter)
                    if outliers[pair]:
                        item.setFont(bold)
                    table.setItem(row, column, item)

        self._filling = True
        try:
            table.setColumnCount(len(titles))
            table.setRowCount(len(self._rows))
            self._set_titles(titles)
            yield from paced_steps(fill, len(self._rows), FIRST_ROWS)
            table.resizeColumnsToContents()
            self._select_again()
        finally:
            self._filling = False

    def _set_titles(self, titles: list[tuple[str, str]]) -> None:
        for column, (title, meaning) in enumerate(titles):
            item = qt.QTableWidgetItem(title)
            item.setToolTip(meaning)
            self._table.setHorizontalHeaderItem(column, item)

    def _select_again(self) -> None:
        if self._chosen in self._labels:
            pair = self._labels.index(self._chosen)
            self._table.selectRow(int(np.flatnonzero(self._rows == pair)[0]))
        else:
            self._table.clearSelection()

    def _choose(self, row: int) -> None:
        if not self._filling and 0 <= row < len(self._rows):
            pair = int(self._rows[row])
            self._chosen = self._labels[pair]
            self._on_chosen(pair)


def _columns(errors: LandmarkErrors) -> tuple[list[tuple[str, str]], list[np.ndarray]]:
    """Titles of the columns with what they mean, and the numbers (n,) of all but the first."""
    titles = [
        (_("Label"), _("Label of the landmark in the fixed list.")),
        (_("Before"), _("Distance of the two landmarks before the registration, in mm.")),
    ]
    numbers = [errors.before_mm]
    if errors.after_mm is not None:
        titles.append((_("After"), _("Distance after the registration, in mm.")))
        numbers.append(errors.after_mm)
    titles += [
        ("R", _("How far too much to the patient's right, in mm.")),
        ("A", _("How far too much to the front, in mm.")),
        ("S", _("How far too much towards the head, in mm.")),
    ]
    numbers += list(errors.residuals_ras.T)
    if errors.snapped_mm is not None:
        snapped = _("Distance from the nearest voxel of the moving image, in mm, as the DIR-Lab tables have it.")
        titles.append((_("Snapped"), snapped))
        numbers.append(errors.snapped_mm)
    return titles, numbers


def summary(errors: LandmarkErrors) -> str:
    """How many pairs there are, how they were found, and their statistics; rich text."""
    how = _("by label") if errors.pairs.by_label else _("by their order")
    sentences = [_("{n} pairs, matched {how}; errors in mm.").format(n=len(errors.pairs), how=how)]
    outliers = int(errors.outliers.sum())
    if outliers:
        sentences.append(_("{n} far above the others (bold).").format(n=outliers))
    return escape(" ".join(sentences)) + _statistics_table(errors.statistics())


def _statistics_table(statistics: dict[str, ErrorStatistics]) -> str:
    titles = {"before": _("Before"), "after": _("After"), "after_snapped": _("Snapped to voxels")}
    heads = ["", _("mean (SD)"), _("median"), _("95 %"), _("max")]
    rows = ["".join(f"<th align='right'>{escape(head)}</th>" for head in heads)]
    for name, s in statistics.items():
        numbers = [f"{s.mean_mm:.2f} ({s.sd_mm:.2f})", *(f"{v:.2f}" for v in (s.median_mm, s.p95_mm, s.max_mm))]
        cells = "".join(f"<td align='right'>{number}</td>" for number in numbers)
        rows.append(f"<td>{escape(titles[name])}</td>{cells}")
    return "<table cellspacing='6'>" + "".join(f"<tr>{row}</tr>" for row in rows) + "</table>"
