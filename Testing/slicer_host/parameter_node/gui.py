"""Which widget may show which type, by the exact class of the widget, as Slicer's guiConnectors decide it (the same in
5.10 and main), and how its value is read and written."""

from __future__ import annotations

import enum
import logging
import types
import typing
from collections.abc import Callable
from typing import Any

import ctk
import qt
import slicer

from slicer_host.parameter_node.annotations import (
    Choice,
    Decimals,
    Maximum,
    Minimum,
    SingleStep,
    WithinRange,
    first,
    split,
)
from slicer_host.parameter_node.storage import PATHS

INT_LIMITS = (-(2**31), 2**31 - 1)
COMBO_BOXES = (qt.QComboBox, ctk.ctkComboBox)


class Connector:
    """One widget bound to one parameter; ``signal`` is None for a widget that only shows."""

    def __init__(self, signal: Any, read: Callable[[], Any], write: Callable[[Any], None]) -> None:
        self._signal, self.read, self.write = signal, read, write
        self._callback: Callable[[], None] | None = None
        self._slot = lambda *_: self._callback() if self._callback else None

    def connect(self, callback: Callable[[], None]) -> None:
        self._callback = callback
        if self._signal is not None:
            self._signal.connect(self._slot)

    def disconnect(self) -> None:
        if self._callback is not None and self._signal is not None:
            self._signal.disconnect(self._slot)
        self._callback = None


def connector_for(widget: Any, hint: Any) -> Connector:
    """Raises RuntimeError when Slicer has no connector for this widget and type."""
    if isinstance(widget, Connector):
        return widget
    kind, annotations = split(hint)
    for widgets, takes, make in _RULES:
        if type(widget) in widgets and takes(kind):
            return make(widget, kind, annotations)
    raise RuntimeError(f"Unable to create GUI connector from datatype '{hint}' to widget type '{type(widget)}'")


def _attribute(widget: Any, name: str, signal: Any, kind: Callable[[Any], Any] = lambda value: value) -> Connector:
    return Connector(signal, lambda: kind(getattr(widget, name)), lambda value: setattr(widget, name, value))


def _check_box(widget: Any, kind: Any, annotations: Any) -> Connector:
    return _attribute(widget, "checked", widget.stateChanged)


def _push_button(widget: Any, kind: Any, annotations: Any) -> Connector:
    if not widget.checkable:
        logging.warning("Making push button checkable for conversion to bool: button %s", widget.objectName)
        widget.checkable = True
    return _attribute(widget, "checked", widget.toggled)


def _bounds(annotations: Any) -> tuple[float | None, float | None]:
    within = first(annotations, WithinRange)
    if within is not None:
        return within.minimum, within.maximum
    low, high = first(annotations, Minimum), first(annotations, Maximum)
    return (low.minimum if low else None), (high.maximum if high else None)


def _integer(widget: Any, kind: Any, annotations: Any) -> Connector:
    step, (low, high) = first(annotations, SingleStep), _bounds(annotations)
    if step is not None:
        widget.singleStep = step.value
    if type(widget) is qt.QSlider and None in (low, high):
        raise RuntimeError("Cannot have a connection to QSlider where the int type is unbounded.")
    widget.setMinimum(INT_LIMITS[0] if low is None else low)
    widget.setMaximum(INT_LIMITS[1] if high is None else high)
    return _attribute(widget, "value", widget.valueChanged)


def _number(widget: Any, kind: Any, annotations: Any) -> Connector:
    decimals, step, (low, high) = first(annotations, Decimals), first(annotations, SingleStep), _bounds(annotations)
    if kind is int:
        widget.decimals = 0
    elif decimals is not None:
        widget.decimals = decimals.value
    if step is not None:
        widget.singleStep = step.value
    if type(widget) in (ctk.ctkSliderWidget, slicer.qMRMLSliderWidget) and None in (low, high):
        raise RuntimeError("Cannot have a connection to ctkSliderWidget where the float types is unbounded.")
    widget.minimum = float("-inf") if low is None else low
    widget.maximum = float("inf") if high is None else high
    return Connector(
        widget.valueChanged,
        lambda: kind(widget.value) if kind is int else widget.value,
        lambda value: setattr(widget, "value", kind(value) if kind is int else value),
    )


def _choices(widget: Any, labels: list[str], values: list[Any]) -> Connector:
    widget.clear()
    for label in labels:
        widget.addItem(label)

    def write(value: Any) -> None:
        if value not in values:
            raise ValueError(f"Unable to find value {value} in choices {values}")
        widget.currentIndex = values.index(value)

    return Connector(widget.currentIndexChanged, lambda: values[widget.currentIndex], write)


def _choice(widget: Any, kind: Any, annotations: Any) -> Connector:
    choice = first(annotations, Choice)
    if choice is None:
        raise RuntimeError("ComboBoxToStringableConnector requires the Choice annotation to be used.")
    return _choices(widget, [str(value) for value in choice.choices], list(choice.choices))


def _enum(widget: Any, kind: Any, annotations: Any) -> Connector:
    """An Enum with a static method ``label`` names its items by it."""
    label = getattr(kind, "label", lambda member: member.name)
    before = widget.currentIndex
    connector = _choices(widget, [label(member) for member in kind], list(kind))
    if before >= 0:
        widget.currentIndex = before
    return connector


def _line(widget: Any, kind: Any, annotations: Any) -> Connector:
    def write(value: str) -> None:
        if value != widget.text:  # writing moves the cursor
            widget.text = value

    return Connector(widget.textChanged, lambda: widget.text, write)


def _label(widget: Any, kind: Any, annotations: Any) -> Connector:
    return _attribute(widget, "text", None)


def _text(widget: Any, kind: Any, annotations: Any) -> Connector:
    return Connector(widget.textChanged, lambda: widget.toPlainText(), lambda value: widget.setPlainText(value))


def _path(widget: Any, kind: Any, annotations: Any) -> Connector:
    signal = widget.currentPathChanged
    return Connector(signal, lambda: kind(widget.currentPath), lambda v: setattr(widget, "currentPath", str(v)))


def _directory(widget: Any, kind: Any, annotations: Any) -> Connector:
    signal = widget.directoryChanged
    return Connector(signal, lambda: kind(widget.directory), lambda v: setattr(widget, "directory", str(v)))


def _node_types(kind: Any) -> list[type] | None:
    """The node classes of a node type or of a union of node types (and None); None for anything else."""
    members = typing.get_args(kind) if typing.get_origin(kind) in (typing.Union, types.UnionType) else (kind,)
    members = [split(member)[0] for member in members]
    nodes = [m for m in members if isinstance(m, type) and issubclass(m, slicer.vtkMRMLNode)]
    return nodes if nodes and all(m in nodes or m is type(None) for m in members) else None


def _node(widget: Any, kind: Any, annotations: Any) -> Connector:
    widget.nodeTypes = tuple(node_type().GetClassName() for node_type in _node_types(kind))
    return Connector(widget.currentNodeChanged, lambda: widget.currentNode(), lambda v: widget.setCurrentNode(v))


_NUMBER_WIDGETS = (
    qt.QDoubleSpinBox,
    ctk.ctkSliderWidget,
    slicer.qMRMLSliderWidget,
    ctk.ctkDoubleSpinBox,
)
_RULES: list[tuple[tuple[type, ...], Callable[[Any], bool], Callable[[Any, Any, Any], Connector]]] = [
    ((qt.QCheckBox, ctk.ctkCheckBox), lambda kind: kind is bool, _check_box),
    ((qt.QPushButton,), lambda kind: kind is bool, _push_button),
    ((qt.QSlider, qt.QSpinBox), lambda kind: kind is int, _integer),
    (_NUMBER_WIDGETS, lambda kind: kind in (float, int), _number),
    (COMBO_BOXES, lambda kind: kind in (int, float, str, bool), _choice),
    (COMBO_BOXES, lambda kind: isinstance(kind, type) and issubclass(kind, enum.Enum), _enum),
    ((qt.QLineEdit,), lambda kind: kind is str, _line),
    ((qt.QLabel,), lambda kind: kind is str, _label),
    ((qt.QTextEdit,), lambda kind: kind is str, _text),
    ((ctk.ctkPathLineEdit,), lambda kind: kind in PATHS, _path),
    ((ctk.ctkDirectoryButton,), lambda kind: kind in PATHS, _directory),
    ((slicer.qMRMLNodeComboBox,), lambda kind: _node_types(kind) is not None, _node),
]
"""In Slicer's order; the first that fits is taken."""
