"""Tables of the panels in which a row is chosen as a whole: landmarks, runs, models."""

from __future__ import annotations

import qt

ROW_MARGIN_PIXELS = 6
"""Between the letters of one row and those of the next."""


def row_pixels(table) -> int:
    """The height of a row of one line, in the font that the table has now."""
    return qt.QFontMetrics(table.font).height() + ROW_MARGIN_PIXELS


def choose_by_row(table) -> None:
    """Have ``table`` show rows of one line, of which one is chosen at a time and none is edited."""
    table.setSelectionBehavior(qt.QAbstractItemView.SelectRows)
    table.setSelectionMode(qt.QAbstractItemView.SingleSelection)
    table.setEditTriggers(qt.QAbstractItemView.NoEditTriggers)
    table.verticalHeader().setVisible(False)
    table.verticalHeader().setDefaultSectionSize(row_pixels(table))
