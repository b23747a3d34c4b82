"""Long work cut into pieces of about the same time, whatever the machine and the data."""

from __future__ import annotations

import time
from collections.abc import Callable

from .steps import Steps

STEP_SECONDS = 0.02
"""Aimed at for one piece: below what anybody notices as a stutter, even when a piece takes twice as long."""
FASTEST_GROWTH = 2.0
"""From one piece to the next: a first guess that is too small is soon mended, a quick piece by chance does no harm."""


def paced_steps(work: Callable[[int, int], None], total: int, first: int) -> Steps[None]:
    """Call ``work(start, stop)`` for consecutive parts of ``range(total)``, one part in a step.

    The first part has ``first`` items; the next ones are sized so that a step takes about ``STEP_SECONDS``.

    >>> parts = []
    >>> for _ in paced_steps(lambda start, stop: parts.append((start, stop)), 3, 2):
    ...     pass
    >>> parts
    [(0, 2), (2, 3)]
    """
    start, count = 0, first
    while start < total:
        stop = min(start + count, total)
        began = time.perf_counter()
        work(start, stop)
        seconds = time.perf_counter() - began
        start = stop
        count = max(1, int(count * min(FASTEST_GROWTH, STEP_SECONDS / max(seconds, 1e-9))))
        yield
