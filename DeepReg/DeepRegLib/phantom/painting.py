"""Painting shapes and tubes (vessels, airways, ribs) into a volume with soft, sub-voxel edges."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..images.geometry import Geometry

ELEMENTS_PER_CHUNK = 1_000_000
"""Voxels that are looked at together; bounds the working memory to some 50 MB."""
THIN_TUBE_VOXELS = 0.6
"""Tubes with a radius below this many voxels fill only a part of a voxel; their contrast falls with their section."""


@dataclass(frozen=True)
class Tube:
    """A curve as closely spaced ``centres`` (n, 3) LPS mm, with ``radii`` (n,) in mm."""

    centres: np.ndarray
    radii: np.ndarray

    @classmethod
    def through(cls, points: ArrayLike, radii: ArrayLike) -> Tube:
        """A smooth (Catmull-Rom) curve through ``points`` (k, 3) with radii that change linearly between them."""
        path = np.asarray(points, dtype=float)
        widths = np.broadcast_to(np.asarray(radii, dtype=float), len(path))
        padded = np.concatenate([2 * path[:1] - path[1:2], path, 2 * path[-1:] - path[-2:-1]])
        parts = []
        for i in range(len(path) - 1):
            p0, p1, p2, p3 = padded[i : i + 4]
            t = np.linspace(0, 1, 2 + int(np.linalg.norm(p2 - p1) / step_along(widths[i])))
            centres = hermite(p1, p2, (p2 - p0) / 2, (p3 - p1) / 2, t)
            parts.append(cls(centres, widths[i] + t * (widths[i + 1] - widths[i])))
        return cls.joined(parts)

    @classmethod
    def joined(cls, tubes: list[Tube]) -> Tube:
        return cls(np.concatenate([t.centres for t in tubes]), np.concatenate([t.radii for t in tubes]))

    def widened(self, by_mm: float) -> Tube:
        return Tube(self.centres, np.maximum(self.radii + by_mm, 0.1))


def step_along(radius_mm: np.ndarray) -> np.ndarray:
    """Distance (mm) of points along a tube so that spheres around them look smooth: the sag is 1 % of the radius."""
    return np.maximum(0.6, 0.3 * np.asarray(radius_mm))


def hermite(start: np.ndarray, end: np.ndarray, leave: np.ndarray, arrive: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Points (n, 3) of the cubic from ``start`` to ``end`` with the given tangents, at ``t`` (n,) from 0 to 1."""
    t = t[:, None]
    return (
        (2 * t**3 - 3 * t**2 + 1) * start
        + (t**3 - 2 * t**2 + t) * leave
        + (3 * t**2 - 2 * t**3) * end
        + (t**3 - t**2) * arrive
    )


class Painter:
    """Finds which voxels of a grid a tube covers, and by how much.

    The grid has equal spacing along all axes. Parts of a tube that touch the border of the grid are left out.
    """

    def __init__(self, geometry: Geometry) -> None:
        self._geometry = geometry
        self._scratch = np.zeros(geometry.voxel_count, np.float32)

    def cover(self, tube: Tube) -> tuple[np.ndarray, np.ndarray]:
        """Flat voxel indices (n,) and their covered share (n,) between 0 and 1.

        A voxel may occur more than once, with the same share, which does no harm when values are *assigned* to it.
        """
        touched = []
        for voxels, share in self._shares(tube):
            np.maximum.at(self._scratch, voxels, share)
            touched.append(voxels[self._scratch[voxels] == share])
        voxels = np.concatenate(touched)
        shares = self._scratch[voxels]
        self._scratch[voxels] = 0
        return voxels, shares

    def _shares(self, tube: Tube) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        spacing = self._geometry.spacing[0]
        index = self._geometry.to_index(tube.centres).astype(np.float32)
        radius = (tube.radii / spacing).astype(np.float32)
        reach = np.ceil(radius + 0.5).astype(int)
        for cells in np.unique(reach):
            room = ((index >= cells + 1) & (index <= np.array(self._geometry.size) - cells - 2)).all(-1)
            of_this = np.flatnonzero((reach == cells) & room)
            per_chunk = max(1, ELEMENTS_PER_CHUNK // (2 * cells + 1) ** 3)
            for start in range(0, len(of_this), per_chunk):
                chosen = of_this[start : start + per_chunk]
                yield self._shares_of(index[chosen], radius[chosen], int(cells))

    def _shares_of(self, index: np.ndarray, radius: np.ndarray, cells: int) -> tuple[np.ndarray, np.ndarray]:
        nx, ny, _ = self._geometry.size
        steps = np.arange(-cells, cells + 1)
        nearest = np.rint(index)
        squares = ((nearest - index)[:, :, None] + steps.astype(np.float32)) ** 2
        square = squares[:, 2, :, None, None] + (squares[:, 1, :, None] + squares[:, 0, None, :])[:, None]
        point, dz, dy, dx = np.nonzero(square < ((radius + 0.5) ** 2)[:, None, None, None])
        corner = nearest.astype(np.int64) @ np.array([1, nx, nx * ny]) - cells * (1 + nx + nx * ny)
        voxels = corner[point] + (dz * ny + dy) * nx + dx
        share = np.minimum(0.5 + radius[point] - np.sqrt(square[point, dz, dy, dx]), 1)
        return voxels, share * np.minimum(1, (radius / THIN_TUBE_VOXELS) ** 2)[point]


def cover(distance: np.ndarray, voxel_mm: float) -> np.ndarray:
    """The share of a voxel that lies inside a surface at signed ``distance`` mm (negative inside)."""
    return np.clip(0.5 - distance / voxel_mm, 0, 1)


def blend(hu: np.ndarray, share: np.ndarray, value: np.ndarray | float) -> None:
    """Replaces the given share of every voxel by ``value``, in place."""
    hu += share * (value - hu)
