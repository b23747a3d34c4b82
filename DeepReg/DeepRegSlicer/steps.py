"""Work of the panel in small pieces, so that its window never stands still.

A function named ``..._in_steps`` is a generator (:mod:`DeepRegLib.steps`). :func:`finish` runs it in one go, for
scripts; :class:`StepRunner` gives the event loop of the application a turn after every piece.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from DeepRegLib.steps import Result, Steps, finish

__all__ = ["Result", "StepRunner", "Steps", "finish"]


class StepRunner:
    """Runs steps one at a time from the event loop; ``later(function)`` asks the loop to call a function soon
    (in Slicer: :func:`DeepRegSlicer.event_loop.soon`).

    Exactly one of ``on_done(result)`` and ``on_error(exception)`` is called, unless :meth:`stop` comes first.
    """

    def __init__(
        self,
        steps: Steps[Any],
        later: Callable[[Callable[[], None]], None],
        on_done: Callable[[Any], None],
        on_error: Callable[[Exception], None],
    ) -> None:
        self._steps: Steps[Any] | None = steps
        self._later = later
        self._on_done = on_done
        self._on_error = on_error

    def start(self) -> None:
        self._later(self._step)

    def stop(self) -> None:
        """Drop what is left; the generator is closed, so that its ``finally`` blocks run."""
        steps, self._steps = self._steps, None
        if steps is not None:
            steps.close()

    def _step(self) -> None:
        if self._steps is None:
            return
        try:
            next(self._steps)
        except StopIteration as end:
            self._steps = None
            self._on_done(end.value)
        except Exception as error:  # whatever went wrong is told by the one who started the work
            self._steps = None
            self._on_error(error)
        else:
            self._later(self._step)
