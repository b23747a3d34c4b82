"""Two scans brought to the same sharpness: the one of thin slices is blurred as the thick slices of the other are."""

from __future__ import annotations

import numpy as np

from ..images.geometry import Geometry

PROFILE_SIGMA = 0.425
"""Standard deviation, in voxels, of the profile of a slice: the Gaussian that is half as high at the slice's faces."""


def missing_blur(own: Geometry, other: Geometry) -> tuple[float, float, float]:
    """Standard deviations (mm) along the x, y and z axis of ``own`` of the blur that makes an image of ``own`` voxels
    as soft as one of ``other`` voxels; 0 along an axis where it is as soft already.

    >>> from DeepRegLib.images.geometry import Geometry
    >>> thin = Geometry((64, 64, 40), (1.0, 1.0, 2.5))
    >>> thick = Geometry((64, 64, 20), (1.0, 1.0, 5.0))
    >>> [round(sigma, 2) for sigma in missing_blur(thin, thick)]
    [0.0, 0.0, 1.84]
    """
    turned = np.array(other.spacing)[:, None] * (other.axes.T @ own.axes)
    more = (turned**2).sum(0) - np.array(own.spacing) ** 2
    x, y, z = PROFILE_SIGMA * np.sqrt(np.clip(more, 0, None))
    return float(x), float(y), float(z)
