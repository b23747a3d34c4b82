"""Observers of VTK objects that end with the widget that made them."""

from __future__ import annotations

import weakref
from typing import Any

import shiboken6
from PySide6.QtCore import QObject


class Observers:
    """Calls methods of a widget by name, without keeping the widget alive; all end when Qt deletes it."""

    def __init__(self, owner: QObject) -> None:
        self._owner = weakref.ref(owner)
        self._tags: dict[str, list[tuple[Any, int]]] = {}
        tags = self._tags  # the widget's own attributes may be gone when it is deleted
        owner.destroyed.connect(lambda *_: [_remove(tags, group) for group in list(tags)])

    def add(
        self, group: str, subject: Any, event: Any, method: str, priority: float = 0.0, data: str | None = None
    ) -> None:
        """Observe ``event`` of ``subject`` as one of a group; ``data`` is the VTK type of the call data."""
        owner = self._owner

        def call(*arguments: Any) -> None:
            widget = owner()
            if widget is not None and shiboken6.isValid(widget):
                getattr(widget, method)(*arguments)

        if data is not None:
            call.CallDataType = data
        self._tags.setdefault(group, []).append((subject, subject.AddObserver(event, call, priority)))

    def subject(self, group: str) -> Any:
        """What the group observes, or None."""
        return self._tags[group][0][0] if self._tags.get(group) else None

    def groups(self) -> list[str]:
        return list(self._tags)

    def remove(self, group: str) -> None:
        _remove(self._tags, group)


def _remove(tags: dict[str, list[tuple[Any, int]]], group: str) -> None:
    for subject, tag in tags.pop(group, []):
        subject.RemoveObserver(tag)
