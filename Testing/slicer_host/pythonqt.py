"""Makes PySide6 behave like PythonQt, the Qt binding inside Slicer, where the two differ in what they allow.

In PythonQt a Qt property is an attribute (``button.text``, never ``button.text()``), a value of a wrong type raises,
an attribute that does not exist cannot be created on a C++ widget, and ``object.connect("clicked(bool)", function)``
takes the C++ signature. PySide6 is looser everywhere, so its classes are changed in place, once a process, by
:func:`install`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any

import shiboken6
from PySide6 import QtCore, QtGui, QtWidgets
from PySide6.QtCore import QObject

CXX_SIGNALS: dict[type, dict[str, str]] = {}
"""C++ signatures of the signals of stand-in classes, and the Python attribute that is the signal."""

STRICT_PACKAGES = ("PySide6", "slicer_host")
"""Objects of classes defined there take no new attributes; Python subclasses defined elsewhere do, as in PythonQt."""

VIRTUAL_GETTERS = {"sizeHint", "minimumSizeHint", "duration"}
"""Qt calls these on the Python object, so they stay methods here; in PythonQt they are properties too."""

_loading_ui = 0


class QtProperty(property):
    """A Qt property as an attribute of the objects; a static method of the same name stays on the class."""

    def __init__(self, name: str, meta: QtCore.QMetaProperty, shadowed: Any) -> None:
        super().__init__(
            lambda owner: _from_qt(owner.property(name)),
            (lambda owner, value: _write_property(owner, name, value)) if meta.isWritable() else None,
        )
        self._static = shadowed if callable(shadowed) else self

    def __get__(self, owner: Any, kind: type | None = None) -> Any:
        return self._static if owner is None else super().__get__(owner, kind)


class loading_ui:  # a context manager
    """While a .ui file is read, PySide sets attributes of its own."""

    def __enter__(self) -> None:
        global _loading_ui
        _loading_ui += 1

    def __exit__(self, *_: object) -> None:
        global _loading_ui
        _loading_ui -= 1


def install(qt: ModuleType) -> None:
    """Change the classes of PySide6 and put them all into the module ``qt``."""
    for module in (QtCore, QtGui, QtWidgets):
        for name in (n for n in dir(module) if not n.startswith("_")):
            member = getattr(module, name)
            setattr(qt, name, member)
            if isinstance(member, type) and "staticMetaObject" in vars(member):
                _make_strict(member)
    QObject.name = property(lambda self: self.property("objectName"), lambda self, value: self.setObjectName(value))
    QObject.className = lambda self: self.metaObject().className()
    QObject.delete = lambda self: shiboken6.delete(self)


def resolve_signal(sender: QObject, signature: str) -> Any:
    """The bound signal of a C++ signature such as ``clicked(bool)``. Raises AttributeError when there is none."""
    for kind in type(sender).__mro__:
        if signature in CXX_SIGNALS.get(kind, {}):
            return getattr(sender, CXX_SIGNALS[kind][signature])
    normalized = bytes(QtCore.QMetaObject.normalizedSignature(signature)).decode()
    if sender.metaObject().indexOfSignal(normalized) < 0:
        raise AttributeError(f"{sender.metaObject().className()} has no signal {signature}")
    name, arguments = normalized[:-1].split("(", 1)
    signal = getattr(sender, name)
    try:
        return signal[arguments] if arguments else signal
    except (KeyError, IndexError, TypeError):  # PySide knows the one overload by another spelling
        return signal


def _make_strict(cls: type) -> None:
    meta = cls.__dict__["staticMetaObject"]
    for index in range(meta.propertyOffset(), meta.propertyCount()):
        meta_property = meta.property(index)
        name = meta_property.name()
        if name in VIRTUAL_GETTERS:
            continue
        setattr(cls, name, QtProperty(name, meta_property, getattr(cls, name, None)))
    if issubclass(cls, QObject):
        # Every Shiboken type has attribute slots of its own (methods that are static and not), so each keeps its own.
        if "__getattribute__" in cls.__dict__ or cls is QObject:
            cls.__getattribute__ = _with_pythonqt_connect(cls.__getattribute__)
        cls.__setattr__ = _set_attribute


def _with_pythonqt_connect(plain: Callable[[Any, str], Any]) -> Callable[[Any, str], Any]:
    def get(self: Any, name: str) -> Any:
        value = plain(self, name)
        if name not in ("connect", "disconnect"):
            return value

        def call(*arguments: Any) -> Any:
            if not (arguments and isinstance(arguments[0], str) and len(arguments) <= 2):
                return value(*arguments)  # PySide's own calls
            getattr(resolve_signal(self, arguments[0]), name)(*arguments[1:])
            return True

        return call

    return get


def _set_attribute(self: QObject, name: str, value: Any) -> None:
    cls = type(self)
    declared = inspect.getattr_static(cls, name, None)
    if isinstance(declared, QtCore.Property):
        _check_type_of_standin_property(self, name, declared, value)
        declared.fset(self, value)
    elif hasattr(type(declared), "__set__"):
        declared.__set__(self, value)
    elif (
        _loading_ui
        or name.startswith("__")
        or isinstance(value, QtCore.SignalInstance)
        or not cls.__module__.startswith(STRICT_PACKAGES)
    ):
        self.__dict__[name] = value
    else:
        raise AttributeError(
            f"Attribute '{name}' does not exist and creation of new attributes on '{cls.__name__}' is not allowed"
        )


_TAKEN_TYPES: dict[str, tuple[type, ...]] = {
    "bool": (bool, int),
    "int": (int, float),
    "double": (int, float),
    "QString": (str,),
    "QStringList": (list, tuple),
}


def _check_type_of_standin_property(owner: QObject, name: str, declared: QtCore.Property, value: Any) -> None:
    meta = owner.metaObject()  # not that of the class: PySide deletes it with the first object that goes
    type_name = meta.property(meta.indexOfProperty(name)).typeName()
    taken = _TAKEN_TYPES.get(type_name)
    if declared.fset is None:
        raise AttributeError(f"Property '{name}' of '{type(owner).__name__}' is not writable")
    if taken and not isinstance(value, taken):
        raise _wrong_type(name, type_name, value)


def _write_property(owner: QObject, name: str, value: Any) -> None:
    meta = owner.metaObject()
    meta_property = meta.property(meta.indexOfProperty(name))
    type_name = meta_property.typeName()
    taken = _TAKEN_TYPES.get(type_name)
    if (taken and not isinstance(value, taken)) or value is None or not meta_property.write(owner, value):
        raise _wrong_type(name, type_name, value)


def _wrong_type(name: str, type_name: str, value: Any) -> AttributeError:
    return AttributeError(
        f"Property '{name}' of type '{type_name}' does not accept an object of type {type(value).__name__} ({value})"
    )


def _from_qt(value: Any) -> Any:
    """PythonQt gives a QStringList as a tuple."""
    return tuple(value) if isinstance(value, list) else value
