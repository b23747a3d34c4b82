"""qMRMLCheckableNodeComboBox: several nodes at a time (Libs/MRML/Widgets/qMRMLCheckableNodeComboBox.h)."""

from __future__ import annotations

from typing import Any

from PySide6 import QtCore, QtWidgets
from PySide6.QtCore import Signal

from slicer_host.widgets.base import standin
from slicer_host.widgets.node_combo_box import qMRMLNodeComboBox


@standin("checkedNodesChanged()")
class qMRMLCheckableNodeComboBox(qMRMLNodeComboBox):
    """Nodes are unchecked at first; the choice lies in the widget only, never in the scene."""

    checkedNodesChanged = Signal()

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self.__dict__["_checked"] = []
        self.setAddEnabled(False)
        self.setRemoveEnabled(False)
        self._combo.setForceDefault(True)
        self._show_checked()
        self._combo.model().rowsRemoved.connect(self._drop_gone)

    def checkedNodes(self) -> tuple[Any, ...]:
        return tuple(node for node in self.nodes() if node.GetID() in self._checked)

    def uncheckedNodes(self) -> tuple[Any, ...]:
        return tuple(node for node in self.nodes() if node.GetID() not in self._checked)

    def allChecked(self) -> bool:
        return not self.uncheckedNodes()

    def noneChecked(self) -> bool:
        return not self.checkedNodes()

    def checkState(self, node: Any) -> QtCore.Qt.CheckState:
        checked = node is not None and node.GetID() in self._checked
        return QtCore.Qt.Checked if checked else QtCore.Qt.Unchecked

    def setCheckState(self, node: Any, state: QtCore.Qt.CheckState) -> None:
        self._set(node, state in (QtCore.Qt.Checked, 2))

    def check(self, node: Any) -> None:
        self._set(node, True)

    def uncheck(self, node: Any) -> None:
        self._set(node, False)

    def _set(self, node: Any, checked: bool) -> None:
        node_id = node.GetID() if node is not None else None
        if node_id is None or self._rows.row_of(node_id) < 0 or checked == (node_id in self._checked):
            return
        (self._checked.append if checked else self._checked.remove)(node_id)
        self._show_checked()
        self.checkedNodesChanged.emit()

    def _drop_gone(self, *_: object) -> None:
        left = [node_id for node_id in self._checked if self._rows.row_of(node_id) >= 0]
        if left != self._checked:
            self._checked[:] = left
            self._show_checked()
            self.checkedNodesChanged.emit()

    def _update_placeholder(self) -> None:
        """The text is that of the checked nodes."""

    def _show_checked(self) -> None:
        rows = [self._rows.row_of(node_id) for node_id in self._checked]
        self._combo.setDefaultText(", ".join(self._combo.itemText(row) for row in sorted(rows)) or "None")
