"""Where the body or the head is in a scan without lungs, found on coarse voxels."""

from __future__ import annotations

import numpy as np

from .coarse import lateral_axes
from .morphology import bounding_slices, closed, dilated, eroded, face_voxels, largest_component, without_holes
from .volume import Volume

SKIN_HU = -300.0
"""Between fat and air."""
TABLE_MM = 6.0
"""What is thinner than twice this hangs on the body but is not of it: tables, blankets, tubes, noise."""
FURROW_MM = 6.0
BACKGROUND_SHARE = 0.5
"""Where less than this share of the sides is background, the image is a crop without one."""
HEAD_ML = (600.0, 6500.0)
"""From the brain of a child, skull-stripped, to a head with its neck."""
LARGEST_HEAD_MM = 280.0


def find_ct_body(coarse: Volume) -> np.ndarray:
    """The body (z, y, x; bool) in a CT in Hounsfield units: the largest thing denser than air, with its gas."""
    return _solid(coarse, coarse.array > SKIN_HU)


def find_foreground(coarse: Volume) -> np.ndarray:
    """What differs from the background (z, y, x; bool), whatever the contrast; everything where there is no background.

    The background is the commonest value on the sides. Otsu's threshold (IEEE Trans. SMC 9, 62-66, 1979) on the
    distance from it separates bright from dark tissue as well, so half of it is used.
    """
    array = coarse.array
    faces = face_voxels(array.shape, lateral_axes(coarse.geometry))
    sides = array[faces]
    low, high = np.quantile(array, (0.005, 0.995))
    counts, edges = np.histogram(sides, bins=100, range=(low, high))
    commonest = int(counts.argmax())
    near = sides[(sides >= edges[commonest]) & (sides <= edges[commonest + 1])]
    distance = np.abs(array - np.float32(near.mean() if near.size else low))
    mask = distance > otsu_threshold(distance) / 2
    if mask[faces].mean() > 1 - BACKGROUND_SHARE:
        return np.ones(array.shape, bool)
    return _solid(coarse, mask)


def otsu_threshold(values: np.ndarray) -> float:
    """The threshold that parts ``values`` into two classes of least variance, the highest hundredth left out.

    >>> 10 < otsu_threshold(np.repeat([9.0, 10.0, 50.0, 51.0], 100)) < 50
    True
    """
    top = float(np.quantile(values, 0.99))
    counts, edges = np.histogram(values, bins=256, range=(float(values.min()), max(top, float(values.min()) + 1e-6)))
    centres = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)[:-1].astype(float)
    above = counts.sum() - below
    sum_below = np.cumsum(counts * centres)[:-1]
    sum_above = (counts * centres).sum() - sum_below
    between = below * above * (sum_below / np.maximum(below, 1) - sum_above / np.maximum(above, 1)) ** 2
    best = np.flatnonzero(between >= between.max() * (1 - 1e-9))
    return float(edges[1 + round(best.mean())])


def looks_like_head(mask: np.ndarray, coarse: Volume) -> bool:
    """Whether what was found is as small as a head or a brain and has background around it."""
    if mask.all() or coarse.geometry.is_2d:
        return False
    spacing = coarse.geometry.spacing
    sizes = [(part.stop - part.start) * s for part, s in zip(bounding_slices(mask), reversed(spacing), strict=True)]
    volume_ml = mask.sum() * coarse.geometry.voxel_volume_mm3 / 1000.0
    return HEAD_ML[0] <= volume_ml <= HEAD_ML[1] and max(sizes) <= LARGEST_HEAD_MM


def _solid(coarse: Volume, mask: np.ndarray) -> np.ndarray:
    """The largest part of ``mask`` without what hangs on it, its furrows and holes filled."""
    spacing = coarse.geometry.spacing
    core = largest_component(eroded(mask, TABLE_MM, spacing))
    body = dilated(core, TABLE_MM, spacing) & mask if core.any() else largest_component(mask)
    return without_holes(closed(body, FURROW_MM, spacing), lateral_axes(coarse.geometry))
