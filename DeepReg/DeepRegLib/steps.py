"""Work in small pieces, so that the window of the one who asked for it never stands still.

A function named ``..._in_steps`` is a generator: it yields between pieces that take a few tens of milliseconds at most
and returns its result at the end.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

Result = TypeVar("Result")
Steps = Generator[None, None, Result]
"""What a function that works in steps returns."""


def finish(steps: Steps[Result]) -> Result:
    """Run all steps and give their result.

    >>> def count_in_steps():
    ...     yield
    ...     return 2
    >>> finish(count_in_steps())
    2
    """
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value
