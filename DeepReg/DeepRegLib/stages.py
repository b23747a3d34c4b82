"""The stages of a registration: how long each took, and how far the whole has come."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .errors import Cancelled

STAGES = {
    "read": ("Reading the images", 0.08),
    "region": ("Finding where the match counts", 0.07),
    "prealign": ("Aligning the images roughly", 0.08),
    "propose": ("Proposing a deformation", 0.02),
    "refine": ("Refining the deformation", 0.60),
    "evaluate": ("Measuring how well they fit", 0.15),
}
"""Key in the evidence: words for people, usual share of the time."""


class Stages:
    """Times the stages, passes progress on and asks whether to stop.

    ``progress(fraction, stage)`` gets the share of the whole that is done (0 to 1) and the words for the stage;
    ``cancelled()`` is asked at every step, and a true answer raises :class:`~DeepRegLib.errors.Cancelled`.
    """

    def __init__(self, progress: Callable[[float, str], None], cancelled: Callable[[], bool]) -> None:
        self.seconds: dict[str, float] = {}
        self._progress = progress
        self.cancelled = cancelled
        self._start = time.perf_counter()
        self._finished: set[str] = set()
        self._reached = 0.0
        self._current = ("", 0.0)

    @contextmanager
    def stage(self, key: str) -> Iterator[None]:
        words, share = STAGES[key]
        self._finished.discard(key)
        self._current = (words, share)
        self.within(0.0)
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[key] = round(self.seconds.get(key, 0.0) + time.perf_counter() - start, 3)
        self._finished.add(key)
        self._current = (words, 0.0)
        self.within(0.0)

    def within(self, fraction: float) -> None:
        """Report that this share of the current stage is done; a stage that runs again does not turn progress back."""
        if self.cancelled():
            raise Cancelled("The registration was cancelled; nothing was written.")
        words, share = self._current
        done = sum(STAGES[key][1] for key in self._finished) + share * fraction
        self._reached = max(self._reached, min(done, 1.0))
        self._progress(self._reached, words)

    def total(self) -> float:
        return round(time.perf_counter() - self._start, 3)
