"""Work in steps, one job after the other, each known by a name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .steps import StepRunner, Steps


class JobQueue:
    """``later`` is that of :class:`~DeepRegSlicer.steps.StepRunner`; ``on_error`` hears of jobs that failed, and the
    next one goes on."""

    def __init__(self, later: Callable[[Callable[[], None]], None], on_error: Callable[[Exception], None]) -> None:
        self._later = later
        self._on_error = on_error
        self._waiting: dict[str, tuple[Callable[[], Steps[Any]], Callable[[Any], None]]] = {}
        self._running: tuple[str, StepRunner] | None = None

    @property
    def is_idle(self) -> bool:
        return self._running is None and not self._waiting

    def put(self, name: str, work: Callable[[], Steps[Any]], then: Callable[[Any], None]) -> None:
        """Do ``work()`` in its turn and give the result to ``then``. A job of the same name that waits or runs is
        dropped."""
        self.drop(name)
        self._waiting[name] = work, then
        self._start_next()

    def drop(self, name: str) -> None:
        self._waiting.pop(name, None)
        if self._running is not None and self._running[0] == name:
            self._running[1].stop()
            self._running = None
            self._start_next()

    def clear(self) -> None:
        self._waiting.clear()
        if self._running is not None:
            self._running[1].stop()
            self._running = None

    def _start_next(self) -> None:
        if self._running is not None or not self._waiting:
            return
        name = next(iter(self._waiting))
        work, then = self._waiting.pop(name)

        def done(result: Any) -> None:
            self._running = None
            try:
                then(result)
            finally:
                self._start_next()

        def failed(error: Exception) -> None:
            self._running = None
            try:
                self._on_error(error)
            finally:
                self._start_next()

        runner = StepRunner(work(), self._later, done, failed)
        self._running = name, runner
        runner.start()
