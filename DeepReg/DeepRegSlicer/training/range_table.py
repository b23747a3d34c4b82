"""The ranges of a preset as a table: label, unit, from, to; double-click to change."""

from __future__ import annotations

from collections.abc import Callable

import qt
from DeepRegLib.errors import BadInput
from slicer.i18n import tr as _

from .range_form import RANGE, YES_NO, RangeForm, rows_titles

LABEL, UNIT, FROM, TO = range(4)
HEIGHT_PIXELS = 260
"""Some ten rows; the rest is reached by scrolling."""


class RangeTable:
    """Shows a :class:`~.range_form.RangeForm`. ``on_changed(form, sentence)`` is called after a change by the user,
    ``on_refused(sentence)`` when an entry makes no sense; the cell then has its former text again."""

    def __init__(self, table, on_changed: Callable[[RangeForm, str], None], on_refused: Callable[[str], None]) -> None:
        self._table = table
        self._on_changed = on_changed
        self._on_refused = on_refused
        self._form: RangeForm | None = None
        self._numbers: list[int | None] = []
        self._filling = False

    @property
    def form(self) -> RangeForm | None:
        return self._form

    def connect(self) -> None:
        table = self._table
        table.setColumnCount(TO + 1)
        table.setHorizontalHeaderLabels(list(rows_titles()))
        table.setSelectionMode(qt.QAbstractItemView.SingleSelection)
        table.setWordWrap(True)
        table.setMinimumHeight(HEIGHT_PIXELS)
        table.verticalHeader().setVisible(False)
        header = table.horizontalHeader()
        header.setSectionResizeMode(LABEL, qt.QHeaderView.Stretch)
        for column in (UNIT, FROM, TO):
            header.setSectionResizeMode(column, qt.QHeaderView.ResizeToContents)
        table.connect("cellChanged(int,int)", self._edited)
        # Not at once: while the window is laid out, the columns have widths that they do not keep.
        wrapping = qt.QTimer(table)
        wrapping.setSingleShot(True)
        wrapping.connect("timeout()", table.resizeRowsToContents)
        header.connect("sectionResized(int,int,int)", lambda *_args: wrapping.start(0))

    def show(self, form: RangeForm | None) -> None:
        """Fill the table anew; None empties it."""
        self._form = form
        self._filling = True
        try:
            self._fill()
        finally:
            self._filling = False

    def _fill(self) -> None:
        table = self._table
        self._numbers = []
        table.clearSpans()
        table.setRowCount(0)
        if self._form is None:
            return
        part = ""
        for number, row in enumerate(self._form.rows):
            if row["part"] != part:
                part = row["part"]
                self._numbers.append(None)
            self._numbers.append(number)
        table.setRowCount(len(self._numbers))
        part_names = iter(dict.fromkeys(row["part"] for row in self._form.rows))
        for at, number in enumerate(self._numbers):
            if number is None:
                self._put_heading(at, next(part_names))
            else:
                self._put_row(at, number)
        table.resizeRowsToContents()

    def _put_heading(self, at: int, part: str) -> None:
        titles = {"framing": _("Position and pose"), "motion": _("Motion"), "appearance": _("Grey values")}
        item = self._item(titles.get(part, part), editable=False, bold=True)
        self._table.setItem(at, LABEL, item)
        self._table.setSpan(at, LABEL, 1, TO + 1)

    def _put_row(self, at: int, number: int) -> None:
        row, changed = self._form.rows[number], self._form.row_is_changed(number)
        tip = _("From {lowest} to {highest}.").format(lowest=f"{row['lowest']:g}", highest=f"{row['highest']:g}")
        self._table.setItem(at, LABEL, self._item(row["label"], editable=False, bold=changed))
        self._table.setItem(at, UNIT, self._item(row["unit"], editable=False))
        words = self._form.words(number)
        if row["kind"] != RANGE:
            self._table.setSpan(at, FROM, 1, 2)
        if row["kind"] == YES_NO:
            item = self._item("", editable=False)
            item.setFlags(qt.Qt.ItemIsEnabled | qt.Qt.ItemIsUserCheckable)
            item.setCheckState(qt.Qt.Checked if words[0] == "yes" else qt.Qt.Unchecked)
            self._table.setItem(at, FROM, item)
            return
        for column, text in zip((FROM, TO), words, strict=False):
            item = self._item(text, editable=True, bold=changed)
            item.setToolTip(tip)
            item.setTextAlignment(qt.Qt.AlignRight | qt.Qt.AlignVCenter)
            self._table.setItem(at, column, item)

    def _item(self, text: str, editable: bool, bold: bool = False) -> qt.QTableWidgetItem:
        item = qt.QTableWidgetItem(text)
        if not editable:
            item.setFlags(qt.Qt.ItemIsEnabled)
        if bold:
            font = qt.QFont(self._table.font)
            font.setBold(True)
            item.setFont(font)
        return item

    def _edited(self, at: int, column: int) -> None:
        if self._filling or self._form is None or not 0 <= at < len(self._numbers):
            return
        number = self._numbers[at]
        if number is None or column not in (FROM, TO):
            return
        item = self._table.item(at, column)
        sentence = ""
        try:
            if self._form.rows[number]["kind"] == YES_NO:
                self._form.set_switch(number, item.checkState() == qt.Qt.Checked)
            else:
                sentence = self._form.set_words(number, column - FROM, item.text())
        except BadInput as problem:
            self._show_row(at, number)
            self._on_refused(str(problem))
            return
        self._show_row(at, number)
        self._on_changed(self._form, sentence)

    def _show_row(self, at: int, number: int) -> None:
        self._filling = True
        try:
            self._put_row(at, number)
        finally:
            self._filling = False
