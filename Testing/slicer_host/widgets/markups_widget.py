"""qSlicerSimpleMarkupsWidget: a table of control points
(Modules/Loadable/Markups/Widgets/qSlicerSimpleMarkupsWidget.h)."""

from __future__ import annotations

from typing import Any

import slicer
from PySide6 import QtWidgets
from PySide6.QtCore import Property, Signal

from slicer_host.widgets.base import standin, stored
from slicer_host.widgets.node_combo_box import qMRMLNodeComboBox
from slicer_host.widgets.observers import Observers
from slicer_host.widgets.slicer_plain import qSlicerWidget

COLUMNS = ("Label", "R", "A", "S")
POINT_EVENTS = ("PointAddedEvent", "PointRemovedEvent", "PointModifiedEvent", "PointPositionDefinedEvent")


@standin()
class qSlicerSimpleMarkupsWidget(qSlicerWidget):
    markupsNodeChanged = Signal()
    currentMarkupsControlPointSelectionChanged = Signal(int)
    activeMarkupsPlaceModeChanged = Signal(bool)
    updateFinished = Signal()
    enterPlaceModeOnNodeChange, setEnterPlaceModeOnNodeChange = stored("enterPlaceModeOnNodeChange", bool, True)
    jumpToSliceEnabled, setJumpToSliceEnabled = stored("jumpToSliceEnabled", bool, False)
    optionsVisible, setOptionsVisible = stored("optionsVisible", bool, True)
    positionStatusColumnVisible, setPositionStatusColumnVisible = stored("positionStatusColumnVisible", bool, False)
    viewGroup, setViewGroup = stored("viewGroup", int, -1)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        nodes, table = qMRMLNodeComboBox(), QtWidgets.QTableWidget(0, len(COLUMNS))
        self.__dict__.update(_nodes=nodes, _table=table, _node=None, _observers=Observers(self))
        nodes.setNodeTypes(["vtkMRMLMarkupsFiducialNode"])
        table.setHorizontalHeaderLabels(list(COLUMNS))
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(nodes)
        layout.addWidget(table)
        nodes.currentNodeChanged.connect(self._on_node)
        table.itemSelectionChanged.connect(self._on_selection)

    nodeSelectorVisible = Property(
        bool, lambda self: not self._nodes.isHidden(), lambda self, visible: self._nodes.setVisible(visible)
    )

    def setMRMLScene(self, scene: Any) -> None:
        super().setMRMLScene(scene)
        self._nodes.setMRMLScene(scene)

    def currentNode(self) -> Any:
        return self._node

    def setCurrentNode(self, node: Any) -> None:
        self._nodes.setCurrentNode(node)

    def tableWidget(self) -> QtWidgets.QTableWidget:
        return self._table

    def markupsSelectorComboBox(self) -> qMRMLNodeComboBox:
        return self._nodes

    def highlightNthControlPoint(self, index: int) -> None:
        self._table.selectRow(index)

    def _on_node(self, node: Any) -> None:
        self._observers.remove("node")
        for name in POINT_EVENTS if node is not None else ():
            self._observers.add("node", node, getattr(slicer.vtkMRMLMarkupsNode, name), "_fill")
        self.__dict__["_node"] = node
        self._fill()
        self.markupsNodeChanged.emit()

    def _on_selection(self) -> None:
        self.currentMarkupsControlPointSelectionChanged.emit(self._table.currentRow())

    def _fill(self, *_: object) -> None:
        count = self._node.GetNumberOfControlPoints() if self._node else 0
        self._table.setRowCount(count)
        for row in range(count):
            position = self._node.GetNthControlPointPositionWorld(row)
            texts = [self._node.GetNthControlPointLabel(row), *(f"{x:.3f}" for x in position)]
            for column, text in enumerate(texts):
                self._table.setItem(row, column, QtWidgets.QTableWidgetItem(text))
        self.updateFinished.emit()
