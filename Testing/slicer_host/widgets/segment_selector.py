"""qMRMLSegmentSelectorWidget: a segmentation and one of its segments (Libs/MRML/Widgets/qMRMLSegmentSelectorWidget.h).

Two traits of Slicer's widget that callers must know are kept: the segment's ID stays when the segmentation goes, and
``segmentIDs()`` is empty unless several segments may be chosen (which this stand-in does not know).
"""

from __future__ import annotations

from typing import Any

import slicer
from PySide6 import QtWidgets
from PySide6.QtCore import Property, Signal

from slicer_host.widgets.base import standin, stored
from slicer_host.widgets.node_combo_box import qMRMLNodeComboBox
from slicer_host.widgets.observers import Observers
from slicer_host.widgets.slicer_plain import qMRMLWidget

SEGMENTATION_EVENTS = ("SegmentAdded", "SegmentRemoved", "SegmentModified")


@standin(
    "currentNodeChanged(vtkMRMLNode*)",
    "currentNodeChanged(bool) = currentNodeValidChanged",
    "nodeAboutToBeEdited(vtkMRMLNode*)",
)
class qMRMLSegmentSelectorWidget(qMRMLWidget):
    currentNodeChanged = Signal(object)
    currentNodeValidChanged = Signal(bool)  # the overload with bool
    currentSegmentChanged = Signal(str)
    nodeAboutToBeEdited = Signal(object)
    horizontalLayout, setHorizontalLayout = stored("horizontalLayout", bool, False, "_turn_layout")

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        nodes, segments, message = qMRMLNodeComboBox(), QtWidgets.QComboBox(), QtWidgets.QLabel()
        self.__dict__.update(_nodes=nodes, _segments=segments, _message=message, _node=None, _segment_id="")
        self.__dict__["_observers"] = Observers(self)
        nodes.setNodeTypes(["vtkMRMLSegmentationNode"])
        nodes.setAddEnabled(False)
        nodes.setRenameEnabled(True)
        layout = QtWidgets.QBoxLayout(QtWidgets.QBoxLayout.TopToBottom, self)
        layout.setContentsMargins(0, 0, 0, 0)
        for child in (nodes, segments, message):
            layout.addWidget(child)
        nodes.currentNodeChanged.connect(self._on_node)
        nodes.currentNodeChanged.connect(self.currentNodeChanged)
        nodes.currentNodeValidChanged.connect(self.currentNodeValidChanged)
        segments.currentIndexChanged.connect(self._on_segment)
        self._populate()

    noneEnabled = Property(
        bool, lambda self: self._nodes.noneEnabled, lambda self, enabled: self.setNoneEnabled(enabled)
    )
    editEnabled = Property(
        bool, lambda self: self._nodes.editEnabled, lambda self, enabled: self._nodes.setEditEnabled(enabled)
    )
    selectNodeUponCreation = Property(
        bool,
        lambda self: self._nodes.selectNodeUponCreation,
        lambda self, wanted: self._nodes.setSelectNodeUponCreation(wanted),
    )
    segmentationNodeSelectorVisible = Property(
        bool,
        lambda self: self._nodes.isVisible(),
        lambda self, visible: self.setSegmentationNodeSelectorVisible(visible),
    )

    def setSegmentationNodeSelectorVisible(self, visible: bool) -> None:
        self._nodes.setVisible(visible)

    def setNoneEnabled(self, enabled: bool) -> None:
        self._nodes.setNoneEnabled(enabled)
        self._populate()

    def setMRMLScene(self, scene: Any) -> None:
        super().setMRMLScene(scene)
        self._nodes.setMRMLScene(scene)

    def currentNode(self) -> Any:
        return self._nodes.currentNode()

    def currentNodeID(self) -> str:  # a method here, unlike that of qMRMLNodeComboBox
        return self._nodes.currentNodeID

    def setCurrentNode(self, node: Any) -> None:
        self._nodes.setCurrentNode(node)

    def setCurrentNodeID(self, node_id: str) -> None:
        self._nodes.setCurrentNodeID(node_id)

    def segmentIDs(self) -> tuple[str, ...]:
        return ()

    def currentSegmentID(self) -> str:
        return self._segment_id

    def setCurrentSegmentID(self, segment_id: str) -> None:
        """An ID that the segmentation does not have changes nothing."""
        row = 0 if not segment_id and self.noneEnabled else self._segments.findData(segment_id)
        if row >= 0:
            self._segments.setCurrentIndex(row)

    def _turn_layout(self) -> None:
        left_to_right, down = QtWidgets.QBoxLayout.LeftToRight, QtWidgets.QBoxLayout.TopToBottom
        self.layout().setDirection(left_to_right if self.horizontalLayout else down)

    def _on_node(self, node: Any) -> None:
        if node is self._node:
            return
        self._observers.remove("node")
        for name in SEGMENTATION_EVENTS if node is not None else ():
            self._observers.add("node", node, getattr(slicer.vtkSegmentation, name), "_populate")
        self.__dict__["_node"] = node
        self._populate()

    def _populate(self, *_: object) -> None:
        combo, segmentation = self._segments, self._node.GetSegmentation() if self._node else None
        ids = list(segmentation.GetSegmentIDs()) if segmentation else []
        combo.setVisible(bool(ids))
        self._message.setVisible(not ids)
        self._message.setText("No segments in segmentation" if self._node else "No node is selected")
        combo.blockSignals(True)
        combo.clear()
        if ids and self.noneEnabled:
            combo.addItem("None", "")
        for segment_id in ids:
            combo.addItem(segmentation.GetSegment(segment_id).GetName(), segment_id)
        restored = self._segment_id in ids or (self.noneEnabled and not self._segment_id)
        combo.setCurrentIndex(combo.findData(self._segment_id) if restored else -1)
        combo.blockSignals(False)
        if ids and not restored:
            combo.setCurrentIndex(1 if self.noneEnabled else 0)

    def _on_segment(self, row: int) -> None:
        if self._node is not None:
            self.__dict__["_segment_id"] = self._segments.itemData(row) or ""
            self.currentSegmentChanged.emit(self._segment_id)
