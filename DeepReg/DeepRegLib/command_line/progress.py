"""How far a run has come, on standard error: a bar on a terminal, else a line for each tenth."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator

Progress = Callable[[float, str], None]
STEPS = 10
"""Lines of a run in a log."""


def shown_progress() -> contextlib.AbstractContextManager[Progress]:
    """A context that gives the function to report progress to: the finished share (0 to 1) and the stage."""
    if sys.stderr.isatty() and _rich_is_installed():
        return _bar()
    return contextlib.nullcontext(_Lines())


def _rich_is_installed() -> bool:
    try:
        import rich.progress  # noqa: F401
    except ImportError:
        return False
    return True


@contextlib.contextmanager
def _bar() -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Display

    columns = (TextColumn("{task.description:<32}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    # The answer on standard output stays ours: rich would route it through its own console.
    with Display(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False) as display:
        task = display.add_task("start", total=1.0)
        yield lambda fraction, stage: display.update(task, completed=fraction, description=stage)


class _Lines:
    def __init__(self) -> None:
        self._shown = -1

    def __call__(self, fraction: float, stage: str) -> None:
        step = int(STEPS * fraction)
        if step > self._shown:
            self._shown = step
            print(f"{100 * step // STEPS:3d} % {stage}", file=sys.stderr, flush=True)
