"""Lattices along the axes of a grid, and their points slice by slice."""

from __future__ import annotations

import numpy as np

from ..images.geometry import Geometry


def slice_points(geometry: Geometry, z: int) -> np.ndarray:
    """Voxel centres (y, x, 3) of slice ``z``, LPS mm."""
    y, x = np.meshgrid(np.arange(geometry.size[1]), np.arange(geometry.size[0]), indexing="ij")
    return geometry.to_physical(np.stack([x, y, np.full_like(x, z)], -1))


def coarse_lattice(geometry: Geometry, spacing_mm: float, margin: int = 0) -> Geometry:
    """A lattice with at most ``spacing_mm`` between points, whose outermost points are the outermost voxel centres of
    ``geometry``, and ``margin`` more points on each side.

    >>> coarse_lattice(Geometry((11, 5, 2)), 4.0).spacing
    (3.3333333333333335, 4.0, 1.0)
    """
    intervals = np.maximum(np.ceil(geometry.extent_mm / spacing_mm - 1e-9), 1)
    single = np.array(geometry.size) == 1
    spacing = np.where(single, np.minimum(geometry.spacing, spacing_mm), geometry.extent_mm / intervals)
    origin = geometry.to_physical(-margin * spacing / np.array(geometry.spacing))
    size = np.where(single, 1, intervals + 1).astype(int) + 2 * margin
    return Geometry(tuple(size), tuple(spacing), tuple(origin), geometry.direction)
