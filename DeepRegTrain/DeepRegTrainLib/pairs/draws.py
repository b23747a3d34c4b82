"""Random numbers that are written down as they are drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from .ranges import Range

Item = TypeVar("Item")

MOST_REDRAWS = 50
"""Ranges that fold this often in a row are too wide to draw from; the last draw is taken and its fold recorded."""


class Draws:
    """A stream of random numbers; each goes into ``record`` under its name, in plain Python types.

    >>> draws = Draws(np.random.default_rng(0))
    >>> zoom = draws.uniform("zoom", Range(0.9, 1.1))
    >>> draws.record == {"zoom": zoom}
    True
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.record: dict[str, Any] = {}

    def uniform(self, name: str, over: Range) -> float:
        return self._noted(name, float(self.rng.uniform(over.low, over.high)))

    def uniforms(self, name: str, over: Range, count: int = 3) -> np.ndarray:
        return np.array(self._noted(name, self.rng.uniform(over.low, over.high, count).tolist()))

    def normals(self, name: str, sd: float, count: int = 3) -> np.ndarray:
        return np.array(self._noted(name, (sd * self.rng.standard_normal(count)).tolist()))

    def integer(self, name: str, low: int, high: int) -> int:
        """A whole number from ``low`` to ``high``, both included."""
        return self._noted(name, int(self.rng.integers(low, high + 1)))

    def happens(self, name: str, share: float) -> bool:
        """True in ``share`` of the cases."""
        return self._noted(name, bool(self.rng.random() < share))

    def choice(self, name: str, items: Sequence[Item], shares: Sequence[float]) -> Item:
        """One of ``items``, each as often as its share of the sum says; its number is written down."""
        limits = np.cumsum(shares)
        number = int(np.searchsorted(limits, self.rng.random() * limits[-1], side="right"))
        return items[self._noted(name, min(number, len(items) - 1))]

    def seed(self) -> int:
        """A seed for a generator of another library; it follows from this stream and is not written down."""
        return int(self.rng.integers(2**62))

    def note(self, name: str, value: Any) -> None:
        """Write down something that follows from what was drawn."""
        self.record[name] = value

    def _noted(self, name: str, value: Any) -> Any:
        self.record[name] = value
        return value


def redrawn_until(
    draw: Callable[[], Item], smallest_jacobian: Callable[[Item], float], limit: float, draws: Draws
) -> Item:
    """The first of the maps that ``draw`` gives whose smallest Jacobian determinant is above ``limit``; how many were
    refused is written down."""
    made, refused = draw(), 0
    while (smallest := smallest_jacobian(made)) <= limit and refused < MOST_REDRAWS:
        made, refused = draw(), refused + 1
    draws.note("refused", refused)
    draws.note("smallest_jacobian", smallest)
    return made
