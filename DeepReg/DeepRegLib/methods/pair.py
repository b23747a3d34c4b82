"""What a method is given: both images, regions and the pre-alignment, on any grid it asks for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ..images.geometry import Geometry
from ..images.region import Region
from ..images.volume import Volume
from ..refinement.frame_grid import FrameGrid
from ..refinement.image_source import ImageSource
from ..transforms.displacement_field import DisplacementField
from ..transforms.linear import LinearTransform
from ..transforms.mapping import in_order
from ..transforms.sampling import sample


@dataclass(frozen=True)
class Pair:
    """Two images of the same anatomy, pre-aligned: T(x) = A(x + d(x)) with A = ``prealignment``; d is asked for.

    ``device`` is where networks run; all random numbers come from ``seed``.
    """

    fixed: Volume
    moving: Volume
    region: Region
    prealignment: LinearTransform
    device: torch.device
    seed: int = 0

    def working_grid(self, size: tuple[int, int, int], margin_mm: float = 12.0) -> Geometry:
        """A grid of exactly ``size`` voxels (x, y, z) over the region and ``margin_mm`` around it.

        Its axes are those of the fixed image, turned so that x runs to the left, y to the back and z upwards as far as
        the axes allow: networks that were trained on upright patients see upright patients.
        """
        mask = self.region.mask.geometry
        lower, upper = self.region.box(margin_mm)
        order, signs = _anatomical_axes(mask)
        corner = np.where(signs > 0, lower[order], upper[order])
        extent = (upper - lower)[order]
        axes = mask.axes[:, order] * signs
        spacing = extent / np.array(size)
        unordered = np.zeros(3)
        unordered[order] = corner
        first = np.array(mask.origin) + mask.axes @ unordered + axes @ (spacing / 2)
        return Geometry(size, tuple(spacing), tuple(first), tuple(axes.ravel()))

    def fixed_on(self, geometry: Geometry) -> torch.Tensor:
        """The fixed image (1, 1, z, y, x), float32, averaged down to ``geometry`` (any grid); border values outside."""
        return self._tensor(_smoothed_sample(self.fixed, geometry, LinearTransform(), None))

    def moving_on(self, geometry: Geometry, deformation: DisplacementField | None = None) -> torch.Tensor:
        """The moving image (1, 1, z, y, x) pulled onto ``geometry`` through x -> A(x + d(x)); d = 0 by default."""
        return self._tensor(_smoothed_sample(self.moving, geometry, self.prealignment, deformation))

    def region_on(self, geometry: Geometry) -> torch.Tensor:
        """The share of each voxel that lies in the region, (1, 1, z, y, x), 0 to 1."""
        return self._tensor(self.region.on(geometry))

    def fixed_at(self, points: np.ndarray) -> np.ndarray:
        """Values of the fixed image at LPS points (..., 3)."""
        return sample(self.fixed.array[None], self.fixed.geometry, points)[0]

    def moving_at(self, points: np.ndarray, deformation: DisplacementField | None = None) -> np.ndarray:
        """Values of the moving image at A(x + d(x)) for LPS points x (..., 3) of the fixed image."""
        for step in in_order((deformation, self.prealignment) if deformation else (self.prealignment,)):
            points = step.map_points(points)
        return sample(self.moving.array[None], self.moving.geometry, points)[0]

    def _tensor(self, array: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(np.ascontiguousarray(array, np.float32), device=self.device)[None, None]


def _smoothed_sample(
    volume: Volume, geometry: Geometry, linear: LinearTransform, deformation: DisplacementField | None
) -> np.ndarray:
    """Values at the mapped voxel centres of ``geometry``, from a copy of the image averaged to its spacing."""
    coarse_grid = FrameGrid.of(volume.geometry).covering(max(min(geometry.spacing), min(volume.geometry.spacing)))
    coarse = ImageSource(volume, lambda values: values).on(coarse_grid, torch.device("cpu")).numpy()
    frame = Geometry(
        coarse_grid.size,
        coarse_grid.spacing,
        tuple(np.array(volume.geometry.origin) + volume.geometry.axes @ np.array(coarse_grid.origin)),
        volume.geometry.direction,
    )
    points = geometry.points()
    for step in in_order((deformation, linear) if deformation else (linear,)):
        points = step.map_points(points)
    return sample(coarse[None], frame, points)[0]


def _anatomical_axes(geometry: Geometry) -> tuple[np.ndarray, np.ndarray]:
    """Which grid axis runs nearest to each of L, P, S, and with which sign."""
    axes, order = geometry.axes, []
    for direction in (2, 1, 0):
        free = [k for k in range(3) if k not in order]
        order.append(max(free, key=lambda k: abs(axes[direction, k])))
    chosen = np.array(order[::-1])
    return chosen, np.sign(axes[np.arange(3), chosen])
