"""What the stand-in widgets are made with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from PySide6.QtCore import Property
from PySide6.QtWidgets import QWidget

from slicer_host.pythonqt import CXX_SIGNALS

WIDGETS: dict[str, type[QWidget]] = {}
"""All stand-in widgets by class name."""

Widget = TypeVar("Widget", bound=type[QWidget])


def standin(*signals: str) -> Callable[[Widget], Widget]:
    """Register a widget class. ``signals`` are the C++ signatures that PySide cannot know, because they carry MRML
    types; the Python signal has the name before the bracket, or that after `` = ``."""

    def register(cls: Widget) -> Widget:
        table = {}
        for entry in signals:
            signature, _, attribute = entry.partition(" = ")
            table[signature] = attribute or signature.split("(")[0]
        CXX_SIGNALS[cls] = table
        WIDGETS[cls.__name__] = cls
        return cls

    return register


def stored(name: str, kind: Any, default: Any, changed: str = "") -> tuple[Property, Callable[[Any, Any], None]]:
    """A Qt property kept as a plain value, and its setter ``setXxx``; ``changed`` names a method to call afterwards."""
    key = f"_{name}"

    def get(self: Any) -> Any:
        value = self.__dict__.get(key, default)
        return tuple(value) if kind == "QStringList" else value  # PythonQt gives tuples

    def put(self: Any, value: Any) -> None:
        self.__dict__[key] = value
        if changed:
            getattr(self, changed)()

    return Property(kind, get, put), put


def forwarded(child: str, name: str, kind: Any, setter: str = "") -> tuple[Property, Callable[[Any, Any], None]]:
    """A Qt property that is one of the widget inside (attribute ``child``), and its setter."""
    setter = setter or f"set{name[0].upper()}{name[1:]}"

    def get(self: Any) -> Any:
        return self.__dict__[child].property(name)

    def put(self: Any, value: Any) -> None:
        getattr(self.__dict__[child], setter)(value)

    return Property(kind, get, put), put
