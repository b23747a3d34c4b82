"""The rows of the combo box inside a qMRMLNodeComboBox: perhaps "None", then the nodes, then what can be done.

Qt decides what becomes current when rows come and go, so all of them are real rows, as in Slicer.
"""

from __future__ import annotations

from PySide6 import QtCore, QtGui, QtWidgets

NODE_ID = QtCore.Qt.UserRole + 1
ACTION = QtCore.Qt.UserRole + 2
NONE = "NONE"


class NodeRows:
    """Reads and changes the rows; knows nothing of the scene."""

    def __init__(self, combo: QtWidgets.QComboBox) -> None:
        self.combo = combo

    def node_ids(self) -> list[str]:
        """IDs of the nodes, in the order shown."""
        ids = (self.combo.itemData(row, NODE_ID) for row in range(self.combo.property("count")))
        return [node_id for node_id in ids if node_id]

    def row_of(self, node_id: str) -> int:
        """-1 when it is not there."""
        ids = self.node_ids()
        return self.first_node_row() + ids.index(node_id) if node_id in ids else -1

    def id_at(self, row: int) -> str:
        """Empty for a row that is not a node."""
        return (self.combo.itemData(row, NODE_ID) or "") if row >= 0 else ""

    def action_at(self, row: int) -> str:
        return self.combo.itemData(row, ACTION) or ""

    def first_node_row(self) -> int:
        return int(self._has_none())

    def none_row(self) -> int:
        """-1 when there is no "None"."""
        return 0 if self._has_none() else -1

    def insert_node(self, place: int, node_id: str, name: str) -> None:
        self._insert(self.first_node_row() + place, name, node_id, NODE_ID)

    def remove_node(self, node_id: str) -> None:
        self.combo.removeItem(self.row_of(node_id))

    def remove_all_nodes(self) -> None:
        """In one go: what is current moves once only."""
        count = len(self.node_ids())
        if count:
            self.combo.model().removeRows(self.first_node_row(), count)

    def show_none(self, text: str | None) -> None:
        """Text of the row "None"; without a text there is no such row."""
        if self._has_none():
            if text is None:
                self.combo.removeItem(0)
            else:
                self.combo.setItemText(0, text)
        elif text is not None:
            self._insert(0, text, NONE, ACTION)

    def show_actions(self, actions: list[tuple[str, str]]) -> None:
        """Rows after the nodes, as (action, text); what is current stays."""
        current = self.combo.property("currentIndex")
        self.combo.blockSignals(True)
        for row in reversed(range(self.combo.property("count"))):
            if self.action_at(row) not in ("", NONE):
                self.combo.removeItem(row)
        for action, text in actions:
            self._insert(self.combo.property("count"), text, action, ACTION)
        self.combo.setCurrentIndex(current)
        self.combo.blockSignals(False)

    def _has_none(self) -> bool:
        return bool(self.combo.property("count")) and self.action_at(0) == NONE

    def _insert(self, row: int, text: str, data: str, role: int) -> None:
        """The row knows its data from the start: Qt may make it current at once."""
        item = QtGui.QStandardItem(text)
        item.setData(data, role)
        self.combo.model().insertRow(row, item)
