"""One patient (or one made-up shape) from which both images of a pair are taken."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from DeepRegLib.refinement.separable import apply, gaussian_matrix
from torch import Tensor

from .working_grid import WorkingGrid

TRIM_PERCENT = 0.5
"""Outermost voxels of the region on each side that do not count for its trunk: the trachea is no part of a lung."""
SCAN_SIGMA = 0.42
"""Width of the Gaussian that looks like a voxel of size one: its variance is twice that of the voxel, as in the scans
that were resampled for the shared data."""
SAME_SPACING = 1.15
"""Coarser grids than this get a smoothed copy of the scan."""


@dataclass(frozen=True)
class Box:
    """Corners (x, y, z) in mm."""

    low: np.ndarray
    high: np.ndarray

    @property
    def centre(self) -> np.ndarray:
        return 0.5 * (self.low + self.high)

    @property
    def extent(self) -> np.ndarray:
        return self.high - self.low


@dataclass(frozen=True)
class Anatomy:
    """What is imaged, upright: x to the left, y to the back, z to the head, mm about the middle of ``grid``.

    ``moving_look`` and ``fixed_look`` (1, 1, z, y, x) are the HU that the two scanners see, free of noise: the same
    tensor for scans, two contrasts of one label map. ``region`` (1, 1, z, y, x), 0 to 1, is the lungs or the organ,
    ``box`` its bounding box with the edges of its voxels, ``trunk`` the same without thin ends.
    ``wall`` (1, 1, z, y, x) on ``wall_grid`` is the signed distance in mm to the wall along which the content slides,
    negative inside; None where nothing slides. ``bore_radius_mm`` is the radius of the round field of view.
    """

    name: str
    grid: WorkingGrid
    moving_look: Tensor
    fixed_look: Tensor
    region: Tensor
    box: Box
    trunk: Box
    is_lungs: bool
    wall: Tensor | None = None
    wall_grid: WorkingGrid | None = None
    bore_radius_mm: float | None = None
    _smoothed: dict[float, Anatomy] = field(default_factory=dict, repr=False, compare=False)

    def smoothed(self, spacing_mm: float) -> Anatomy:
        """The same with images as voxels of ``spacing_mm`` show them; kept for the next pair."""
        own = float(np.mean(self.grid.spacing))
        if spacing_mm <= SAME_SPACING * own:
            return self
        key = round(spacing_mm, 1)
        if key not in self._smoothed:
            sigma = SCAN_SIGMA * math.sqrt(key**2 - own**2)
            x, y, z = self.grid.axes()
            operator = tuple(gaussian_matrix(axis, axis, sigma) for axis in (z, y, x))
            moving = apply(operator, self.moving_look)  # type: ignore[arg-type]
            same = self.fixed_look is self.moving_look
            fixed = moving if same else apply(operator, self.fixed_look)  # type: ignore[arg-type]
            self._smoothed[key] = dataclasses.replace(self, moving_look=moving, fixed_look=fixed, _smoothed={})
        return self._smoothed[key]

    def field_of_view(self, points: Tensor) -> Tensor:
        """1 where ``points`` (1, 3, ...) in mm were scanned, 0 elsewhere: (1, 1, ...). The edge of the bore is a ramp
        one voxel wide."""
        seen = self.grid.inside(points)
        if self.bore_radius_mm is None:
            return seen
        radius = points[:, :2].square().sum(1, keepdim=True).sqrt()
        return seen * (0.5 + (self.bore_radius_mm - radius) / self.grid.spacing[0]).clamp(0, 1)

    def depth(self, points: Tensor) -> Tensor:
        """Signed distance in mm to the wall at ``points`` (1, 3, ...) in mm: (1, 1, ...)."""
        assert self.wall is not None and self.wall_grid is not None
        return self.wall_grid.sample(self.wall, points)


class Source(Protocol):
    """Where anatomies come from: scans of a folder, phantoms, label maps, or a mixture."""

    def draw(self, rng: np.random.Generator, device: torch.device) -> Anatomy:
        """One anatomy on ``device``; the same state of ``rng`` gives the same one."""

    def record(self) -> list[dict[str, object]]:
        """What there is to draw from, ready for JSON."""


def boxes_of(region: np.ndarray, grid: WorkingGrid) -> tuple[Box, Box]:
    """The box of a mask (z, y, x; not empty) on ``grid`` and the box of its trunk."""
    where = np.argwhere(region)[:, ::-1]
    spacing, first = np.array(grid.spacing), grid.first_mm
    ends = np.percentile(where, [0, TRIM_PERCENT, 100 - TRIM_PERCENT, 100], axis=0)
    low, trunk_low, trunk_high, high = first + ends * spacing
    half = spacing / 2
    return Box(low - half, high + half), Box(trunk_low - half, trunk_high + half)
