"""A window that says what pip is doing, and a record of what it said.

However a package is installed, Slicer prints each line of pip and then lets the application draw itself
(``slicer.util.logProcessOutput``). So the printed lines are listened to: they are shown, and kept for an explanation.
"""

from __future__ import annotations

import contextlib
import sys
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, TextIO

import slicer
from slicer.i18n import tr as _

LINES_KEPT = 500
"""pip prints a few lines for each package; the reason of a failure is among the last ones."""
LONGEST_SHOWN_LINE = 70


class PrintedLines:
    """Stands in for ``sys.stdout``: passes everything on, keeps the last lines and tells ``on_line`` about each."""

    def __init__(self, screen: TextIO, on_line: Callable[[str], None]) -> None:
        self._screen = screen
        self._on_line = on_line
        self._lines: deque[str] = deque(maxlen=LINES_KEPT)
        self._begun = ""

    def write(self, text: str) -> int:
        self._screen.write(text)
        *complete, self._begun = (self._begun + text).split("\n")
        for line in filter(str.strip, complete):
            self._lines.append(line)
            self._on_line(line)
        return len(text)

    def text(self) -> str:
        """What was printed, without empty lines."""
        return "\n".join([*self._lines, self._begun])

    def __getattr__(self, name: str) -> Any:
        """Whatever else a program asks of its output (flush, encoding, isatty)."""
        return getattr(self._screen, name)


@contextlib.contextmanager
def shown_while_installing(names: str) -> Iterator[PrintedLines]:
    """Listens to what is printed and shows it in a window, which nobody needs to close.

    Without a main window and in testing mode there is no window.
    """
    window = _window(names)

    def show(line: str) -> None:
        if window is not None:
            window.labelText = f"{_title(names)}\n{line.strip()[:LONGEST_SHOWN_LINE]}"

    lines = PrintedLines(sys.stdout, show)
    try:
        with contextlib.redirect_stdout(lines):  # type: ignore[type-var]
            yield lines
    finally:
        if window is not None:
            window.close()


def _title(names: str) -> str:
    return _("Installing {names}. This takes some minutes.").format(names=names)


def _window(names: str) -> Any:
    """A progress dialog without an end and without a Cancel: pip that is stopped half-way leaves a broken PyTorch."""
    if slicer.app.testingEnabled() or slicer.util.mainWindow() is None:
        return None
    import qt

    window = slicer.util.createProgressDialog(
        labelText=_title(names), windowTitle="DeepReg", maximum=0, windowModality=qt.Qt.ApplicationModal
    )
    window.setCancelButton(None)
    window.show()
    slicer.app.processEvents()
    return window
