"""The moving image as the fixed one sees it, and points of the fixed image in the moving one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ..images.geometry import Geometry
from ..images.volume import Volume
from .mapping import LatticeMap, Transform, for_each_chunk, in_order, lattice_points
from .sampling import Interpolation, Sampler, as_tensor

AIR_HU = -1024.0
"""Lowest value of air in CT; what lies below (-2000 and less outside the bore) is padding, not tissue."""


def warp_volume(
    volume: Volume,
    transform: Transform | Sequence[Transform],
    geometry: Geometry,
    interpolation: Interpolation = "linear",
    outside: float | None = None,
) -> Volume:
    """The moving ``volume`` pulled onto ``geometry``: the voxel at x gets the value at T(x).

    ``transform`` is one transform or several, of which the first is applied first: ``(field, linear)`` is
    T(x) = A(x + u(x)). A field may be coarser than ``geometry``. Label maps want ``"nearest"``. Voxels whose T(x) lies
    more than half a voxel outside the moving image get ``outside``; by default its lowest value, but at least
    ``AIR_HU``. Integer types are kept, rounded to the nearest.

    Works chunk by chunk: beside the two volumes and the field it needs less than 100 MB at any size.
    """
    if outside is None:
        outside = max(float(volume.array.min()), AIR_HU)
    kind = volume.array.dtype
    if kind.kind in "iu":
        outside = float(np.clip(outside, np.iinfo(kind).min, np.iinfo(kind).max))
    read = Sampler(as_tensor(volume.array)[None], volume.geometry, interpolation, outside)
    array = np.empty(geometry.shape, kind)
    flat = array.reshape(-1)
    mapped = LatticeMap(transform, geometry)

    def warp(part: tuple[slice, torch.Tensor]) -> None:
        voxels, points = part
        values = read(mapped(voxels, points))[:, 0]
        flat[voxels] = (torch.round(values) if kind.kind in "iub" and values.is_floating_point() else values).numpy()

    for_each_chunk(warp, lattice_points(geometry))
    return Volume(array, geometry, volume.name)


def warp_points(points: np.ndarray, transform: Transform | Sequence[Transform]) -> np.ndarray:
    """T(x) for LPS points (..., 3) of the fixed image, such as landmarks: where they are in the moving image.

    ``transform`` as in :func:`warp_volume`. Points go forward through T; nothing is inverted.
    """
    points = np.asarray(points, dtype=float)
    for step in in_order(transform):
        points = step.map_points(points)
    return points
