"""Where lines, bars and dots of the report's charts go. The template draws them as SVG in the colours of the page."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .planes import Plane

GRID_LINE_MM = 10.0
"""Distance of the lines of the deformation grid."""
GRID_STEP_PIXELS = 3
"""The lines are followed in steps of so many pixels; the displacements are smoother than that."""
BINS = 16
"""About so many bars in the histogram."""
DECADES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
"""Marks of the logarithmic axis, mm. Errors below the first are drawn on it."""
NICE_STEPS = (0.1, 0.2, 0.25, 0.5, 1.0, 2.0, 2.5, 5.0, 10.0, 20.0, 50.0, 100.0)


@dataclass(frozen=True)
class Chart:
    """A chart ``width`` by ``height`` units: ``bars`` as (x, y, width, height, words), ``pairs`` as (x, y before,
    y after, words), and marks of both axes as (place, words)."""

    width: float
    height: float
    bars: list[tuple[float, float, float, float, str]] = field(default_factory=list)
    pairs: list[tuple[float, float, float, str]] = field(default_factory=list)
    x_marks: list[tuple[float, str]] = field(default_factory=list)
    y_marks: list[tuple[float, str]] = field(default_factory=list)


def grid_lines(plane: Plane, displacement: np.ndarray) -> list[str]:
    """The deformation grid of a plane as SVG point lists in pixels: each point of a regular grid is drawn where the
    ``displacement`` (h, w, 3), mm, takes it. Only the motion within the plane can be seen."""
    moved_x = displacement @ plane.right / plane.pixel_mm
    moved_y = displacement @ plane.down / plane.pixel_mm
    width, height = plane.size
    across, along = _line_places(width, plane.pixel_mm), _line_places(height, plane.pixel_mm)
    steps_x, steps_y = _steps(width), _steps(height)
    lines = [(steps_x + moved_x[y, steps_x], y + moved_y[y, steps_x]) for y in along]
    lines += [(x + moved_x[steps_y, x], steps_y + moved_y[steps_y, x]) for x in across]
    return [" ".join(f"{x + 0.5:.1f},{y + 0.5:.1f}" for x, y in zip(*line, strict=True)) for line in lines]


def _line_places(count: int, pixel_mm: float) -> np.ndarray:
    distance = max(GRID_LINE_MM / pixel_mm, 4.0)
    number = int((count - 1) // distance)
    first = (count - 1 - number * distance) / 2
    return np.rint(first + distance * np.arange(number + 1)).astype(int)


def _steps(count: int) -> np.ndarray:
    return np.unique(np.append(np.arange(0, count, GRID_STEP_PIXELS), count - 1))


def histogram(errors_mm: np.ndarray, width: float = 420, height: float = 150) -> Chart:
    """How many landmarks have which error, in bars of one round width."""
    largest = float(errors_mm.max())
    step = next((s for s in NICE_STEPS if largest / s <= BINS), NICE_STEPS[-1])
    edges = step * np.arange(int(largest / step) + 2)
    counts, _ = np.histogram(errors_mm, edges)
    scale_x, scale_y = width / edges[-1], height / counts.max()
    bars = []
    for low, count in zip(edges[:-1], counts, strict=True):
        words = f"{low:g} to {low + step:g} mm: {count} landmark{'' if count == 1 else 's'}"
        bars.append((low * scale_x, height - count * scale_y, step * scale_x, count * scale_y, words))
    every = max(1, len(counts) // 8)
    x_marks = [(edge * scale_x, f"{edge:g}") for edge in edges[::every]]
    return Chart(width, height, bars=bars, x_marks=x_marks, y_marks=[(0.0, str(counts.max())), (height, "0")])


def before_and_after(
    before_mm: np.ndarray, after_mm: np.ndarray, labels: tuple[str, ...], width: float = 420, height: float = 150
) -> Chart:
    """Error of every landmark before and after, on a logarithmic axis, ordered by the error after."""
    both = np.maximum(np.concatenate([before_mm, after_mm]), DECADES[0])
    below = [d for d in DECADES if d <= both.min()]
    above = [d for d in DECADES if d >= both.max()]
    low, high = below[-1], above[0] if above else float(both.max())
    high = high if high > low else low * 10

    def level(error: float) -> float:
        return float(height * (1 - np.log(max(error, DECADES[0]) / low) / np.log(high / low)))

    order = np.argsort(after_mm, kind="stable")
    spread = width / len(order)
    pairs = [
        (
            (place + 0.5) * spread,
            level(before_mm[i]),
            level(after_mm[i]),
            f"{labels[i]}: {before_mm[i]:.1f} mm before, {after_mm[i]:.1f} mm after",
        )
        for place, i in enumerate(order)
    ]
    marks = [(level(d), f"{d:g}") for d in DECADES if low <= d <= high]
    return Chart(width, height, pairs=pairs, y_marks=marks)
