"""Reads the fields of a JSON object by type, with sentences for what is missing or wrong."""

from __future__ import annotations

import math
from typing import Any, TypeVar

from ..errors import ModelProblem

Number = TypeVar("Number", int, float)


class Fields:
    """The fields of ``content``; ``owner`` begins each sentence. Every reading raises :class:`ModelProblem` when the
    field is missing, empty or of another type.

    >>> Fields({"steps": 5}, "The card").integer("steps")
    5
    """

    def __init__(self, content: Any, owner: str) -> None:
        if not isinstance(content, dict):
            raise ModelProblem(f"{owner} is not a JSON object.")
        self.owner = owner
        self._content = content
        self._read: set[str] = set()
        self._parts: list[Fields] = []

    def text(self, name: str) -> str:
        value = self._value(name)
        if not isinstance(value, str) or not value.strip():
            raise self._problem(name, "must be a text")
        return value

    def integer(self, name: str) -> int:
        value = self._value(name)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self._problem(name, "must be a whole number")
        return value

    def number(self, name: str) -> float:
        value = self._value(name)
        if not _is_finite_number(value):
            raise self._problem(name, "must be a number")
        return float(value)

    def triple(self, name: str, kind: type[Number]) -> tuple[Number, Number, Number] | None:
        """Three numbers (x, y, z), or None where the card says null."""
        value = self._value(name)
        if value is None:
            return None
        if not isinstance(value, list) or len(value) != 3 or not all(_is_finite_number(item) for item in value):
            raise self._problem(name, "must be three numbers (x, y, z) or null")
        if kind is int and not all(isinstance(item, int) for item in value):
            raise self._problem(name, "must be three whole numbers (x, y, z) or null")
        return kind(value[0]), kind(value[1]), kind(value[2])

    def mapping(self, name: str) -> dict[str, Any]:
        value = self._value(name)
        if not isinstance(value, dict):
            raise self._problem(name, "must be an object")
        return value

    def record(self, name: str) -> Fields:
        part = Fields(self.mapping(name), f"{self.owner}, field '{name}',")
        self._parts.append(part)
        return part

    def records(self, name: str) -> list[Fields]:
        value = self._value(name)
        if not isinstance(value, list):
            raise self._problem(name, "must be a list")
        parts = [Fields(item, f"{self.owner}, field '{name}', row {row},") for row, item in enumerate(value, 1)]
        self._parts += parts
        return parts

    def refuse_others(self) -> None:
        """A field that nobody has read is a misspelling, here or in a part."""
        others = sorted(set(self._content) - self._read)
        if others:
            raise ModelProblem(f"{self.owner} has a field '{others[0]}' that is not known.")
        for part in self._parts:
            part.refuse_others()

    def _value(self, name: str) -> Any:
        if name not in self._content:
            raise ModelProblem(f"{self.owner} lacks the field '{name}'.")
        self._read.add(name)
        return self._content[name]

    def _problem(self, name: str, rule: str) -> ModelProblem:
        return ModelProblem(f"{self.owner} is not usable: the field '{name}' {rule}.")


def _is_finite_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
