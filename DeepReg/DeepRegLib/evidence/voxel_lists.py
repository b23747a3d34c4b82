"""Lists of voxels as DIR-Lab writes them, and where those voxels lie in an image.

The lists count voxels from 1 along x, y and z, and their slice 1 is the most superior one: over all ten 4DCT cases the
points move towards slice 1 when the patient breathes out, most near the diaphragm, and exhaling moves the lungs up.
An image that was made from the same raw file may hold its slices in either order.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from ..errors import BadLandmarks
from ..images.geometry import Geometry
from ..images.volume import Volume

SliceOrder = Literal["superior-first", "as-stored"]
"""Where slice 1 lies: at the superior end by the image's geometry, or at the first slice of its array."""
REACH_MM = 5.0
"""The neighbourhood of a landmark whose darkest voxel tells lung from other tissue; vessels are thinner."""
CLEARLY_DARKER = 0.02
"""Of the range of grey values; on eight real chest scans and a phantom the wrong order was brighter by 0.05 to 0.11."""
RANGE_PERCENT = (1, 99)
SAMPLES_PER_AXIS = 64
AXIAL = 0.7
"""Superior component of the slice axis; below (45 degrees and more) a scan has no superior slice."""


def voxel_points(indices: np.ndarray, geometry: Geometry, order: SliceOrder = "superior-first") -> np.ndarray:
    """LPS mm (n, 3) of voxels (n, 3) that are counted from 1 in x, y, z order.

    >>> voxel_points(np.array([[1, 2, 1]]), Geometry((4, 4, 10), (1.0, 1.0, 2.5))).tolist()
    [[0.0, 1.0, 22.5]]
    """
    stored = np.asarray(indices, dtype=float) - 1
    if order == "superior-first" and _first_slice_is_inferior(geometry):
        stored[:, 2] = geometry.size[2] - 1 - stored[:, 2]
    return geometry.to_physical(stored)


def check_voxels(indices: np.ndarray, geometry: Geometry, name: str) -> None:
    """Raises :class:`~DeepRegLib.errors.BadLandmarks` when a voxel is not one of the image; ``name`` is the file's."""
    outside = ((indices < 1) | (indices > np.array(geometry.size))).any(1)
    if not outside.any():
        return
    row = int(np.argmax(outside))
    size = " x ".join(map(str, geometry.size))
    raise BadLandmarks(
        f"Row {row + 1} of the landmark file '{name}' is voxel {', '.join(map(str, indices[row].tolist()))}; "
        f"the image has {size} voxels, counted from 1.",
        "Check that the list belongs to this case.",
    )


def slice_order(indices: np.ndarray, image: Volume) -> SliceOrder:
    """Which order of slices puts the voxels (n, 3), counted from 1, into the lungs of a CT.

    It is that of the geometry unless the other one finds clearly darker places: raw scans that got a header without
    turning the slices over are upside down by their geometry.

    Raises :class:`~DeepRegLib.errors.BadLandmarks` for an image whose slices are not axial.
    """
    if abs(image.geometry.axes[2, 2]) < AXIAL:
        raise BadLandmarks(
            "Lists of voxels belong to images with axial slices.", "Give the landmarks in millimetres instead."
        )
    sample = image.array[tuple(slice(None, None, max(1, n // SAMPLES_PER_AXIS)) for n in image.array.shape)]
    low, high = np.percentile(sample, RANGE_PERCENT)
    by_geometry, as_stored = (_darkness(indices, image, order) for order in ("superior-first", "as-stored"))
    return "as-stored" if by_geometry - as_stored > CLEARLY_DARKER * (high - low) else "superior-first"


def _darkness(indices: np.ndarray, image: Volume, order: SliceOrder) -> float:
    """Mean over the points of the darkest grey value nearby."""
    geometry = image.geometry
    reach = np.maximum(np.rint(REACH_MM / np.array(geometry.spacing)), 1).astype(int)
    around = np.stack(np.meshgrid(*(np.arange(-r, r + 1) for r in reach), indexing="ij"), -1).reshape(-1, 3)
    centres = np.rint(geometry.to_index(voxel_points(indices, geometry, order))).astype(int)
    voxels = np.clip(centres[:, None] + around, 0, np.array(geometry.size) - 1)
    return float(image.array[voxels[..., 2], voxels[..., 1], voxels[..., 0]].min(1).mean())


def _first_slice_is_inferior(geometry: Geometry) -> bool:
    return bool(geometry.axes[2, 2] > 0)
