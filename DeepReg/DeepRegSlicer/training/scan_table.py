"""The table of what was found in each scan: a picture, the grid, the lungs, whose it is, and the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import qt
from slicer.i18n import tr as _

from ..pacing import paced_steps
from ..steps import Steps

PICTURE, SCAN, VERDICT = range(3)
PICTURE_PIXELS = 56
ROWS_SEEN = 4
FIRST_ROWS = 5
LINES = 4
"""Of text in a row: name, grid, voxels, what was found."""
TIMES = "\u00d7"
ML_PER_LITRE = 1000


class ScanTable:
    """Fills the table widget; ``scans`` are those of :meth:`DeepRegTrainLib.check.DataCheck.to_dict`."""

    def __init__(self, table) -> None:
        self._table = table
        self._rows: dict[str, int] = {}

    def connect(self) -> None:
        table = self._table
        table.setColumnCount(VERDICT + 1)
        table.setHorizontalHeaderLabels(["", _("Scan"), _("Verdict")])
        table.setEditTriggers(qt.QAbstractItemView.NoEditTriggers)
        table.setSelectionBehavior(qt.QAbstractItemView.SelectRows)
        table.setWordWrap(True)
        table.setTextElideMode(qt.Qt.ElideRight)
        table.setIconSize(qt.QSize(PICTURE_PIXELS, PICTURE_PIXELS))
        table.setHorizontalScrollBarPolicy(qt.Qt.ScrollBarAlwaysOff)
        table.setVerticalScrollMode(qt.QAbstractItemView.ScrollPerPixel)
        table.verticalHeader().setVisible(False)
        header = table.horizontalHeader()
        header.setSectionResizeMode(qt.QHeaderView.Stretch)
        header.setSectionResizeMode(PICTURE, qt.QHeaderView.Fixed)
        header.setMinimumSectionSize(PICTURE_PIXELS + 8)
        table.setColumnWidth(PICTURE, PICTURE_PIXELS + 8)

    def clear(self) -> None:
        self._rows = {}
        self._table.setRowCount(0)

    def fill_in_steps(self, scans: Sequence[Mapping[str, Any]], pictures: Mapping[str, str]) -> Steps[None]:
        """One row for each scan; ``pictures`` are files by scan, as far as they are there already."""
        table = self._table
        self._rows = {scan["file"]: row for row, scan in enumerate(scans)}
        table.setRowCount(len(scans))
        line = qt.QFontMetrics(table.font).height()
        table.verticalHeader().setDefaultSectionSize(max(PICTURE_PIXELS + 8, LINES * line + 8))
        table.setMinimumHeight((min(len(scans), ROWS_SEEN) * table.verticalHeader().defaultSectionSize) + 2 * line)

        def fill(start: int, stop: int) -> None:
            for row in range(start, stop):
                scan = scans[row]
                self._put(row, SCAN, scan_words(scan))
                self._put(row, VERDICT, verdict_words(scan))
                if scan["problems"]:
                    bold = qt.QFont(table.font)
                    bold.setBold(True)
                    table.item(row, VERDICT).setFont(bold)
                if scan["file"] in pictures:
                    self.show_picture(scan["file"], pictures[scan["file"]])

        yield from paced_steps(fill, len(scans), FIRST_ROWS)

    def show_picture(self, file: str, picture: str) -> None:
        """The small picture of a scan, as soon as it is drawn."""
        if file in self._rows:
            item = qt.QTableWidgetItem()
            item.setIcon(qt.QIcon(picture))
            item.setToolTip(_("The coronal slice through the middle; the patient's right is on the left."))
            self._table.setItem(self._rows[file], PICTURE, item)

    def _put(self, row: int, column: int, text: str) -> None:
        item = qt.QTableWidgetItem(text)
        item.setToolTip(text)
        self._table.setItem(row, column, item)


def scan_words(scan: Mapping[str, Any]) -> str:
    """Name, grid, the region with its volume in litres, and the patient."""
    lines = [scan["file"]]
    if scan["size"]:
        lines.append(TIMES.join(map(str, scan["size"])))
        lines.append(TIMES.join(f"{mm:.3g}" for mm in scan["spacing_mm"]) + " mm")
    found = [_("patient {name}").format(name=scan["patient"])]
    if scan["region"]:
        regions = {"lungs": _("Lungs"), "body": _("No lungs (body)"), "head": _("No lungs (head)")}
        found.insert(0, f"{regions.get(scan['region'], scan['region'])} {scan['region_ml'] / ML_PER_LITRE:.1f} l")
    return "\n".join([*lines, ", ".join(found)])


def verdict_words(scan: Mapping[str, Any]) -> str:
    """What is wrong with a scan, or what it is used for and what is odd about it."""
    if scan["problems"]:
        name = f"'{scan['file'].rpartition('/')[2]}' "  # it stands beside it
        problems = [problem.removeprefix(name) for problem in scan["problems"]]
        return "\n".join(problem[:1].upper() + problem[1:] for problem in problems)
    use = _("For validation") if scan["use"] == "validate" else _("For training")
    return "\n".join([use, *scan["warnings"]])


def total_words(check: Mapping[str, Any]) -> str:
    """How many scans and people there are for what, and what is odd about all of them together."""
    scans = check["scans"]
    if not any(scan["use"] for scan in scans):
        return "\n".join([_("None of the {n} scans can be used.").format(n=len(scans)), *check["warnings"]])
    counts = []
    for use, words in (
        ("train", _("For training: {n} (patients: {people}).")),
        ("validate", _("For validation: {n} (patients: {people}).")),
    ):
        chosen = [scan for scan in scans if scan["use"] == use]
        counts.append(words.format(n=len(chosen), people=len({scan["patient"] for scan in chosen})))
    usable = sum(bool(scan["use"]) for scan in scans)
    first = _("{usable} of {n} scans can be used.").format(usable=usable, n=len(scans))
    return "\n".join([" ".join([first, *counts]), *check["warnings"]])
