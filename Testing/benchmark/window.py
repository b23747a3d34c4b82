"""What the benchmarks of the panels share: how long the window of the application stands still."""

from __future__ import annotations

import time

TICK_MS = 2


class Clock:
    """A timer in the event loop; the longest time between two of its ticks is how long the window stood still."""

    def __init__(self) -> None:
        import qt

        self._last = time.perf_counter()
        self.longest = 0.0
        self._timer = qt.QTimer()
        self._timer.connect("timeout()", self._tick)
        self._timer.start(TICK_MS)

    def _tick(self) -> None:
        now = time.perf_counter()
        self.longest = max(self.longest, now - self._last)
        self._last = now

    def since_last(self) -> float:
        """The longest gap since this was asked last, ms; what came between is not counted after it."""
        longest, self.longest, self._last = self.longest, 0.0, time.perf_counter()
        return 1000 * longest
