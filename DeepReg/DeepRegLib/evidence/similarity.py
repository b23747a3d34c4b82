"""How alike two images are where nobody placed landmarks: locally, and whatever the contrast.

In a window around each point the values of one image are predicted linearly from those of the other. The share of the
variance that this explains is the squared local correlation: 1 when every small structure has its counterpart in
place, near 0 when they have nothing to do with each other. A different brightness, gain or even a reversed contrast
does not matter (local normalised cross-correlation, B. B. Avants et al., Medical Image Analysis 12, 2008, 26, eq. 5).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import BadInput
from ..images.coarse import averaged
from ..images.geometry import Geometry
from ..images.volume import Volume
from ..transforms.displacement_field import DisplacementField
from ..transforms.linear import LinearTransform
from .region_grid import region_on

if TYPE_CHECKING:
    import SimpleITK as sitk

GRID_SPACING_MM = 3.0
"""The images are compared on voxels of about this size: vessels and organ borders are seen, noise is not."""
WINDOW_SIGMA_MM = 5.0
"""Standard deviation of the Gaussian window in which the images are compared."""
NEGLIGIBLE_WEIGHT = 1e-4
"""A window ends where its weights fall below this, some four standard deviations from its centre."""
WINDOW_STEP_MM = 5.0
"""Windows are at most this far apart; closer ones would overlap almost wholly and only cost time."""
FLAT_SHARE = 0.02
"""A window whose standard deviation is this share of the image's range or less holds noise rather than structure."""
RANGE_PERCENTILES = (0.5, 99.5)
"""Values beyond these (metal, calcium, padding) are clipped, so that they do not decide for their whole window."""


@dataclass(frozen=True)
class Similarity:
    """Squared local correlation, 0 to 1, of the fixed image with the moving one ``before`` and ``after``."""

    before: float
    after: float


def similarity(
    fixed: Volume,
    moving: Volume,
    before: LinearTransform,
    after: DisplacementField,
    region: Volume | None = None,
) -> Similarity:
    """The squared local correlation in ``region`` (True where it counts, any grid; everywhere without one) when the
    moving image is pulled through ``before`` and through ``after``, both total maps from fixed to moving points.

    What the moving image does not show counts as not explained. Works on voxels of about ``GRID_SPACING_MM``.
    """
    coarse = averaged(fixed, GRID_SPACING_MM)
    local = _LocalCorrelation(coarse, region)
    moving = averaged(moving, GRID_SPACING_MM)
    moving = Volume(_clipped(moving.array, moving.array), moving.geometry)
    return Similarity(
        *(local.explained_by(_pulled(moving, local.geometry, t)) for t in (_affine(before), _field(after)))
    )


def local_correlation(fixed: Volume, warped: Volume, region: Volume | None = None) -> float:
    """The squared local correlation of two images on one grid, 0 to 1; see :func:`similarity`.

    Raises :class:`BadInput` when the grids differ.
    """
    if not fixed.geometry.matches(warped.geometry):
        raise BadInput("The two images lie on different grids; warp the moving one onto the fixed grid first.")
    local = _LocalCorrelation(averaged(fixed, GRID_SPACING_MM), region)
    warped_array = averaged(warped, GRID_SPACING_MM).array
    return local.explained_by(_clipped(warped_array, warped_array)[local.box])


class _LocalCorrelation:
    """The fixed image, prepared once: what other images on its grid are compared with."""

    def __init__(self, fixed: Volume, region: Volume | None) -> None:
        weight = np.ones(fixed.array.shape, bool) if region is None else region_on(region, fixed.geometry)
        if not weight.any():
            weight = np.ones(fixed.array.shape, bool)  # a region thinner than the coarse voxels
        self.box = _bounding_box(weight)
        self.geometry = _part_of(fixed.geometry, self.box)
        self.weight = weight[self.box].astype(np.float32)
        self.windows = [_windows(n, s) for n, s in zip(self.weight.shape, fixed.geometry.spacing[::-1], strict=True)]
        self.total = self._summed(self.weight)
        self.fixed = _clipped(fixed.array[self.box], fixed.array[weight])
        self.mean = self._mean(self.fixed)
        self.variance = self._mean(self.fixed * self.fixed) - self.mean**2
        self.votes = self.total * np.clip(self.variance / (np.maximum(self.variance, 0) + FLAT_SHARE**2), 0, 1)

    def explained_by(self, other: np.ndarray) -> float:
        """Mean over all windows of the squared correlation with ``other`` (z, y, x), clipped, on ``self.geometry``; a
        window has less of a vote where little of it is region or where the fixed image is flat."""
        mean = self._mean(other)
        variance = self._mean(other * other) - mean**2
        covariance = self._mean(self.fixed * other) - self.mean * mean
        # Windows where either image is constant explain nothing; the floor is far below any structure.
        floor = (FLAT_SHARE / 10) ** 4
        explained = covariance**2 / np.maximum(self.variance * variance, floor)
        votes = self.votes.sum(dtype=float)
        return float((self.votes * np.clip(explained, 0, 1)).sum(dtype=float) / votes) if votes > 0 else 0.0

    def _mean(self, array: np.ndarray) -> np.ndarray:
        return self._summed(self.weight * array) / np.maximum(self.total, np.finfo(np.float32).tiny)

    def _summed(self, array: np.ndarray) -> np.ndarray:
        # Three large products: many small ones would wait for each other's threads on a busy machine.
        for matrix in self.windows:
            array = np.ascontiguousarray((matrix @ array.reshape(len(array), -1)).T).reshape(*array.shape[1:], -1)
        return array


def _windows(count: int, spacing_mm: float) -> np.ndarray:
    """Gaussian weights of ``count`` voxels in each window along one axis, (windows, count). Products with such small
    matrices are quicker than a filter."""
    step = max(1, int(WINDOW_STEP_MM / spacing_mm))
    voxels = np.arange(count)
    distance = spacing_mm * (voxels[(count - 1) % step // 2 :: step, None] - voxels)
    weights = np.exp(-0.5 * (distance / WINDOW_SIGMA_MM) ** 2)
    # Tinier weights would be denormal numbers, which make a product many times slower.
    return np.where(weights > NEGLIGIBLE_WEIGHT, weights, 0).astype(np.float32)


def _clipped(array: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """``array`` clipped to the robust range of ``reference`` and scaled to -0.5 ... 0.5: centred values keep variances
    exact in single precision."""
    low, high = np.percentile(reference, RANGE_PERCENTILES)
    scale = np.float32(1 / (high - low)) if high > low else np.float32(0)
    return (np.clip(array, low, high).astype(np.float32) - np.float32((low + high) / 2)) * scale


def _bounding_box(mask: np.ndarray) -> tuple[slice, ...]:
    box = []
    for axis in range(3):
        hit = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
        box.append(slice(int(hit[0]), int(hit[-1]) + 1))
    return tuple(box)


def _part_of(geometry: Geometry, box: tuple[slice, ...]) -> Geometry:
    first = np.array([part.start for part in reversed(box)])
    size = tuple(part.stop - part.start for part in reversed(box))
    return Geometry(size, geometry.spacing, tuple(geometry.to_physical(first)), geometry.direction)


def _affine(linear: LinearTransform) -> sitk.Transform:
    import SimpleITK as sitk

    transform = sitk.AffineTransform(3)
    transform.SetMatrix(linear.matrix.ravel().tolist())
    transform.SetTranslation(linear.translation.tolist())
    return transform


def _field(field: DisplacementField) -> sitk.Transform:
    """The map on every n-th voxel, no finer than the comparison needs: ITK copies fields as doubles."""
    every = [max(1, int(GRID_SPACING_MM / s)) for s in field.geometry.spacing]
    x, y, z = every
    part = field.array[::z, ::y, ::x]
    sx, sy, sz = field.geometry.spacing
    grid = Geometry(part.shape[2::-1], (sx * x, sy * y, sz * z), field.geometry.origin, field.geometry.direction)
    return DisplacementField(part, grid).to_sitk_transform()


def _pulled(moving: Volume, geometry: Geometry, transform: sitk.Transform) -> np.ndarray:
    """The moving image at the voxels of ``geometry``; -0.5, the low end of its range, where it has no data."""
    import SimpleITK as sitk

    resample = sitk.ResampleImageFilter()
    resample.SetSize(geometry.size)
    resample.SetOutputSpacing(geometry.spacing)
    resample.SetOutputOrigin(geometry.origin)
    resample.SetOutputDirection(geometry.direction)
    resample.SetTransform(transform)
    resample.SetDefaultPixelValue(-0.5)
    return sitk.GetArrayFromImage(resample.Execute(moving.to_sitk()))
