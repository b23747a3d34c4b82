"""Dialogs that wait for a user would stop a test for ever, so they raise until the test replaces them.

Return values are PythonQt's: ``QFileDialog.getOpenFileName`` and ``getSaveFileName`` give a ``str`` (empty when
cancelled), ``getOpenFileNames`` a tuple of ``str``; PySide6 would give (path, filter).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PySide6 import QtWidgets

STATIC = {
    QtWidgets.QFileDialog: ("getOpenFileName", "getOpenFileNames", "getSaveFileName", "getExistingDirectory"),
    QtWidgets.QMessageBox: ("information", "question", "warning", "critical", "about"),
    QtWidgets.QInputDialog: ("getText", "getItem", "getInt", "getDouble", "getMultiLineText"),
    QtWidgets.QColorDialog: ("getColor",),
}
WAITING = (QtWidgets.QDialog, QtWidgets.QMessageBox, QtWidgets.QFileDialog, QtWidgets.QMenu)


class UnexpectedDialog(AssertionError):
    """A dialog was opened that the test had not prepared for."""


def refuse_dialogs() -> None:
    """Replace the static functions and ``exec``, ``exec_`` of dialogs and menus."""
    for kind, names in STATIC.items():
        for name in names:
            setattr(kind, name, staticmethod(refusal(f"{kind.__name__}.{name}")))
    for kind in WAITING:
        for name in ("exec", "exec_"):
            setattr(kind, name, refusal(f"{kind.__name__}.{name}"))


def refusal(what: str) -> Callable[..., Any]:
    """A function that raises :class:`UnexpectedDialog` and says what was called."""

    def refuse(*arguments: Any, **keywords: Any) -> Any:
        texts = [argument for argument in arguments if isinstance(argument, str)]
        raise UnexpectedDialog(f"{what} was called and no test had replaced it: {texts}")

    return refuse
