"""The class decorator ``parameterNodeWrapper``."""

from __future__ import annotations

import typing
import weakref
from typing import Any

import qt
import slicer
import vtk

from slicer_host.parameter_node.annotations import Decimals, Default, SingleStep, first, split
from slicer_host.parameter_node.gui import Connector, connector_for
from slicer_host.parameter_node.storage import Storage, storage_for, warn_of_unused

SlicerParameterNamePropertyName = "SlicerParameterName"


class Parameter:
    """What the class knows of one parameter."""

    def __init__(self, name: str, hint: Any, default: Default | None) -> None:
        self.basename, self.unalteredType = name, hint
        self.storage: Storage = storage_for(hint)
        self.default = default or first(split(hint)[1], Default) or Default(self.storage.default())
        warn_of_unused(hint, (Default, Decimals, SingleStep))


class Value:
    """One parameter of one node. The value is kept and read again when the node says it was modified; so, as in Slicer,
    a referenced node that left the scene is noticed only then."""

    def __init__(self, parameter: Parameter, node: Any, name: str) -> None:
        self.parameter, self._node, self._name, self._writing, self._tag = parameter, node, name, False, None
        if not parameter.storage.is_in(node, name):
            parameter.storage.store(node, name, parameter.default.value)
        self._value = self._load()
        me = weakref.ref(self)
        self._tag = node.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: me() and me()._on_modified())

    def __del__(self) -> None:
        if self._tag is not None:
            self._node.RemoveObserver(self._tag)

    def read(self) -> Any:
        return self._value if self.parameter.storage.cached else self._load()

    def write(self, value: Any) -> None:
        self._writing = True
        try:
            with slicer.util.NodeModify(self._node):  # observers see the new value
                self.parameter.storage.store(self._node, self._name, value)
                self._value = self._load()
        finally:
            self._writing = False

    def _load(self) -> Any:
        if not self.parameter.storage.is_in(self._node, self._name):  # gone after the scene was closed
            self.parameter.storage.store(self._node, self._name, self.parameter.default.value)
        return self.parameter.storage.read(self._node, self._name)

    def _on_modified(self) -> None:
        if not self._writing:
            self._value = self._load()


class ParameterNodeWrapper:
    """The members that the decorator adds."""

    allParameters: typing.ClassVar[dict[str, Parameter]]
    _is_parameter_node_wrapper = True

    def __init__(self, parameterNode: Any, prefix: str | None = None) -> None:
        self.parameterNode = parameterNode
        self._guis: dict[int, dict[str, Connector]] = {}
        self._gui_observers: dict[int, int] = {}
        self._next_tag = 0
        self._updating_gui = False
        self._values = {
            name: Value(parameter, parameterNode, f"{prefix or ''}{name}")
            for name, parameter in self.allParameters.items()
        }

    def getValue(self, name: str) -> Any:
        return self._value_of(name).read()

    def setValue(self, name: str, value: Any) -> None:
        self._value_of(name).write(value)

    def default(self, name: str) -> Default:
        return self._value_of(name).parameter.default

    def isCached(self, name: str) -> bool:
        return self._value_of(name).parameter.storage.cached

    @classmethod
    def dataType(cls, name: str) -> Any:
        cls._check_name(name)
        return cls.allParameters[name].unalteredType

    def StartModify(self) -> Any:
        return self.parameterNode.StartModify()

    def EndModify(self, was_modified: Any) -> Any:
        return self.parameterNode.EndModify(was_modified)

    def AddObserver(self, event: Any, callback: Any, priority: float = 0.0) -> int:
        return self.parameterNode.AddObserver(event, callback, priority)

    def RemoveObserver(self, tag: int) -> None:
        self.parameterNode.RemoveObserver(tag)

    def Modified(self) -> None:
        self.parameterNode.Modified()

    def connectGui(self, gui: Any) -> int:
        """Bind every widget with the property SlicerParameterName; ``gui`` is a widget or an object with widgets as
        attributes."""
        is_widget = getattr(gui, "isWidgetType", lambda: False)()
        widgets = gui.findChildren(qt.QWidget) if is_widget else vars(gui).values()
        named = {widget.property(SlicerParameterNamePropertyName): widget for widget in widgets}
        return self.connectParametersToGui({name: widget for name, widget in named.items() if name})

    def connectParametersToGui(self, mapping: dict[str, Any]) -> int:
        for name in mapping:
            self._check_name(name)
        connectors = {name: connector_for(widget, self.dataType(name)) for name, widget in mapping.items()}
        tag, self._next_tag = self._next_tag, self._next_tag + 1
        self._guis[tag] = connectors
        for name, connector in connectors.items():
            connector.write(self.getValue(name))
            connector.connect(self._taker(name, connector))
        self._gui_observers[tag] = self.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: self._update_gui())
        return tag

    def disconnectGui(self, tag: int) -> None:
        for connector in self._guis.pop(tag, {}).values():
            connector.disconnect()
        if tag in self._gui_observers:
            self.RemoveObserver(self._gui_observers.pop(tag))

    def _taker(self, name: str, connector: Connector) -> Any:
        def take() -> None:
            with slicer.util.NodeModify(self):
                if not self._updating_gui:
                    self.setValue(name, connector.read())

        return take

    def _update_gui(self) -> None:
        if self._updating_gui:
            return
        self._updating_gui = True
        try:
            with slicer.util.NodeModify(self):
                for connectors in list(self._guis.values()):
                    for name, connector in connectors.items():
                        connector.write(self.getValue(name))
        finally:
            self._updating_gui = False

    @classmethod
    def _check_name(cls, name: str) -> None:
        if name not in cls.allParameters:
            raise ValueError(f"Cannot find a param with the given name: {name}; there are {sorted(cls.allParameters)}")

    def _value_of(self, name: str) -> Value:
        self._check_name(name)
        return self._values[name]


_RESERVED = {name for name in vars(ParameterNodeWrapper) if not name.startswith("__")}


def parameterNodeWrapper(cls: type | None = None) -> Any:
    """As ``@parameterNodeWrapper`` or ``@parameterNodeWrapper()``."""
    return _wrap if cls is None else _wrap(cls)


def _wrap(cls: type) -> type:
    hints = typing.get_type_hints(cls, include_extras=True)
    taken = _RESERVED & (set(hints) | {name for name in dir(cls) if not name.startswith("__")})
    if taken:
        raise ValueError(f"Cannot use reserved names {sorted(taken)} in a parameterNodeWrapper")
    parameters = {}
    for name, hint in hints.items():
        try:
            parameters[name] = Parameter(name, hint, Default(getattr(cls, name)) if hasattr(cls, name) else None)
        except TypeError as error:
            raise TypeError(f"Unable to create serializer for {cls} member {name}: {error}") from error
        setattr(cls, name, _property(name))
    cls.allParameters = parameters
    for name, member in vars(ParameterNodeWrapper).items():
        if name in _RESERVED or name == "__init__":
            setattr(cls, name, member) if name != "allParameters" else None
    return cls


def _property(name: str) -> property:
    return property(
        lambda self: self._values[name].read(),
        lambda self, value: self._values[name].write(value),
    )


def isParameterNodeWrapper(thing: Any) -> bool:
    return getattr(thing, "_is_parameter_node_wrapper", False)


def findChildWidgetForParameter(widget: Any, parameter: str) -> Any:
    found = [w for w in widget.findChildren(qt.QWidget) if w.property(SlicerParameterNamePropertyName) == parameter]
    return found[0] if found else None
