"""How values lie on the parameter node: the same parameter names and texts as in a scene saved by Slicer."""

from __future__ import annotations

import enum
import logging
import pathlib
import types
import typing
from collections.abc import Callable, Iterable, MutableSequence
from typing import Any

import slicer

from slicer_host.parameter_node.annotations import IsInstance, IsNone, NotNone, Validator, split

PATHS = (
    pathlib.Path,
    pathlib.PosixPath,
    pathlib.WindowsPath,
    pathlib.PurePath,
    pathlib.PurePosixPath,
    pathlib.PureWindowsPath,
)


class Storage:
    """One parameter as one text. ``cached`` values are read again only when the node is modified, as in Slicer."""

    cached = True

    def __init__(
        self,
        handled: Callable[[type], bool],
        to_text: Callable[[Any], str],
        from_text: Callable[[str], Any],
        default: Any,
        validators: list[Validator],
    ) -> None:
        self.handles, self._to_text, self._from_text = handled, to_text, from_text
        self._default, self.validators = default, validators

    def default(self) -> Any:
        return self._default

    def check(self, value: Any) -> None:
        for validator in self.validators:
            validator.validate(value)

    def store(self, node: Any, name: str, value: Any) -> None:
        self.check(value)
        self.write(node, name, value)

    def is_in(self, node: Any, name: str) -> bool:
        return bool(node.HasParameter(name))

    def write(self, node: Any, name: str, value: Any) -> None:
        node.SetParameter(name, self._to_text(value))

    def read(self, node: Any, name: str) -> Any:
        return self._from_text(node.GetParameter(name))

    def remove(self, node: Any, name: str) -> None:
        node.UnsetParameter(name)


class NodeStorage(Storage):
    """A node reference, and an empty parameter of the same name that says it was set, to None perhaps."""

    def __init__(self, kind: type) -> None:
        super().__init__(lambda t: issubclass(t, slicer.vtkMRMLNode), str, str, None, [IsInstance(kind)])

    def write(self, node: Any, name: str, value: Any) -> None:
        node.SetParameter(name, "")
        node.SetNodeReferenceID(name, value.GetID() if value is not None else None)

    def read(self, node: Any, name: str) -> Any:
        return node.GetNodeReference(name)

    def remove(self, node: Any, name: str) -> None:
        node.UnsetParameter(name)
        node.RemoveNodeReferenceIDs(name)


class StoredList(MutableSequence):
    """A list that writes itself back whenever it is changed; a value that is refused leaves it as it was."""

    def __init__(self, write: Callable[[list[Any]], None], values: list[Any]) -> None:
        self._write, self._values = write, values

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, index: Any) -> Any:
        return self._values[index]

    def __setitem__(self, index: Any, value: Any) -> None:
        self._change(lambda values: values.__setitem__(index, value))

    def __delitem__(self, index: Any) -> None:
        self._change(lambda values: values.__delitem__(index))

    def insert(self, index: int, value: Any) -> None:
        self._change(lambda values: values.insert(index, value))

    def extend(self, new: Iterable[Any]) -> None:
        self._change(lambda values: values.extend(new))

    def __iadd__(self, new: Iterable[Any]) -> StoredList:
        self.extend(new)
        return self

    def sort(self, **how: Any) -> None:
        self._change(lambda values: values.sort(**how))

    def _change(self, change: Callable[[list[Any]], object]) -> None:
        values = list(self._values)
        change(values)
        self._write(values)
        self._values = values

    def __eq__(self, other: object) -> bool:
        return self._values == list(other) if isinstance(other, (list, StoredList)) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(self._values)


class ListStorage(Storage):
    """``name.len`` and ``name.0``, ``name.1``, ..."""

    def __init__(self, element: Storage) -> None:
        super().__init__(lambda t: t in (list, StoredList), str, str, None, [])
        self._element, self.cached = element, element.cached

    def default(self) -> list[Any]:
        return []

    def is_in(self, node: Any, name: str) -> bool:
        return bool(node.HasParameter(f"{name}.len"))

    def write(self, node: Any, name: str, value: Any) -> None:
        for element in value:
            self._element.check(element)
        with slicer.util.NodeModify(node):
            old_length = self._length(node, name)
            for index, element in enumerate(value):
                self._element.write(node, f"{name}.{index}", element)
            node.SetParameter(f"{name}.len", str(len(value)))
            for index in range(len(value), old_length):
                self._element.remove(node, f"{name}.{index}")

    def read(self, node: Any, name: str) -> StoredList:
        values = [self._element.read(node, f"{name}.{index}") for index in range(self._length(node, name))]
        return StoredList(lambda new: self.write(node, name, new), values)

    def remove(self, node: Any, name: str) -> None:
        with slicer.util.NodeModify(node):
            for index in range(self._length(node, name)):
                self._element.remove(node, f"{name}.{index}")
            node.UnsetParameter(f"{name}.len")

    def _length(self, node: Any, name: str) -> int:
        return int(node.GetParameter(f"{name}.len")) if self.is_in(node, name) else 0


class UnionStorage(Storage):
    """``name.<index of the member>``: whichever member takes the value."""

    def __init__(self, members: list[Storage]) -> None:
        super().__init__(lambda t: False, str, str, None, [])
        self._members, self.cached = members, all(member.cached for member in members)

    def default(self) -> Any:
        optional = len(self._members) == 2 and self._members[1].handles(type(None))
        return None if optional else self._members[0].default()

    def is_in(self, node: Any, name: str) -> bool:
        return any(member.is_in(node, f"{name}.{index}") for index, member in enumerate(self._members))

    def check(self, value: Any) -> None:
        self._index_for(value)
        super().check(value)

    def write(self, node: Any, name: str, value: Any) -> None:
        chosen = self._index_for(value)
        with slicer.util.NodeModify(node):
            self.remove(node, name)
            self._members[chosen].write(node, f"{name}.{chosen}", value)

    def read(self, node: Any, name: str) -> Any:
        for index, member in enumerate(self._members):
            if member.is_in(node, f"{name}.{index}"):
                return member.read(node, f"{name}.{index}")
        raise KeyError(f"Unable to find value for name: {name}")

    def remove(self, node: Any, name: str) -> None:
        with slicer.util.NodeModify(node):
            for index, member in enumerate(self._members):
                member.remove(node, f"{name}.{index}")

    def _index_for(self, value: Any) -> int:
        problem: Exception = TypeError(f"Unable to write value '{value}' of type '{type(value)}'")
        for index, member in enumerate(self._members):
            if member.handles(type(value)):
                try:
                    member.check(value)
                    return index
                except (TypeError, ValueError) as error:
                    problem = error
        raise problem


def storage_for(hint: Any) -> Storage:
    """The storage of a type hint. Raises TypeError for types outside the subset."""
    kind, annotations = split(hint)
    storage = _plain_storage(kind)
    storage.validators = storage.validators + [
        a() if isinstance(a, type) else a for a in annotations if _is_validator(a)
    ]
    return storage


def warn_of_unused(hint: Any, used: tuple[type, ...]) -> None:
    unused = [a for a in split(hint)[1] if not _is_validator(a) and not isinstance(a, used)]
    if unused:
        logging.warning("Unused annotations: %s", unused)


def _is_validator(annotation: Any) -> bool:
    return isinstance(annotation, Validator) or (isinstance(annotation, type) and issubclass(annotation, Validator))


def _plain_storage(kind: Any) -> Storage:
    if kind is bool:
        check = [NotNone(), IsInstance(bool)]
        return Storage(lambda t: t is bool, lambda v: "True" if v else "False", lambda s: s == "True", False, check)
    if kind in (int, float):
        taken = (int, float) if kind is float else int
        return Storage(lambda t: t in (int, float), str, kind, 0, [NotNone(), IsInstance(taken)])
    if kind is str:
        return Storage(lambda t: t is str, str, str, "", [NotNone(), IsInstance(str)])
    if kind in PATHS:
        return Storage(lambda t: t in PATHS, str, kind, kind(), [NotNone(), IsInstance(kind)])
    if kind is type(None):
        return Storage(lambda t: t is type(None), lambda v: "True", lambda s: None, {}, [IsNone()])
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return Storage(
            lambda t: issubclass(t, enum.Enum),
            lambda v: v.name,
            lambda s: _enum_member(kind, s),
            next(iter(kind)),
            [IsInstance(kind)],
        )
    if isinstance(kind, type) and issubclass(kind, slicer.vtkMRMLNode):
        return NodeStorage(kind)
    if typing.get_origin(kind) is list and typing.get_origin(split(typing.get_args(kind)[0])[0]) is not list:
        return ListStorage(storage_for(typing.get_args(kind)[0]))
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return UnionStorage([storage_for(member) for member in typing.get_args(kind)])
    raise TypeError(f"The stand-in of parameterNodeWrapper does not know the type {kind}")


def _enum_member(kind: type[enum.Enum], name: str) -> enum.Enum:
    try:
        return kind[name]
    except KeyError:
        raise ValueError(f"Found {name!r} in parameter node but it is not a name in {kind!r}") from None
