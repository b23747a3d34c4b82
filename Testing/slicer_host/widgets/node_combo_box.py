"""qMRMLNodeComboBox: the list of the scene's nodes of some types (Slicer: Libs/MRML/Widgets/qMRMLNodeComboBox.h).

It is a widget that contains a QComboBox. As in Slicer the items "Create new...", "Delete current..." are rows of that
combo box too, so that Qt decides what becomes current when a row goes: the next node, not none. An empty combo box
without such rows takes the first node that appears.
"""

from __future__ import annotations

import logging
from typing import Any

import slicer
import vtk
from PySide6 import QtWidgets
from PySide6.QtCore import Property, Signal

from slicer_host.widgets.base import standin, stored
from slicer_host.widgets.ctk_plain import ctkComboBox
from slicer_host.widgets.node_rows import NONE, NodeRows
from slicer_host.widgets.observers import Observers


@standin(
    "currentNodeChanged(vtkMRMLNode*)",
    "currentNodeChanged(bool) = currentNodeValidChanged",
    "currentNodeIDChanged(QString)",
    "nodeActivated(vtkMRMLNode*)",
    "nodeAdded(vtkMRMLNode*)",
    "nodeAddedByUser(vtkMRMLNode*)",
    "nodeAddedByUserAction(vtkMRMLNode*)",
    "nodeAboutToBeRemoved(vtkMRMLNode*)",
    "nodeAboutToBeEdited(vtkMRMLNode*)",
    "currentNodeRenamed(QString)",
)
class qMRMLNodeComboBox(QtWidgets.QWidget):
    currentNodeChanged = Signal(object)
    currentNodeValidChanged = Signal(bool)  # the overload with bool
    currentNodeIDChanged = Signal(str)
    nodeActivated = Signal(object)
    nodeAdded = Signal(object)
    nodeAddedByUser = Signal(object)
    nodeAddedByUserAction = Signal(object)
    nodeAboutToBeRemoved = Signal(object)
    nodeAboutToBeEdited = Signal(object)
    currentNodeRenamed = Signal(str)

    showHidden, setShowHidden = stored("showHidden", bool, False, "_update_nodes")
    showChildNodeTypes, setShowChildNodeTypes = stored("showChildNodeTypes", bool, True, "_update_nodes")
    hideChildNodeTypes, setHideChildNodeTypes = stored("hideChildNodeTypes", "QStringList", (), "_update_nodes")
    noneEnabled, setNoneEnabled = stored("noneEnabled", bool, False, "_update_none_item")
    noneDisplay, setNoneDisplay = stored("noneDisplay", str, "None", "_update_none_item")
    addEnabled, setAddEnabled = stored("addEnabled", bool, True, "_update_action_items")
    removeEnabled, setRemoveEnabled = stored("removeEnabled", bool, True, "_update_action_items")
    editEnabled, setEditEnabled = stored("editEnabled", bool, False, "_update_action_items")
    renameEnabled, setRenameEnabled = stored("renameEnabled", bool, False, "_update_action_items")
    selectNodeUponCreation, setSelectNodeUponCreation = stored("selectNodeUponCreation", bool, True)
    interactionNodeSingletonTag, setInteractionNodeSingletonTag = stored(
        "interactionNodeSingletonTag", str, "Singleton"
    )

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        combo = ctkComboBox()
        combo.setSizePolicy(QtWidgets.QSizePolicy.Expanding, QtWidgets.QSizePolicy.Expanding)
        combo.setMinimumContentsLength(8)
        self.__dict__.update(
            _scene=None,
            _observers=Observers(self),
            _requested_id="",
            _types=(),
            _base_names={},
            _labels={},
            _attributes={},
            _combo=combo,
            _rows=NodeRows(combo),
            _switching=False,
        )
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(combo)
        policy = QtWidgets.QSizePolicy(QtWidgets.QSizePolicy.Preferred, QtWidgets.QSizePolicy.Fixed)
        self.setSizePolicy(policy)
        # Slicer main listens to the text: with Qt 6 it would miss a change between two nodes of the same name.
        combo.currentIndexChanged.connect(self._emit_current_node_changed)
        combo.activated.connect(self._activate)
        self.setEnabled(False)

    # --- properties with a rule -------------------------------------------------------------------------------------

    def setNodeTypes(self, types: list[str] | tuple[str, ...]) -> None:
        self.__dict__["_types"] = tuple(t for t in types if t)
        self._update_placeholder()
        self._update_nodes()
        self._update_action_items()

    nodeTypes = Property("QStringList", lambda self: self._types, setNodeTypes)

    def setBaseName(self, name: str, node_type: str = "") -> None:
        """Raises RuntimeError without node types; Slicer warns and forgets the name."""
        if not node_type and not self._types:
            raise RuntimeError("qMRMLNodeComboBox.setBaseName: no node types have been set yet")
        for kind in [node_type] if node_type else self._types:
            self._base_names[kind] = name

    baseName = Property(str, lambda self: self._base_names.get((*self._types, "")[0], ""), setBaseName)

    def setCurrentNodeID(self, node_id: str) -> None:
        if self._scene is None:
            self.__dict__["_requested_id"] = node_id or ""
        row = self._rows.row_of(node_id)
        self._combo.setCurrentIndex(row if row >= 0 else self._rows.none_row())

    currentNodeID = Property(
        str, lambda self: self.currentNode().GetID() if self.currentNode() else "", setCurrentNodeID
    )

    def setNodeTypeLabel(self, label: str, node_type: str) -> None:
        self._labels[node_type] = label
        self._update_placeholder()
        self._update_action_items()

    def nodeTypeLabel(self, node_type: str) -> str:
        named = self._labels.get(node_type)
        return named or (self._scene.GetTypeDisplayNameByClassName(node_type) if self._scene else "") or "node"

    def addAttribute(self, node_type: str, name: str, value: Any = None) -> None:
        """Offer nodes of that type only with this attribute (any value when ``value`` is None)."""
        if node_type in self._types:
            self._attributes[node_type] = (name, None if value is None else str(value))
            self._update_nodes()

    def removeAttribute(self, node_type: str, name: str) -> None:
        if self._attributes.get(node_type, ("",))[0] == name:
            del self._attributes[node_type]
            self._update_nodes()

    # --- scene ------------------------------------------------------------------------------------------------------

    def mrmlScene(self) -> Any:
        return self._scene

    def setMRMLScene(self, scene: Any) -> None:
        if scene is self._scene:
            return
        for group in self._observers.groups():
            self._observers.remove(group)
        wanted = self._requested_id or self.currentNodeID
        self.__dict__.update(_scene=scene, _requested_id="")
        if scene is not None:  # the priorities are Slicer's: first to hear of a node, last to hear that it goes
            add, node = self._observers.add, vtk.VTK_OBJECT
            add("scene", scene, scene.NodeAddedEvent, "_on_node_added", 10.0, node)
            add("scene", scene, scene.NodeAboutToBeRemovedEvent, "_on_node_about_to_be_removed", -10.0, node)
            add("scene", scene, scene.EndCloseEvent, "_on_scene_replaced")
            add("scene", scene, scene.EndImportEvent, "_on_scene_replaced")
        self.__dict__["_switching"] = True
        self._update_none_item()
        self._update_nodes()
        self._update_action_items()
        self.__dict__["_switching"] = False
        self.setCurrentNodeID(wanted)
        self._update_placeholder()
        self.setEnabled(scene is not None)

    def _on_node_added(self, scene: Any, event: str, node: Any) -> None:
        if not scene.IsImporting() and self._offers(node):
            self._update_nodes()

    def _on_node_about_to_be_removed(self, scene: Any, event: str, node: Any) -> None:
        if scene.IsClosing():
            return
        self._observers.remove(node.GetID())
        if self._rows.row_of(node.GetID()) >= 0:
            self.nodeAboutToBeRemoved.emit(node)
            self._rows.remove_node(node.GetID())
            self._refresh_if_gone()

    def _on_node_modified(self, node: Any, event: str) -> None:
        if self._scene.IsClosing() or self._scene.IsImporting():
            return
        row = self._rows.row_of(node.GetID())
        if (row >= 0) != self._offers(node):
            self._update_nodes()
        elif row >= 0 and self._combo.itemText(row) != node.GetName():
            self._combo.setItemText(row, node.GetName() or "")
            if row == self._combo.property("currentIndex"):
                self._emit_current_node_changed()

    def _on_scene_replaced(self, *_: object) -> None:
        """After closing and importing all rows of nodes are made anew, and the choice is lost, as in Slicer: a panel
        that stays connected must choose again."""
        for group in self._observers.groups():
            if group != "scene":
                self._observers.remove(group)
        self._rows.remove_all_nodes()
        self._refresh_if_gone()
        self._update_nodes()

    def _refresh_if_gone(self) -> None:
        if self.currentNode() is None:
            self.setCurrentNodeID("")

    # --- nodes ------------------------------------------------------------------------------------------------------

    def nodes(self) -> tuple[Any, ...]:
        return tuple(self.nodeFromIndex(index) for index in range(self.nodeCount()))

    def nodeCount(self) -> int:
        return len(self._rows.node_ids()) if self._scene else 0

    def nodeFromIndex(self, index: int) -> Any:
        return self._node_at(index + self._rows.first_node_row())

    def currentNode(self) -> Any:
        return self._node_at(self._combo.property("currentIndex"))

    def setCurrentNode(self, node: Any) -> None:
        if node is not None and not isinstance(node, slicer.vtkMRMLNode):
            raise ValueError(f"setCurrentNode takes a node or None, not {type(node).__name__}")
        self.setCurrentNodeID((node.GetID() or "") if node else "")

    def setCurrentNodeIndex(self, index: int) -> None:
        self._combo.setCurrentIndex((-1 if index >= self.nodeCount() else index) + self._rows.first_node_row())

    def addNode(self, node_type: str = "") -> Any:
        """Make a node of that type (the first one by default), as "Create new" of the menu does."""
        node_type = node_type or (*self._types, "")[0]
        if node_type not in self._types or self._scene is None:
            logging.warning("qMRMLNodeComboBox.addNode: %s is not among the node types", node_type)
            return None
        node = self._scene.CreateNodeByClass(node_type)
        node.UnRegister(None)
        name = self._base_names.get(node_type) or node.GetName() or node.GetDefaultNodeNamePrefix()
        node.SetName(self._scene.GetUniqueNameByString(name))
        for attribute, value in self._attributes.values():
            node.SetAttribute(attribute, value or "")
        node = self._scene.AddNode(node)
        if self.selectNodeUponCreation:
            self.setCurrentNode(node)
        self.nodeAddedByUser.emit(node)
        return node

    def removeCurrentNode(self) -> None:
        self._scene.RemoveNode(self.currentNode())

    # --- rows -------------------------------------------------------------------------------------------------------

    def _offers(self, node: Any) -> bool:
        """Watches a node that it offers, or might offer once an attribute changes; no other, as in Slicer: a node that
        is un-hidden later is not noticed."""
        if node.GetHideFromEditors() and not self.showHidden:
            return False
        for kind in self._types:
            if not node.IsA(kind) or (not self.showChildNodeTypes and node.GetClassName() != kind):
                continue
            if self.showChildNodeTypes and any(node.IsA(hidden) for hidden in self.hideChildNodeTypes):
                return False
            self._watch(node)
            name, value = self._attributes.get(kind, ("", None))
            return not name or (node.GetAttribute(name) is not None and value in (None, node.GetAttribute(name)))
        if not self._types:
            self._watch(node)
        return not self._types

    def _node_at(self, row: int) -> Any:
        node_id = self._rows.id_at(row)
        return self._scene.GetNodeByID(node_id) if node_id and self._scene else None

    def _update_nodes(self) -> None:
        """Rows of nodes that are not offered go, missing ones come, one by one: the current one may move meanwhile."""
        scene = self._scene
        found = [scene.GetNthNode(i) for i in range(scene.GetNumberOfNodes())] if scene else []
        wanted = {node.GetID(): node for node in found if self._offers(node)}
        for node_id in reversed(self._rows.node_ids()):
            if node_id not in wanted:
                self._rows.remove_node(node_id)
        self._refresh_if_gone()
        for place, (node_id, node) in enumerate(wanted.items()):
            if self._rows.row_of(node_id) < 0:
                self._rows.insert_node(place, node_id, node.GetName() or "")
                self.nodeAdded.emit(node)

    def _watch(self, node: Any) -> None:
        """Its name, hiding and attributes may change what is shown."""
        if self._observers.subject(node.GetID()) is not node:
            self._observers.remove(node.GetID())
            self._observers.add(node.GetID(), node, "ModifiedEvent", "_on_node_modified")

    def _update_none_item(self) -> None:
        self._rows.show_none(self.noneDisplay if self.noneEnabled and self._scene is not None else None)

    def _update_action_items(self) -> None:
        label = self.nodeTypeLabel(self._types[0] if len(self._types) == 1 else "")
        items = [("RENAME", f"Rename current {label}")] if self.renameEnabled else []
        items += [("EDIT", f"Edit current {label}")] if self.editEnabled else []
        if self.addEnabled:
            items += [(f"CREATE/{kind}", f"Create new {self.nodeTypeLabel(kind)}") for kind in self._types]
        items += [("DELETE", f"Delete current {label}")] if self.removeEnabled else []
        self._rows.show_actions([("SEPARATOR", ""), *items] if items and self._scene is not None else [])

    def _update_placeholder(self) -> None:
        self._combo.setDefaultText(f"Select a {self.nodeTypeLabel((*self._types, '')[0])}")

    def _activate(self, row: int) -> None:
        """What the user's click on a row of the menu does."""
        action = self._rows.action_at(row)
        if action in ("", NONE):
            self.nodeActivated.emit(self._node_at(row))
        elif action.startswith("CREATE/"):
            node = self.addNode(action.split("/")[1])
            self.setCurrentNode(node)
            self.nodeAddedByUserAction.emit(node)
        elif action == "DELETE":
            self.removeCurrentNode()

    def _emit_current_node_changed(self, _: int = 0) -> None:
        if self._switching:
            return
        row = self._combo.property("currentIndex")
        node = self._node_at(row)
        if node is None and row != self._rows.none_row():  # an action or a row without its node is not a choice
            last = self.nodeFromIndex(self.nodeCount() - 1)
            if last is not None:
                self.setCurrentNode(last)
            return
        self.currentNodeChanged.emit(node)
        self.currentNodeValidChanged.emit(node is not None)
        self.currentNodeIDChanged.emit(node.GetID() if node else "")
