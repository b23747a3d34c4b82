"""Ranges of random numbers, and fields of settings that a form can show."""

from __future__ import annotations

import math
from dataclasses import dataclass

from DeepRegLib.errors import BadInput


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``.

    >>> Range(0.0, 2.0)
    Range(low=0.0, high=2.0)
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low <= self.high):
            raise BadInput(f"A range runs from a lower to a higher number, not from {self.low:g} to {self.high:g}.")


def shown(label: str, unit: str = "") -> dict[str, str]:
    """Metadata of a field of settings: the words that a form shows for it, and its unit."""
    return {"label": label, "unit": unit}
