"""Where the voxels of an image lie in space.

Frame: LPS millimetres (that of ITK and DICOM). Index and point arrays have their last axis in x, y, z order, while
voxel arrays are indexed (z, y, x).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import BadInput

if TYPE_CHECKING:
    import SimpleITK as sitk

MINIMUM_SPACING_MM = 1e-3
"""Finer voxels than a micrometre are a damaged header, not an image of a patient."""
MAXIMUM_SPACING_MM = 100.0
"""Coarser voxels than 10 cm are a damaged header, not an image of a patient."""
ORTHONORMAL_TOLERANCE = 1e-3
"""Largest deviation of direction @ direction.T from identity that rounding in headers explains."""
SAME_POSITION_VOXELS = 1e-2
"""Two grids are the same when no corner is further apart than this share of a voxel."""


@dataclass(frozen=True)
class Geometry:
    """A regular grid in space: ``size``, ``spacing`` (mm) and ``origin`` (LPS mm) in x, y, z order, and ``direction``,
    the nine numbers of a row-major 3 x 3 matrix whose columns are the axes of the grid.

    A two-dimensional image is a grid with one slice (``size[2] == 1``).

    Raises :class:`BadInput` for sizes below one voxel, absurd spacing and a direction that is not orthonormal.

    >>> g = Geometry((4, 5, 6), (1.0, 1.0, 2.0))
    >>> g.shape
    (6, 5, 4)
    >>> g.to_physical([1, 0, 2]).tolist()
    [1.0, 0.0, 4.0]
    """

    size: tuple[int, int, int]
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)
    direction: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)

    def __post_init__(self) -> None:
        for name, kind in (("size", int), ("spacing", float), ("origin", float), ("direction", float)):
            object.__setattr__(self, name, tuple(kind(v) for v in getattr(self, name)))
        if len(self.size) != 3 or len(self.spacing) != 3 or len(self.origin) != 3 or len(self.direction) != 9:
            raise BadInput("The image grid must have three axes.")
        if min(self.size) < 1:
            raise BadInput(f"The image grid is empty: {self.size}.")
        if not all(MINIMUM_SPACING_MM <= s <= MAXIMUM_SPACING_MM for s in self.spacing):
            raise BadInput(f"The voxel spacing {self.spacing} mm is not plausible; check the image header.")
        if not np.isfinite(self.origin).all():
            raise BadInput(f"The image origin {self.origin} is not a point; check the image header.")
        d = self.axes
        if not np.isfinite(d).all() or np.abs(d @ d.T - np.eye(3)).max() > ORTHONORMAL_TOLERANCE:
            raise BadInput("The direction matrix of the image is singular or sheared; check the image header.")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of the voxel array: (z, y, x)."""
        return self.size[2], self.size[1], self.size[0]

    @property
    def axes(self) -> np.ndarray:
        """3 x 3 direction matrix; column k is the unit vector (LPS) of grid axis k."""
        return np.array(self.direction, dtype=float).reshape(3, 3)

    @property
    def voxel_count(self) -> int:
        return self.size[0] * self.size[1] * self.size[2]

    @property
    def voxel_volume_mm3(self) -> float:
        return float(np.prod(self.spacing))

    @property
    def is_2d(self) -> bool:
        return self.size[2] == 1

    @property
    def extent_mm(self) -> np.ndarray:
        """Distance between the first and the last voxel centre along each grid axis."""
        return (np.array(self.size) - 1) * np.array(self.spacing)

    @property
    def centre(self) -> np.ndarray:
        """Centre of the grid, LPS mm."""
        return self.to_physical((np.array(self.size) - 1) / 2)

    def to_physical(self, index: np.ndarray) -> np.ndarray:
        """Continuous voxel indices (..., 3) in x, y, z order to LPS mm (..., 3)."""
        return np.asarray(index, dtype=float) @ (self.axes * np.array(self.spacing)).T + np.array(self.origin)

    def to_index(self, points: np.ndarray) -> np.ndarray:
        """LPS mm (..., 3) to continuous voxel indices (..., 3) in x, y, z order."""
        inverse = np.linalg.inv(self.axes * np.array(self.spacing))
        return (np.asarray(points, dtype=float) - np.array(self.origin)) @ inverse.T

    def contains(self, points: np.ndarray) -> np.ndarray:
        """Which LPS points (..., 3) lie inside the grid, voxel edges included (half a voxel beyond the centres)."""
        index = self.to_index(points)
        return np.asarray(((index >= -0.5) & (index <= np.array(self.size) - 0.5)).all(-1))

    def corners(self) -> np.ndarray:
        """The eight corner voxel centres, (8, 3) LPS mm."""
        last = np.array(self.size) - 1
        return self.to_physical(np.array([[i, j, k] for k in (0, 1) for j in (0, 1) for i in (0, 1)]) * last)

    def points(self) -> np.ndarray:
        """Every voxel centre, (z, y, x, 3) float64 LPS mm. Meant for small grids: 24 bytes a voxel."""
        z, y, x = np.meshgrid(*(np.arange(n) for n in self.shape), indexing="ij")
        return self.to_physical(np.stack([x, y, z], -1))

    def matches(self, other: Geometry) -> bool:
        """Whether both describe the same voxels, to ``SAME_POSITION_VOXELS``."""
        if self.size != other.size:
            return False
        distance = np.linalg.norm(self.corners() - other.corners(), axis=-1).max()
        return bool(distance <= SAME_POSITION_VOXELS * min(self.spacing))

    def with_spacing(self, spacing: tuple[float, float, float]) -> Geometry:
        """A grid with the same axes and the same edges (voxel borders) with voxels of at most ``spacing`` mm."""
        extent = np.array(self.size) * np.array(self.spacing)
        size = np.maximum(np.ceil(extent / np.array(spacing) - 1e-6), 1).astype(int)
        new = extent / size
        first = (new - np.array(self.spacing)) / 2
        origin = np.array(self.origin) + self.axes @ first
        return Geometry(tuple(size), tuple(new), tuple(origin), self.direction)

    @classmethod
    def of(cls, image: sitk.Image) -> Geometry:
        """The geometry of a SimpleITK image, two- or three-dimensional."""
        if image.GetDimension() == 2:
            a, b, c, d = image.GetDirection()
            return cls(
                (*image.GetSize(), 1),
                (*image.GetSpacing(), 1.0),
                (*image.GetOrigin(), 0.0),
                (a, b, 0.0, c, d, 0.0, 0.0, 0.0, 1.0),
            )
        return cls(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())

    def apply_to(self, image: sitk.Image) -> sitk.Image:
        """Write this geometry into a three-dimensional SimpleITK image of the same size; returns it."""
        image.SetSpacing(self.spacing)
        image.SetOrigin(self.origin)
        image.SetDirection(self.direction)
        return image
