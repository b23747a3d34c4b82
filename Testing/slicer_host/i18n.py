"""``slicer.i18n``: texts stay English; a text that was made with an f-string cannot be told apart here, so the test of
the sources looks for those."""

from __future__ import annotations

import inspect


def translate(context: str, text: str) -> str:
    """As Slicer's function: context and text are strings."""
    if not (isinstance(context, str) and isinstance(text, str)):
        raise TypeError("translate takes a context and a text")
    return text


def tr(text: str) -> str:
    """As Slicer's ``tr``, which finds the context in the file that calls it."""
    frame = inspect.currentframe()
    if frame is None or frame.f_back is None:
        raise RuntimeError("tr has no caller")
    return translate(frame.f_back.f_globals.get("__name__", ""), text)
