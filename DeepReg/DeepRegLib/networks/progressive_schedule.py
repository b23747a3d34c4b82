"""Which resolution levels of the progressive network are active at an iteration (Eppenhof 2020, section II-C)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

PAPER_DELTA = 2000
"""Iterations of the transition from one level to the next (δ)."""
PAPER_PERIOD = 6000
"""Iterations in which a level takes part, transitions included (Δ)."""
PAPER_LEVELS = 5


def alpha_schedule(
    t: float, delta: float = PAPER_DELTA, period: float = PAPER_PERIOD, levels: int = PAPER_LEVELS
) -> tuple[float, ...]:
    """Weights α of the levels' fields at iteration ``t`` (>= 0), bottom level first: trapezoids that sum to one, at
    most two of them above zero (Eq. 2). The last level stays. ``delta`` = 0 switches from level to level at once.

    Since τ(i + 1) = τ(i) + Δ - δ, a level falls while the next one rises: α(i) = rise(i) - rise(i + 1). The first case
    of the printed equation must read "t < τ **or** t > τ + Δ".

    Raises ``ValueError`` unless 0 <= 2 ``delta`` <= ``period``, with ``period`` above zero: otherwise the schedule
    would not start with the bottom level alone.

    >>> alpha_schedule(0)
    (1.0, 0.0, 0.0, 0.0, 0.0)
    >>> alpha_schedule(2000)
    (0.5, 0.5, 0.0, 0.0, 0.0)
    >>> alpha_schedule(30_000)
    (0.0, 0.0, 0.0, 0.0, 1.0)
    """
    _check(t, delta, period, levels)
    rises = [_rise(t, level_start(level, delta, period), delta) for level in range(levels)]
    return tuple(this - above for this, above in zip(rises, [*rises[1:], 0.0], strict=True))


def level_start(level: int, delta: float = PAPER_DELTA, period: float = PAPER_PERIOD) -> float:
    """τ: the iteration from which ``level`` (0 is the bottom) takes part; before 0 for the bottom level.

    ``level_start(levels - 1) + delta`` is the iteration from which the network is the baseline.

    >>> level_start(4) + PAPER_DELTA
    15000.0
    """
    return -period / 2 + (period - delta) * level


def beta_weights(alphas: Sequence[float]) -> tuple[float, ...]:
    """β(i), the sum of α(0) to α(i): weight of a level's own input convolution; γ(i) = 1 - β(i) is that of the maps
    pooled from the level above (Eq. 3, index of the receiving level).

    >>> beta_weights((0.25, 0.75, 0.0))
    (0.25, 1.0, 1.0)
    """
    return tuple(accumulate(alphas))


def _rise(t: float, start: float, delta: float) -> float:
    if t >= start + delta:
        return 1.0
    return 0.0 if t <= start else (t - start) / delta


def _check(t: float, delta: float, period: float, levels: int) -> None:
    if levels < 1 or t < 0:
        raise ValueError(f"A schedule has at least one level and starts at iteration 0, not {levels} and {t}.")
    if period <= 0 or not 0 <= 2 * delta <= period:
        raise ValueError(f"The transition ({delta}) must take at most half of the period of a level ({period}).")
