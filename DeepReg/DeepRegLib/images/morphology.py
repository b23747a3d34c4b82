"""Growing, shrinking and counting parts of boolean masks (z, y, x); quick on the coarse grids of a region.

Shifted copies of a mask are or-ed: a hundredth of the time of ITK's filters with a ball. Radii are in mm, so that
slices of any thickness behave alike; ``spacing`` is in x, y, z order, as everywhere. What lies beyond the border of the
array counts as unknown: it neither grows into the mask nor eats from it, for a scan often cuts through the organ.
"""

from __future__ import annotations

import numpy as np

Spacing = tuple[float, float, float]


def dilated(mask: np.ndarray, radius_mm: float, spacing: Spacing) -> np.ndarray:
    """``mask`` grown by about a ball of ``radius_mm``; along each axis by the nearest whole number of voxels.

    >>> dilated(np.array([[[False, False, True, False, False]]]), 1.0, (1.0, 1.0, 1.0)).astype(int).tolist()
    [[[0, 1, 1, 1, 0]]]
    """
    steps = [round(radius_mm / s) for s in reversed(spacing)]
    for step in range(max(steps)):
        axes = [axis for axis in range(3) if step < steps[axis]]
        # A cross, then a cube, then a cross: closer to a ball than either alone.
        mask = _grown_by_cross(mask, axes) if step % 2 == 0 else _grown_by_cube(mask, axes)
    return mask


def eroded(mask: np.ndarray, radius_mm: float, spacing: Spacing) -> np.ndarray:
    """``mask`` shrunk by about a ball of ``radius_mm``, but not from the border of the array."""
    return ~dilated(~mask, radius_mm, spacing)


def opened(mask: np.ndarray, radius_mm: float, spacing: Spacing) -> np.ndarray:
    """``mask`` without what is thinner than twice ``radius_mm``."""
    return dilated(eroded(mask, radius_mm, spacing), radius_mm, spacing) & mask


def closed(mask: np.ndarray, radius_mm: float, spacing: Spacing) -> np.ndarray:
    """``mask`` with gaps narrower than twice ``radius_mm`` filled."""
    return eroded(dilated(mask, radius_mm, spacing), radius_mm, spacing) | mask


def components(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Parts of ``mask`` that touch face to face: labels (0 is outside) and the number of voxels of each label."""
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(np.ascontiguousarray(mask).view(np.uint8))
    labels = sitk.GetArrayFromImage(sitk.ConnectedComponent(image))
    counts = np.bincount(labels[mask], minlength=1)
    return labels, counts


def largest_component(mask: np.ndarray) -> np.ndarray:
    """The largest part of ``mask``; an empty mask stays empty."""
    labels, counts = components(mask)
    return labels == counts.argmax() if counts.any() else mask


def touching(labels: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """For each label whether it has a voxel where ``faces`` is true."""
    found = np.zeros(int(labels.max()) + 1, bool)
    found[np.unique(labels[faces])] = True
    found[0] = False
    return found


def without_holes(mask: np.ndarray, axes: tuple[int, ...] = (0, 1, 2)) -> np.ndarray:
    """``mask`` with everything filled that no path outside the mask connects to the first or last voxels along the
    array axes ``axes``."""
    labels, _ = components(~mask)
    return ~touching(labels, face_voxels(mask.shape, axes))[labels]


def face_voxels(shape: tuple[int, ...], axes: tuple[int, ...]) -> np.ndarray:
    """True for the first and the last voxel along each array axis of ``axes``; an axis of one voxel has no faces."""
    faces = np.zeros(shape, bool)
    for axis in axes:
        view = np.moveaxis(faces, axis, 0)
        if len(view) > 1:
            view[0] = view[-1] = True
    return faces


def bounding_slices(mask: np.ndarray, margin: int = 0) -> tuple[slice, ...]:
    """The smallest block that holds ``mask`` (not empty), grown by ``margin`` voxels within the array."""
    found = []
    for axis in range(3):
        inside = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
        found.append(slice(max(int(inside[0]) - margin, 0), min(int(inside[-1]) + margin + 1, mask.shape[axis])))
    return tuple(found)


def _shifted_into(out: np.ndarray, mask: np.ndarray, axis: int) -> None:
    out, mask = np.moveaxis(out, axis, 0), np.moveaxis(mask, axis, 0)
    out[1:] |= mask[:-1]
    out[:-1] |= mask[1:]


def _grown_by_cross(mask: np.ndarray, axes: list[int]) -> np.ndarray:
    out = mask.copy()
    for axis in axes:
        _shifted_into(out, mask, axis)
    return out


def _grown_by_cube(mask: np.ndarray, axes: list[int]) -> np.ndarray:
    for axis in axes:
        out = mask.copy()
        _shifted_into(out, mask, axis)
        mask = out
    return mask
