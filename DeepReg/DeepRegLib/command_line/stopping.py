"""Ctrl-C and the end that the system asks for (SIGTERM)."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
STOPPING = b"\nStopping ... (again to stop at once)\n"
STANDARD_ERROR = 2

Handler = Callable[[int, FrameType | None], object]


@contextlib.contextmanager
def termination_interrupts() -> Iterator[None]:
    """SIGTERM raises KeyboardInterrupt as Ctrl-C does: unfinished files are removed on the way out."""
    with _handled_by(signal.default_int_handler):
        yield


@contextlib.contextmanager
def first_signal_asks() -> Iterator[Callable[[], bool]]:
    """Gives a function that says whether the user asked to stop. The first signal asks; the second one interrupts."""
    asked = threading.Event()

    def handle(number: int, frame: FrameType | None) -> None:
        if asked.is_set():
            signal.default_int_handler(number, frame)
        asked.set()
        # Not print(): the signal may come while something else is being printed, which Python refuses.
        os.write(STANDARD_ERROR, STOPPING)

    with _handled_by(handle):
        yield asked.is_set


@contextlib.contextmanager
def _handled_by(handler: Handler) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may say what signals do
        return
    earlier = {number: signal.signal(number, handler) for number in SIGNALS}
    try:
        yield
    finally:
        for number, before in earlier.items():
            signal.signal(number, before)
