"""A region on another grid."""

from __future__ import annotations

import numpy as np

from ..images.geometry import Geometry
from ..images.volume import Volume


def region_on(region: Volume, geometry: Geometry) -> np.ndarray:
    """Where the boolean ``region`` is true at the voxels of ``geometry``, (z, y, x) bool, by nearest neighbour; false
    where the region's own grid ends.

    >>> inside = Volume(np.array([[[False, True, True]]]), Geometry((3, 1, 1)))
    >>> region_on(inside, Geometry((5, 1, 1), (0.5, 1.0, 1.0))).ravel().tolist()
    [False, True, True, True, True]
    """
    if region.geometry.matches(geometry):
        return region.array.astype(bool)
    import SimpleITK as sitk

    nearest = sitk.ResampleImageFilter()
    nearest.SetSize(geometry.size)
    nearest.SetOutputSpacing(geometry.spacing)
    nearest.SetOutputOrigin(geometry.origin)
    nearest.SetOutputDirection(geometry.direction)
    nearest.SetInterpolator(sitk.sitkNearestNeighbor)
    mask = Volume(region.array.astype(bool), region.geometry).to_sitk()
    return sitk.GetArrayFromImage(nearest.Execute(mask)).astype(bool)
