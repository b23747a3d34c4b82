"""Where the grid of a pair lies: around the lungs with a margin, or a random block of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from .anatomy import Box
from .draws import Draws
from .ranges import Range
from .settings import Framing
from .working_grid import WorkingGrid

BLOCK_MARGIN_MM = 20.0
"""A block that is smaller than the lungs may reach this far beyond them."""
BLOCK_JITTER_MM = 6.0
"""How far a block that shows all of them is moved at least."""
INNER_EDGE_MM = Range(2.0, 25.0)
"""A scan of one lung ends this far beyond it, towards the other lung."""


def box_of(region: Tensor, grid: WorkingGrid) -> Box:
    """The box around the voxels of ``region`` (1, 1, z, y, x) above a half, with their edges; the whole grid where
    there are none."""
    inside = region[0, 0] > 0.5
    spacing, first = np.array(grid.spacing), grid.first_mm
    if not bool(inside.any()):
        return Box(first, first + grid.extent_mm)
    found = [torch.nonzero(inside.any(a).any(b))[:, 0] for a, b in ((0, 0), (0, 1), (1, 1))]  # along x, y, z
    low = np.array([int(f[0]) for f in found])
    high = np.array([int(f[-1]) for f in found])
    return Box(first + (low - 0.5) * spacing, first + (high + 0.5) * spacing)


def one_lung(region: Tensor, grid: WorkingGrid, middle_x: float, draws: Draws) -> tuple[Box, tuple[float, float]]:
    """The box of the lung on one side of ``middle_x`` (mm), and the limits of the view from right to left."""
    left = draws.happens("left_lung", 0.5)
    x = grid.axes()[0]
    box = box_of(region * ((x > middle_x) if left else (x < middle_x)).to(region.dtype), grid)
    edge = draws.uniform("inner_edge_mm", INNER_EDGE_MM)
    return box, (float(box.low[0]) - edge, np.inf) if left else (-np.inf, float(box.high[0]) + edge)


def place_grid(
    box: Box,
    framing: Framing,
    size: tuple[int, int, int],
    spacing_mm: Sequence[float] | None,
    draws: Draws,
    device: torch.device,
) -> WorkingGrid:
    """A grid of ``size`` (x, y, z): over ``box`` and a random margin, or with ``spacing_mm`` a random block."""
    if spacing_mm is None:
        margin = 0.01 * draws.uniforms("margins_percent", framing.margin_percent, 6).reshape(2, 3) * box.extent
        low, high = box.low - margin[0], box.high + margin[1]
        return _grid(size, (high - low) / np.array(size), 0.5 * (low + high), device)
    extent = np.array(size) * np.array(spacing_mm)
    room = np.maximum(box.extent / 2 + BLOCK_MARGIN_MM - extent / 2, 0)
    reach = np.minimum(box.extent / 2, room) + BLOCK_JITTER_MM
    centre = box.centre + reach * draws.uniforms("block", Range(-1.0, 1.0))
    return _grid(size, np.array(spacing_mm), centre, device)


def _grid(size: tuple[int, int, int], spacing: np.ndarray, centre: np.ndarray, device: torch.device) -> WorkingGrid:
    return WorkingGrid(size, tuple(map(float, spacing)), device, tuple(map(float, centre)))  # type: ignore[arg-type]
