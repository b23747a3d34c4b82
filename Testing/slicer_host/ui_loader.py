"""Reads .ui files with the stand-in widgets. An unknown widget class is an error, and so is a property that the widget
does not have, or a connection in the file whose signal or slot does not exist; Slicer would only print a line."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any

from PySide6 import QtCore, QtUiTools, QtWidgets
from PySide6.QtCore import QObject

from slicer_host.pythonqt import loading_ui, resolve_signal
from slicer_host.widgets import WIDGETS

DESIGNER_PROPERTIES = {"Line": {"orientation"}, "QLabel": {"buddy"}}
"""Properties that Designer writes and the class does not have."""


@dataclass
class Choice:
    """A property of a stand-in whose value is an enumerator or a set of them; Qt cannot know those names."""

    widget: str
    name: str
    value: str


class UiLoader(QtUiTools.QUiLoader):
    """What ``qt.QUiLoader`` is on this host."""

    def createWidget(self, class_name: str, parent: QtWidgets.QWidget | None = None, name: str = "") -> Any:
        if class_name in WIDGETS:
            widget = WIDGETS[class_name](parent)
            widget.setObjectName(name)
            return widget
        if class_name not in self.availableWidgets():
            raise RuntimeError(f"There is no stand-in for the widget class {class_name}")
        return super().createWidget(class_name, parent, name)

    def load(self, file: QtCore.QFile | str, parent: QtWidgets.QWidget | None = None) -> QtWidgets.QWidget:
        path = file.fileName() if isinstance(file, QtCore.QFile) else str(file)
        root = ElementTree.parse(path).getroot()
        self._refuse_unknown_classes(root)
        connections, choices = _take_connections(root), _take_choices(root)
        buffer = QtCore.QBuffer()
        buffer.setData(ElementTree.tostring(root))
        buffer.open(QtCore.QIODevice.ReadOnly)
        with loading_ui():
            top = super().load(buffer, parent)
        if top is None:
            raise RuntimeError(f"{path} cannot be read: {self.errorString()}")
        # PySide makes every widget of the file an attribute of the top one; PythonQt does not.
        attributes = vars(top)
        attributes["_kept"] = [attributes.pop(n) for n in list(attributes) if isinstance(attributes[n], QObject)]
        _check_properties(root, top)
        for choice in choices:
            widget = _find(top, choice.widget)
            setattr(widget, choice.name, _enumerators(choice.value))
        for sender, signal, receiver, slot in connections:
            _connect(_find(top, sender), signal, _find(top, receiver), slot)
        return top

    def _refuse_unknown_classes(self, root: ElementTree.Element) -> None:
        """Before loading: an exception inside Qt's own loop would be lost."""
        known = {*WIDGETS, *self.availableWidgets()}
        for element in root.iter("widget"):
            if element.get("class") not in known:
                raise RuntimeError(f"There is no stand-in for the widget class {element.get('class')}")


def _take_connections(root: ElementTree.Element) -> list[tuple[str, ...]]:
    """Qt cannot connect signals with MRML types here, so they are made by hand afterwards."""
    element = root.find("connections")
    if element is None:
        return []
    found = [tuple(c.findtext(t, "") for t in ("sender", "signal", "receiver", "slot")) for c in element]
    element.clear()
    return found


def _take_choices(root: ElementTree.Element) -> list[Choice]:
    choices = []
    for widget in root.iter("widget"):
        for element in widget.findall("property") if widget.get("class") in WIDGETS else []:
            value = element.findtext("set") or element.findtext("enum")
            name = element.get("name", "")
            is_ours = hasattr(WIDGETS[widget.get("class", "")], name) and not hasattr(QtWidgets.QAbstractButton, name)
            if value and is_ours:
                choices.append(Choice(widget.get("name", ""), name, value))
                widget.remove(element)
    return choices


def _enumerators(text: str) -> Any:
    """``ctkPathLineEdit::Files|ctkPathLineEdit::Readable`` as a value."""
    values = []
    for part in text.split("|"):
        class_name, member = part.split("::", 1)
        owner = WIDGETS.get(class_name) or getattr(QtWidgets, class_name, None) or getattr(QtCore, class_name)
        values.append(getattr(owner, member.split("::")[-1]))
    return reduce(or_, values)


def _check_properties(root: ElementTree.Element, top: QtWidgets.QWidget) -> None:
    for element in root.iter("widget"):
        class_name, widget = element.get("class", ""), _find(top, element.get("name", ""))
        for entry in element.findall("property"):
            name = entry.get("name", "")
            is_dynamic = entry.get("stdset") == "0" or name in DESIGNER_PROPERTIES.get(class_name, ())
            if not is_dynamic and widget.metaObject().indexOfProperty(name) < 0:
                raise AttributeError(f"{class_name} {element.get('name')} has no property {name}")


def _find(top: QtWidgets.QWidget, name: str) -> QObject:
    found = top if top.objectName == name else top.findChild(QObject, name)
    if found is None:
        raise AttributeError(f"The .ui file names {name}, which it does not contain")
    return found


def _connect(sender: QObject, signal: str, receiver: QObject, slot: str) -> None:
    function = getattr(receiver, slot.split("(")[0], None)
    if not callable(function):
        raise AttributeError(f"{receiver.objectName} has no slot {slot}")
    resolve_signal(sender, signal).connect(function)
