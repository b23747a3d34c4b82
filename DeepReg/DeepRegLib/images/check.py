"""Refuses images that cannot be registered, before any work, with the reason.

Every check looks at the voxels slice by slice and copies none of them.
"""

from __future__ import annotations

import numpy as np

from ..errors import BadInput
from .volume import Volume

FEWEST_VOXELS = 16
"""Along each axis: the coarsest level of the solver and a convolution need some voxels to compare."""
AIR_HU = -1024.0
"""The lowest Hounsfield number that scanners give to air; padding lies far below."""
FAR_BELOW_AIR_HU = 150.0
SMALLEST_FLAT_SHARE = 0.005
"""Padding is one value over a part of the image; noise reaches its lowest value in a few voxels only."""
SAMPLES_PER_AXIS = 128
"""Enough to see padding; the rest of a large scan need not be read."""


def check_pair(fixed: Volume, moving: Volume, dimensions: tuple[int, ...] = (3,)) -> None:
    """Raises :class:`~DeepRegLib.errors.BadInput` when the two images cannot be registered with each other by a method
    that takes images of ``dimensions``: see :func:`check_volume`; also when only one of them is two-dimensional."""
    check_volume(fixed, "The fixed image", dimensions)
    check_volume(moving, "The moving image", dimensions)
    if fixed.geometry.is_2d != moving.geometry.is_2d:
        flat, solid = ("fixed", "moving") if fixed.geometry.is_2d else ("moving", "fixed")
        raise BadInput(f"The {flat} image is a single slice and the {solid} one a volume; choose two of a kind.")


def check_volume(volume: Volume, role: str = "The image", dimensions: tuple[int, ...] = (3,)) -> None:
    """Raises :class:`~DeepRegLib.errors.BadInput` when an image has the wrong dimension, fewer than 16 voxels along an
    axis, NaN or infinite voxels, or the same value everywhere. ``role`` begins the sentence."""
    label = f"{role} '{volume.name}'" if volume.name else role
    geometry = volume.geometry
    if (2 if geometry.is_2d else 3) not in dimensions:
        if geometry.is_2d:
            raise BadInput(f"{label} is a single slice; this method registers volumes only.")
        raise BadInput(f"{label} is a volume; this method registers single slices only.")
    size = geometry.size[:2] if geometry.is_2d else geometry.size
    if min(size) < FEWEST_VOXELS:
        raise BadInput(
            f"{label} has only {' x '.join(map(str, size))} voxels; "
            f"at least {FEWEST_VOXELS} along each axis are needed."
        )
    _check_values(volume.array, label)


def padding_value(volume: Volume) -> float | None:
    """The value with which a CT scanner filled what it did not see (-2000 or -3024, say), or None.

    >>> from .geometry import Geometry
    >>> voxels = np.zeros((16, 16, 16), np.int16)
    >>> voxels[:, :2] = -2000
    >>> padding_value(Volume(voxels, Geometry((16, 16, 16))))
    -2000.0
    """
    steps = tuple(slice(None, None, max(1, n // SAMPLES_PER_AXIS)) for n in volume.array.shape)
    sample = volume.array[steps]
    lowest = sample.min()
    if lowest >= AIR_HU - FAR_BELOW_AIR_HU or sample.max() <= lowest:
        return None
    return float(lowest) if np.mean(sample == lowest) >= SMALLEST_FLAT_SHARE else None


def _check_values(array: np.ndarray, label: str) -> None:
    first = array.flat[0]
    constant = True
    for part in array:
        low, high = part.min(), part.max()
        # The minimum of a slice with NaN is NaN, and an infinity is its minimum or maximum: no mask of the voxels.
        if not (np.isfinite(low) and np.isfinite(high)):
            what = "voxels without a number (NaN)" if np.isnan(low) else "infinite voxels"
            raise BadInput(f"{label} has {what}; repair it, for instance by replacing them with the background value.")
        constant = constant and bool(low == first and high == first)
        if not constant and array.dtype.kind != "f":
            return
    if constant:
        raise BadInput(f"{label} has the same value {first} everywhere; there is nothing to register.")
