"""``slicer.app.layoutManager()``: real slice and view logics and nodes, without the pictures
(Libs/MRML/Widgets/qMRMLLayoutManager.h, qMRMLSliceWidget.h, qMRMLThreeDWidget.h)."""

from __future__ import annotations

from typing import Any

import slicer
from PySide6 import QtCore, QtWidgets
from PySide6.QtCore import Property, Signal

from slicer_host.scene import ApplicationScene

VIEW_SIZE_PIXELS = (400, 400)
START_LAYOUT = slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView


class qMRMLSliceView(QtWidgets.QWidget):
    def __init__(self, node: Any) -> None:
        super().__init__()
        self.__dict__["_node"] = node

    def mrmlSliceNode(self) -> Any:
        return self._node

    def forceRender(self) -> None:
        """There is no picture."""

    scheduleRender = forceRender


class qMRMLSliceController(QtWidgets.QWidget):
    """``sliceWidget(...).sliceController()`` and ``fitSliceToBackground``."""

    def __init__(self, logic: Any) -> None:
        super().__init__()
        self.__dict__["_logic"] = logic

    def fitSliceToBackground(self) -> None:
        self._logic.FitSliceToBackground(*VIEW_SIZE_PIXELS)

    def mrmlSliceNode(self) -> Any:
        return self._logic.GetSliceNode()

    def sliceLogic(self) -> Any:
        return self._logic

    def setSliceLink(self, linked: bool) -> None:
        self._logic.GetSliceCompositeNode().SetLinkedControl(linked)


class qMRMLSliceWidget(QtWidgets.QWidget):
    def __init__(self, node: Any, host: ApplicationScene) -> None:
        super().__init__()
        logic = slicer.vtkMRMLSliceLogic()
        logic.SetMRMLApplicationLogic(host.application_logic)
        host.application_logic.GetSliceLogics().AddItem(logic)
        logic.SetMRMLScene(host.scene)
        logic.SetSliceNode(node)
        logic.ResizeSliceNode(*VIEW_SIZE_PIXELS)
        self.__dict__.update(
            node=node, _logic=logic, _view=qMRMLSliceView(node), _controller=qMRMLSliceController(logic)
        )

    def forget(self, application_logic: Any) -> None:
        application_logic.GetSliceLogics().RemoveItem(self._logic)
        self._logic.SetMRMLScene(None)

    def sliceLogic(self) -> Any:
        return self._logic

    def mrmlSliceNode(self) -> Any:
        return self._logic.GetSliceNode()

    def mrmlSliceCompositeNode(self) -> Any:
        return self._logic.GetSliceCompositeNode()

    def sliceView(self) -> qMRMLSliceView:
        return self._view

    def sliceController(self) -> qMRMLSliceController:
        return self._controller

    def fitSliceToBackground(self) -> None:
        self._controller.fitSliceToBackground()


class qMRMLThreeDView(QtWidgets.QWidget):
    def __init__(self, logic: Any) -> None:
        super().__init__()
        self.__dict__["_logic"] = logic

    def mrmlViewNode(self) -> Any:
        return self._logic.GetViewNode()

    def resetFocalPoint(self) -> None:
        """The camera belongs to the picture."""

    resetCamera = forceRender = scheduleRender = resetFocalPoint


class qMRMLThreeDWidget(QtWidgets.QWidget):
    def __init__(self, node: Any, host: ApplicationScene) -> None:
        super().__init__()
        logic = slicer.vtkMRMLViewLogic()
        logic.SetMRMLApplicationLogic(host.application_logic)
        logic.SetMRMLScene(host.scene)
        host.application_logic.GetViewLogics().AddItem(logic)
        logic.AddViewNode(node.GetLayoutName())  # takes the node of that name
        self.__dict__.update(node=node, _logic=logic, _view=qMRMLThreeDView(logic))

    def forget(self, application_logic: Any) -> None:
        application_logic.GetViewLogics().RemoveItem(self._logic)
        self._logic.SetMRMLScene(None)

    def threeDView(self) -> qMRMLThreeDView:
        return self._view

    def viewLogic(self) -> Any:
        return self._logic

    def mrmlViewNode(self) -> Any:
        return self._logic.GetViewNode()


class qMRMLPlotView(QtWidgets.QWidget):
    def __init__(self, node: Any) -> None:
        super().__init__()
        self.__dict__["_node"] = node

    def mrmlPlotViewNode(self) -> Any:
        return self._node

    def fitToContent(self) -> None:
        """There is no picture."""


class qMRMLPlotWidget(QtWidgets.QWidget):
    def __init__(self, node: Any, host: ApplicationScene) -> None:
        super().__init__()
        self.__dict__.update(node=node, _view=qMRMLPlotView(node))

    def forget(self, application_logic: Any) -> None:
        """It has no logic."""

    def mrmlPlotViewNode(self) -> Any:
        return self.node

    def plotView(self) -> qMRMLPlotView:
        return self._view


class qSlicerLayoutManager(QtCore.QObject):
    """As in Slicer there is a view for every view node of the scene, shown by the current layout or not."""

    layoutChanged = Signal(int)

    def __init__(self, host: ApplicationScene) -> None:
        super().__init__()
        self.__dict__.update(_host=host, _logic=slicer.vtkMRMLLayoutLogic(), _widgets={})
        self._logic.SetMRMLScene(host.scene)
        self.reset()

    def reset(self) -> None:
        """The layout at start; views whose nodes have left the scene are forgotten."""
        for node_id in [i for i, widget in self._widgets.items() if self._host.scene.GetNodeByID(i) is not widget.node]:
            self._widgets.pop(node_id).forget(self._host.application_logic)
        self.setLayout(START_LAYOUT)

    def mrmlScene(self) -> Any:
        return self._host.scene

    def layoutLogic(self) -> Any:
        return self._logic

    def setLayout(self, layout: int) -> None:
        """Raises ValueError for a layout that nobody has described; Slicer shows nothing then."""
        node = self._logic.GetLayoutNode()
        if not node.IsLayoutDescription(layout):
            raise ValueError(f"Layout {layout} does not exist")
        before = node.GetViewArrangement()
        node.SetViewArrangement(layout)
        for kind in WIDGET_OF_NODE:
            for view_node in self._nodes(kind):
                self._widget(view_node)
        if layout != before:
            self.layoutChanged.emit(layout)

    layout = Property(int, lambda self: self._logic.GetLayoutNode().GetViewArrangement(), setLayout)
    threeDViewCount = Property(int, lambda self: len(self._nodes("vtkMRMLViewNode")))
    plotViewCount = Property(int, lambda self: len(self._nodes("vtkMRMLPlotViewNode")))
    tableViewCount = Property(int, lambda self: len(self._nodes("vtkMRMLTableViewNode")))

    def sliceViewNames(self) -> tuple[str, ...]:
        return tuple(node.GetName() for node in self._nodes("vtkMRMLSliceNode"))

    def sliceWidget(self, name: str) -> qMRMLSliceWidget | None:
        return self._by_name("vtkMRMLSliceNode", name)

    def threeDWidget(self, which: int | str) -> qMRMLThreeDWidget | None:
        if isinstance(which, str):
            return self._by_name("vtkMRMLViewNode", which)
        return self._by_index("vtkMRMLViewNode", which)

    def plotWidget(self, index: int) -> qMRMLPlotWidget | None:
        return self._by_index("vtkMRMLPlotViewNode", index)

    def mrmlSliceLogics(self) -> Any:
        return self._host.application_logic.GetSliceLogics()

    def mrmlViewLogics(self) -> Any:
        return self._host.application_logic.GetViewLogics()

    def resetSliceViews(self) -> None:
        for name in self.sliceViewNames():
            self.sliceWidget(name).fitSliceToBackground()

    def resetThreeDViews(self) -> None:
        """The camera belongs to the picture."""

    def _nodes(self, kind: str) -> list[Any]:
        return slicer.util.getNodesByClass(kind, self._host.scene)

    def _by_name(self, kind: str, name: str) -> Any:
        return next((self._widget(node) for node in self._nodes(kind) if node.GetLayoutName() == name), None)

    def _by_index(self, kind: str, index: int) -> Any:
        nodes = self._nodes(kind)
        return self._widget(nodes[index]) if 0 <= index < len(nodes) else None

    def _widget(self, node: Any) -> Any:
        widget = self._widgets.get(node.GetID())
        if widget is None or widget.node is not node:
            widget = self._widgets[node.GetID()] = WIDGET_OF_NODE[node.GetClassName()](node, self._host)
        return widget


WIDGET_OF_NODE = {
    "vtkMRMLSliceNode": qMRMLSliceWidget,
    "vtkMRMLViewNode": qMRMLThreeDWidget,
    "vtkMRMLPlotViewNode": qMRMLPlotWidget,
}
