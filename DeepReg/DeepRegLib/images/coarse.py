"""A scan on coarse voxels and back: enough to see where lungs, body or head are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .geometry import Geometry
from .morphology import bounding_slices
from .volume import Volume

SAMPLES_PER_AXIS = 2
"""Voxels of a block that are averaged along each axis. Eight of them take the noise down to a third; reading the rest
of a fine scan would only cost time."""

SAME_AXES_TOLERANCE = 1e-4
"""Directions that differ less than this move nothing by more than a twentieth of a mm within a patient."""


def averaged(volume: Volume, spacing_mm: float) -> Volume:
    """``volume`` on blocks of whole voxels of about ``spacing_mm`` (never finer than its own voxels), float32.

    The grid keeps its axes; a block that reaches beyond the last voxel repeats it. Booleans become the share of voxels
    that are true. Works slice by slice: the memory needed is that of the result.

    >>> fine = Volume(np.arange(8, dtype=np.int16).reshape(1, 1, 8), Geometry((8, 1, 1)))
    >>> coarse = averaged(fine, 2.0)
    >>> coarse.array.ravel().tolist(), coarse.geometry.spacing[0], coarse.geometry.origin[0]
    ([0.5, 2.5, 4.5, 6.5], 2.0, 0.5)
    """
    geometry = volume.geometry
    factor = [max(1, round(spacing_mm / s)) for s in geometry.spacing]
    factor = [min(f, n) for f, n in zip(factor, geometry.size, strict=True)]
    blocks = [-(-n // f) for n, f in zip(geometry.size, factor, strict=True)]
    out = np.empty(blocks[::-1], np.float32)
    last = geometry.size[2] - 1
    for k in range(blocks[2]):
        slices = [volume.array[min(k * factor[2] + offset, last)] for offset in _offsets(factor[2])]
        rows = _mean([_every(part, factor[1], offset) for part in slices for offset in _offsets(factor[1])])
        out[k] = _mean([_every(rows.T, factor[0], offset) for offset in _offsets(factor[0])]).T
    return Volume(out, _blocks_geometry(geometry, factor, blocks), volume.name)


def lateral_axes(geometry: Geometry) -> tuple[int, ...]:
    """The two axes of the array (0 is z) that do not run from feet to head, whatever the orientation of the slices.

    >>> lateral_axes(Geometry((4, 5, 6)))
    (1, 2)
    """
    along = 2 - int(np.abs(geometry.axes[2]).argmax())
    return tuple(axis for axis in range(3) if axis != along)


def interpolated(volume: Volume, geometry: Geometry) -> np.ndarray:
    """``volume`` at the voxel centres of ``geometry``, linear, float32 (z, y, x); 0 outside its voxels.

    >>> volume = Volume(np.array([[[0.0, 1.0]]], np.float32), Geometry((2, 1, 1)))
    >>> interpolated(volume, Geometry((3, 1, 1), (0.25, 1.0, 1.0))).ravel().tolist()
    [0.0, 0.25, 0.5]
    """
    if np.abs(volume.geometry.axes - geometry.axes).max() > SAME_AXES_TOLERANCE:
        return _interpolated_by_itk(volume, geometry)
    out = np.zeros(geometry.shape, np.float32)
    if not volume.array.any():
        return out
    start = volume.geometry.to_index(np.array(geometry.origin))
    step = np.array(geometry.spacing) / volume.geometry.spacing
    # Only the part of the output that can differ from zero is touched: lungs fill a quarter of a scan.
    blocks = bounding_slices(volume.array != 0, margin=1)[::-1]
    x, y, z = (
        _Neighbours.along(start[k] + step[k] * np.arange(geometry.size[k]), volume.geometry.size[k], blocks[k])
        for k in range(3)
    )
    part = out[z.outputs, y.outputs, x.outputs]
    for k, plane in enumerate(part):
        coarse = z.low_weight[k] * volume.array[z.low[k]] + z.high_weight[k] * volume.array[z.high[k]]
        rows = coarse[:, x.low] * x.low_weight + coarse[:, x.high] * x.high_weight
        np.multiply(rows[y.low], y.low_weight[:, None], out=plane)
        plane += rows[y.high] * y.high_weight[:, None]
    return out


@dataclass(frozen=True)
class _Neighbours:
    """Which positions along one axis see anything, the voxels below and above each of them, and their weights."""

    outputs: slice
    low: np.ndarray
    high: np.ndarray
    low_weight: np.ndarray
    high_weight: np.ndarray

    @classmethod
    def along(cls, index: np.ndarray, length: int, block: slice) -> _Neighbours:
        """For increasing continuous indices into an axis of ``length`` voxels that is empty outside ``block``."""
        first, end = np.searchsorted(index, (block.start - 0.5, block.stop - 0.5))
        index = np.clip(index[first:end], 0, length - 1)
        low = np.floor(index).astype(np.intp)
        weight = (index - low).astype(np.float32)
        return cls(slice(first, end), low, np.minimum(low + 1, length - 1), 1 - weight, weight)


def _interpolated_by_itk(volume: Volume, geometry: Geometry) -> np.ndarray:
    import SimpleITK as sitk

    reference = geometry.apply_to(sitk.Image(geometry.size, sitk.sitkUInt8))
    image = sitk.Resample(volume.to_sitk(), reference, sitk.Transform(), sitk.sitkLinear, 0.0, sitk.sitkFloat32)
    return sitk.GetArrayFromImage(image)


def _blocks_geometry(geometry: Geometry, factor: list[int], blocks: list[int]) -> Geometry:
    spacing = np.array(geometry.spacing) * factor
    first = geometry.to_physical((np.array(factor) - 1) / 2)
    return Geometry((blocks[0], blocks[1], blocks[2]), tuple(spacing), tuple(first), geometry.direction)


def _offsets(factor: int) -> list[int]:
    """Which voxels of a block are averaged: symmetric about its centre, so that nothing shifts."""
    if factor <= SAMPLES_PER_AXIS:
        return list(range(factor))
    inset = factor // 4
    return [inset, factor - 1 - inset]


def _every(rows: np.ndarray, factor: int, offset: int) -> np.ndarray:
    """Rows ``offset``, ``offset + factor``, ... and the last row again for a block that ends before its own."""
    picked = rows[offset::factor]
    missing = -(-len(rows) // factor) - len(picked)
    return np.concatenate([picked, rows[-1:]]) if missing else picked


def _mean(parts: list[np.ndarray]) -> np.ndarray:
    total = parts[0].astype(np.float32)
    for part in parts[1:]:
        total += part
    total *= np.float32(1 / len(parts))
    return total
