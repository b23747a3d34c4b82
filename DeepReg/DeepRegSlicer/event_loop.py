"""A function called later, by the event loop of the application."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

_waiting: dict[int, Any] = {}
_numbers = itertools.count()


def call_after(milliseconds: int, function: Callable[[], None]) -> None:
    """Have the event loop call ``function`` once, after ``milliseconds`` (0: as soon as it gets its turn).

    Slicer's own ``qt.QTimer.singleShot`` never deletes its timer, and with it keeps the function and all that this
    refers to, voxels too, until the application quits. Here both are gone after the call.
    """
    import qt

    timer, number = qt.QTimer(), next(_numbers)

    def fire() -> None:
        del _waiting[number]
        timer.deleteLater()
        function()

    timer.setSingleShot(True)
    timer.connect("timeout()", fire)
    _waiting[number] = timer
    timer.start(milliseconds)


def soon(function: Callable[[], None]) -> None:
    """Have the event loop call ``function`` when it gets its next turn."""
    call_after(0, function)
