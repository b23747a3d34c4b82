"""Grids in mm about their own centre, and fields on them, on any device.

Points and fields are tensors (1, 3, z, y, x) with components x, y, z; images are (1, C, z, y, x).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import grid_sample


@dataclass(frozen=True)
class WorkingGrid:
    """``size`` voxels (x, y, z) of ``spacing`` mm; ``centre`` (x, y, z) in mm is the point midway between the outermost
    voxel centres."""

    size: tuple[int, int, int]
    spacing: tuple[float, float, float]
    device: torch.device
    centre: tuple[float, float, float] = field(default=(0.0, 0.0, 0.0))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along z, y, x."""
        return self.size[2], self.size[1], self.size[0]

    @property
    def extent_mm(self) -> np.ndarray:
        """Size of the grid with its outer voxels in full, x, y, z."""
        return np.array(self.size) * np.array(self.spacing)

    @property
    def first_mm(self) -> np.ndarray:
        """The first voxel centre, x, y, z."""
        return np.array(self.centre) - 0.5 * (np.array(self.size) - 1) * np.array(self.spacing)

    def axes(self) -> tuple[Tensor, Tensor, Tensor]:
        """Positions in mm of the voxel centres along x, y and z."""
        first = self.first_mm
        x, y, z = (
            torch.arange(n, dtype=torch.float32, device=self.device) * s + float(f)
            for n, s, f in zip(self.size, self.spacing, first, strict=True)
        )
        return x, y, z

    def points(self) -> Tensor:
        """Every voxel centre in mm, (1, 3, z, y, x)."""
        x, y, z = self.axes()
        grid_z, grid_y, grid_x = torch.meshgrid(z, y, x, indexing="ij")
        return torch.stack((grid_x, grid_y, grid_z))[None]

    def index(self, points: Tensor) -> Tensor:
        """Points in mm to continuous voxel indices, both (1, 3, ...)."""
        return (points - vector(self.first_mm, points)) / vector(self.spacing, points)

    def sample(self, values: Tensor, points: Tensor, padding: str = "border") -> Tensor:
        """``values`` (1, C, z, y, x) on this grid at ``points`` (1, 3, ...) in mm; linear."""
        return sample_at(values, self.index(points), padding)

    def larger(self, margin_voxels: int) -> WorkingGrid:
        """The same grid with more voxels on each side."""
        nx, ny, nz = (n + 2 * margin_voxels for n in self.size)
        return WorkingGrid((nx, ny, nz), self.spacing, self.device, self.centre)

    def inside(self, points: Tensor) -> Tensor:
        """1 where ``points`` (1, 3, ...) lie between the outermost voxel centres, else 0: (1, 1, ...)."""
        index = self.index(points)
        last = vector(np.array(self.size) - 1, points)
        return ((index >= 0) & (index <= last)).all(1, keepdim=True).to(points.dtype)

    @classmethod
    def covering(
        cls, low: np.ndarray, high: np.ndarray, spacing: float | Sequence[float], device: torch.device
    ) -> WorkingGrid:
        """The grid with this spacing whose outermost voxel centres lie at, or just beyond, the corners of a box."""
        steps = np.broadcast_to(np.asarray(spacing, float), 3)
        nx, ny, nz = (int(n) for n in np.ceil((high - low) / steps - 1e-6).astype(int) + 1)
        middle = 0.5 * (low + high)
        return cls((nx, ny, nz), tuple(map(float, steps)), device, tuple(map(float, middle)))  # type: ignore[arg-type]


def vector(values: Sequence[float] | np.ndarray, like: Tensor) -> Tensor:
    """Three numbers as a tensor that broadcasts against (1, 3, z, y, x)."""
    return torch.as_tensor(np.asarray(values, np.float32), device=like.device).reshape(1, 3, 1, 1, 1)


def linear_map(matrix: np.ndarray, points: Tensor) -> Tensor:
    """A 3 x 3 matrix times ``points`` (1, 3, z, y, x)."""
    rows = torch.as_tensor(np.asarray(matrix, np.float32), device=points.device)
    return torch.matmul(rows, points.reshape(3, -1)).reshape(points.shape)


def voxel_indices(shape: Sequence[int], device: torch.device) -> Tensor:
    """The voxel indices of a grid (z, y, x) themselves, (1, 3, z, y, x) in x, y, z order."""
    axes = [torch.arange(n, dtype=torch.float32, device=device) for n in shape]
    grid_z, grid_y, grid_x = torch.meshgrid(*axes, indexing="ij")
    return torch.stack((grid_x, grid_y, grid_z))[None]


def sample_at(values: Tensor, index: Tensor, padding: str = "border") -> Tensor:
    """``values`` (1, C, z, y, x) at continuous voxel indices (1, 3, z', y', x'), linear: (1, C, z', y', x').

    ``padding`` is that of ``grid_sample``: beyond the outermost voxel centres "border" repeats them, "zeros" fades to
    zero within a voxel, "reflection" mirrors about them.
    """
    last = vector([max(n - 1, 1) for n in reversed(values.shape[2:])], index)
    where = (index * (2 / last) - 1).permute(0, 2, 3, 4, 1)
    return grid_sample(values, where, mode="bilinear", padding_mode=padding, align_corners=True)


def jacobian_determinant(displacement: Tensor) -> Tensor:
    """det(dT/dx) of T(x) = x + u(x), ``displacement`` (1, 3, z, y, x) in voxels: (1, 1, z, y, x).

    Central differences, one-sided at the border, as in :mod:`DeepRegLib.evidence.jacobian`.
    """
    u = displacement[0]
    a, b, c = (torch.gradient(u, dim=axis)[0] for axis in (3, 2, 1))  # along x, y, z
    a[0] += 1
    b[1] += 1
    c[2] += 1
    determinant = a[0] * (b[1] * c[2] - b[2] * c[1])
    determinant += a[1] * (b[2] * c[0] - b[0] * c[2])
    determinant += a[2] * (b[0] * c[1] - b[1] * c[0])
    return determinant[None, None]
