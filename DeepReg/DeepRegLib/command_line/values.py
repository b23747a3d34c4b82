"""Words that must be numbers of a certain kind; a message in plain words for all others."""

from __future__ import annotations

import argparse
import math

QUALITIES = ("fast", "balanced", "accurate")
DIFFICULTIES = ("easy", "hard")
LARGEST_SEED = 2**32 - 1
"""Both numpy and torch take seeds up to this one."""


def positive(text: str) -> int:
    """A whole number from 1."""
    number = _whole(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return number


def millimetres(text: str) -> float:
    """A length above 0."""
    try:
        length = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number") from None
    if not 0 < length < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not a length above 0")
    return length


def seed(text: str) -> int:
    """A whole number from 0 to ``LARGEST_SEED``."""
    number = _whole(text)
    if not 0 <= number <= LARGEST_SEED:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and {LARGEST_SEED}")
    return number


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number") from None
