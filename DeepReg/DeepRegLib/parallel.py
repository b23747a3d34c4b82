"""All cores for work that numpy and torch do outside Python's lock."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_parallel(work: Callable[[Item], Result], items: Iterable[Item], workers: int | None = None) -> list[Result]:
    """``work(item)`` for every item, in order, by ``workers`` threads (default: one for each processor); an error in
    one of them is raised here."""
    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        return list(pool.map(work, items))


def slabs(count: int, thickness: int) -> list[slice]:
    """Consecutive slices of ``count`` planes, ``thickness`` planes each, the last perhaps fewer.

    >>> slabs(5, 2)
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    return [slice(start, min(start + thickness, count)) for start in range(0, count, thickness)]
