"""Axis-aligned grids in the own frame of an image.

The solver works in millimetres along the axes of each image: a voxel with index i of the image lies at
``spacing * i``. In this frame every grid is axis-aligned, so that all operators stay separable however oblique the
image lies in the patient; only the map between the two frames knows about directions.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch

from ..images.geometry import Geometry
from .separable import Operator, bspline_matrix, gaussian_matrix, linear_matrix

SMALLEST_LEVEL_SIZE = 4
"""Fewer samples along an axis carry no gradient."""
ANTI_ALIASING = 0.45
"""Standard deviation of the anti-aliasing Gaussian, in samples of the coarser grid."""
DOWNSAMPLING_RATIO = 1.15
"""Above this ratio of spacings, values are averaged instead of interpolated."""


def triple(values: Iterable[float]) -> tuple[float, float, float]:
    """Three numbers as a tuple."""
    x, y, z = values
    return float(x), float(y), float(z)


def whole_triple(values: Iterable[int]) -> tuple[int, int, int]:
    """Three whole numbers as a tuple."""
    x, y, z = values
    return int(x), int(y), int(z)


@dataclass(frozen=True)
class FrameGrid:
    """``origin``, ``spacing`` (mm) and ``size`` in x, y, z order, in the frame of one image."""

    origin: tuple[float, float, float]
    spacing: tuple[float, float, float]
    size: tuple[int, int, int]

    @classmethod
    def of(cls, geometry: Geometry) -> FrameGrid:
        """All voxels of an image."""
        return cls((0.0, 0.0, 0.0), geometry.spacing, geometry.size)

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.size[2], self.size[1], self.size[0]

    @property
    def last(self) -> tuple[float, ...]:
        """Position of the last sample."""
        return tuple(o + h * (n - 1) for o, h, n in zip(self.origin, self.spacing, self.size, strict=True))

    def axis(self, k: int, device: torch.device) -> torch.Tensor:
        """Positions of the samples along axis k (0 is x)."""
        positions = np.arange(self.size[k]) * self.spacing[k] + self.origin[k]
        return torch.as_tensor(positions, dtype=torch.float32, device=device)

    def points(self, device: torch.device) -> torch.Tensor:
        """All sample positions, (3, z, y, x), components in x, y, z order."""
        z, y, x = torch.meshgrid(*(self.axis(k, device) for k in (2, 1, 0)), indexing="ij")
        return torch.stack([x, y, z])

    def covering(self, spacing: float) -> FrameGrid:
        """An isotropic grid over the same extent, centred on it."""
        extent = np.array(self.last) - np.array(self.origin)
        size = np.maximum(np.ceil(extent / spacing - 1e-6).astype(int) + 1, SMALLEST_LEVEL_SIZE)
        size = np.where(np.array(self.size) == 1, 1, size)
        origin = np.array(self.origin) + extent / 2 - (size - 1) * spacing / 2
        return FrameGrid(triple(origin), (spacing, spacing, spacing), whole_triple(size))

    def box(self, lower: np.ndarray, upper: np.ndarray) -> FrameGrid:
        """A grid of the same spacing between two corners (frame mm), which need not lie on samples."""
        size = [max(math.ceil((u - v) / h - 1e-6) + 1, 1) for u, v, h in zip(upper, lower, self.spacing, strict=True)]
        size = [1 if n == 1 else s for n, s in zip(self.size, size, strict=True)]
        return FrameGrid(triple(lower), self.spacing, whole_triple(size))

    def blur(self, sigma: float, device: torch.device) -> Operator:
        """Gaussian smoothing on this grid, sigma in mm; edges are renormalised."""
        return self._operator(self, lambda a, b: gaussian_matrix(a, b, sigma), device)

    def blur_along(self, sigmas: tuple[float, float, float], device: torch.device) -> Operator:
        """The same with a sigma (mm) for each of x, y, z; 0 leaves an axis as it is."""

        def matrix(k: int) -> torch.Tensor:
            positions = self.axis(k, device)
            if sigmas[k] <= 0:
                return torch.eye(len(positions), device=device)
            return gaussian_matrix(positions, positions, sigmas[k])

        return matrix(2), matrix(1), matrix(0)

    def averages_to(self, target: FrameGrid, sigma: float, device: torch.device) -> Operator:
        """Gaussian averages (sigma mm) of this grid at the samples of ``target``: blur and decimate in one step."""
        return self._operator(target, lambda a, b: gaussian_matrix(a, b, sigma), device)

    def linear_to(self, target: FrameGrid, device: torch.device) -> Operator:
        """Linear interpolation onto ``target``."""
        return self._operator(target, linear_matrix, device)

    def bspline_to(self, target: FrameGrid, device: torch.device) -> Operator:
        """Cubic B-spline with coefficients on this grid, evaluated on ``target``."""
        return self._operator(target, bspline_matrix, device)

    def resample_to(self, target: FrameGrid, device: torch.device) -> Operator:
        """Anti-aliased resampling: axis by axis a Gaussian where ``target`` is coarser, linear where it is not."""

        def matrix(k: int) -> torch.Tensor:
            source, positions = self.axis(k, device), target.axis(k, device)
            if self.size[k] > 1 and target.spacing[k] > DOWNSAMPLING_RATIO * self.spacing[k]:
                return gaussian_matrix(source, positions, ANTI_ALIASING * target.spacing[k])
            return linear_matrix(source, positions)

        return matrix(2), matrix(1), matrix(0)

    def _operator(self, target: FrameGrid, make, device: torch.device) -> Operator:  # type: ignore[no-untyped-def]
        return tuple(make(self.axis(k, device), target.axis(k, device)) for k in (2, 1, 0))  # type: ignore[return-value]
