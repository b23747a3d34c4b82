"""A dense map from the fixed to the moving image: T(x) = x + u(x)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import BadInput
from ..images.geometry import Geometry

if TYPE_CHECKING:
    import SimpleITK as sitk

POINTS_PER_CHUNK = 2_000_000
"""Points that are interpolated at once; bounds the working memory to some 300 MB."""


@dataclass(frozen=True)
class DisplacementField:
    """Displacements ``array`` (z, y, x, 3), float32, in mm along the LPS axes (x, y, z), on ``geometry``.

    The field maps a point x of the fixed image to x + u(x) in the moving image. Between voxel centres u is
    interpolated linearly; beyond the outermost voxel centres it keeps the border value, as 3D Slicer does (ITK gives
    zero beyond half a voxel).
    """

    array: np.ndarray
    geometry: Geometry

    def __post_init__(self) -> None:
        if self.array.shape != (*self.geometry.shape, 3):
            raise BadInput(f"The displacements have shape {self.array.shape}, the grid {self.geometry.shape}.")

    @classmethod
    def zero(cls, geometry: Geometry) -> DisplacementField:
        """The identity map."""
        return cls(np.zeros((*geometry.shape, 3), np.float32), geometry)

    def at(self, points: np.ndarray) -> np.ndarray:
        """Displacements (..., 3) in mm at LPS points (..., 3)."""
        points = np.asarray(points, dtype=float)
        flat = points.reshape(-1, 3)
        out = np.empty(flat.shape)
        for start in range(0, len(flat), POINTS_PER_CHUNK):
            part = slice(start, start + POINTS_PER_CHUNK)
            out[part] = self._at_indices(self.geometry.to_index(flat[part]))
        return out.reshape(points.shape)

    def map_points(self, points: np.ndarray) -> np.ndarray:
        """T(x) = x + u(x) for LPS points (..., 3)."""
        return np.asarray(points, dtype=float) + self.at(points)

    def _at_indices(self, index: np.ndarray) -> np.ndarray:
        last = np.array(self.geometry.size) - 1
        index = np.clip(index, 0, last)
        low = np.minimum(np.floor(index).astype(np.intp), np.maximum(last - 1, 0))
        weight = index - low
        high = np.minimum(low + 1, last)
        x0, y0, z0 = low.T
        x1, y1, z1 = high.T
        wx, wy, wz = weight.T[:, :, None]
        a = self.array
        lower = (a[z0, y0, x0] * (1 - wx) + a[z0, y0, x1] * wx) * (1 - wy)
        lower += (a[z0, y1, x0] * (1 - wx) + a[z0, y1, x1] * wx) * wy
        upper = (a[z1, y0, x0] * (1 - wx) + a[z1, y0, x1] * wx) * (1 - wy)
        upper += (a[z1, y1, x0] * (1 - wx) + a[z1, y1, x1] * wx) * wy
        return lower * (1 - wz) + upper * wz

    def to_sitk(self) -> sitk.Image:
        """A SimpleITK vector image (float64, as ITK's transforms want it) with a copy of the displacements."""
        import SimpleITK as sitk

        return self.geometry.apply_to(sitk.GetImageFromArray(self.array.astype(np.float64), isVector=True))

    def to_sitk_transform(self) -> sitk.DisplacementFieldTransform:
        """The same map as a SimpleITK transform (resampling sense: fixed to moving points)."""
        import SimpleITK as sitk

        return sitk.DisplacementFieldTransform(self.to_sitk())

    @classmethod
    def from_sitk(cls, image: sitk.Image) -> DisplacementField:
        """From a SimpleITK vector image of displacements in mm (LPS)."""
        import SimpleITK as sitk

        if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 3:
            raise BadInput("A displacement field needs three dimensions and three values per voxel.")
        return cls(sitk.GetArrayFromImage(image).astype(np.float32), Geometry.of(image))


@dataclass(frozen=True)
class SplineField(DisplacementField):
    """A field that a few control points stand for: ``control_points`` are its displacements on a coarse grid."""

    control_points: DisplacementField
