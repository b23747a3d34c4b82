"""The wall of the thoracic cavity of a scan: along it lungs, heart and upper abdomen slide.

In each axial slice the cavity is the convex hull of the lungs without the spine; below the lungs it goes on as in the
lowest slice. That is where ribs and sternum begin, to within some millimetres; the lungs themselves are always inside.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from scipy.spatial import ConvexHull, Delaunay, QhullError

SPINE_RADIUS_MM = 20.0
"""A vertebral body, and the costovertebral joints beside it."""
BONE_HU = 180.0
SPINE_SEARCH_MM = 26.0
"""The middle of the spine lies this near to the middle of the lungs from left to right, and to ``SPINE_BEFORE_MM``."""
SPINE_BEFORE_MM = 16.0
"""The middle of a vertebral body lies about this much before the hindmost point of the lungs."""
SPINE_BLUR_MM = (24.0, 9.0, 9.0)
"""Along z, y, x: bone is gathered over a vertebra or two."""
SMOOTHING_MM = 5.0
"""Takes the corners off the wall, so that its normal turns slowly."""
LUNG_OUTSIDE_PERCENT = 1.0
"""The smoothed wall is moved out until no more of the lungs than this is beyond it."""


def wall_distance(hu: np.ndarray, lungs: np.ndarray, spacing_mm: float) -> np.ndarray:
    """Signed distance in mm (z, y, x; float32) to the wall of the cavity, negative inside.

    ``hu`` and ``lungs`` (bool) are upright (x to the left, y to the back, z to the head) on voxels of ``spacing_mm``,
    best about 4 mm.
    """
    cavity = _hull_of_slices(lungs)
    for z in range(len(cavity) - 2, -1, -1):
        cavity[z] |= cavity[z + 1]
    cavity &= ~_spine(hu, lungs, spacing_mm)
    cavity |= lungs
    # The cavity is open below: what lies beyond the last slice counts as inside.
    open_below = np.concatenate([np.repeat(cavity[:1], int(np.ceil(80 / spacing_mm)), 0), cavity])
    outside = ndimage.distance_transform_edt(~open_below)[-len(cavity) :]
    inside = ndimage.distance_transform_edt(open_below)[-len(cavity) :]
    distance = (outside - inside + np.where(cavity, 0.5, -0.5)) * spacing_mm
    distance = ndimage.gaussian_filter(distance, SMOOTHING_MM / spacing_mm, mode="nearest")
    outermost = float(np.percentile(distance[lungs], 100 - LUNG_OUTSIDE_PERCENT))
    return (distance - max(outermost, 0.0)).astype(np.float32)


def _hull_of_slices(mask: np.ndarray) -> np.ndarray:
    """The convex hull of ``mask`` (z, y, x) in each slice."""
    hull = mask.copy()
    y, x = (grid.ravel() for grid in np.indices(mask.shape[1:]))
    for z in np.flatnonzero(mask.any((1, 2))):
        points = np.argwhere(mask[z])
        try:
            corners = points[ConvexHull(points).vertices]
        except QhullError:  # fewer than three points, or all on one line
            continue
        hull[z] |= (Delaunay(corners).find_simplex(np.stack([y, x], 1)) >= 0).reshape(mask.shape[1:])
    return hull


def _spine(hu: np.ndarray, lungs: np.ndarray, spacing_mm: float) -> np.ndarray:
    """The vertebral bodies and all that lies behind them, (z, y, x) bool."""
    slices = np.flatnonzero(lungs.any((1, 2)))
    middle = np.median(np.argwhere(lungs)[:, 2])
    bone = ndimage.gaussian_filter((hu > BONE_HU).astype(np.float32), np.array(SPINE_BLUR_MM) / spacing_mm)
    y, x = np.indices(hu.shape[1:])
    reach = SPINE_SEARCH_MM / spacing_mm
    found = []
    for z in slices:
        near = lungs[max(z - 2, 0) : z + 3].any((0, 2))
        back = np.flatnonzero(near)[-1] - SPINE_BEFORE_MM / spacing_mm
        place = bone[z] * ((abs(x - middle) < reach) & (abs(y - back) < reach))
        found.append(np.unravel_index(place.argmax(), place.shape) if place.any() else (back, middle))
    # A smooth curve through the middles; beyond the lungs it stays where it ended.
    smooth = ndimage.gaussian_filter1d(
        ndimage.median_filter(np.array(found, float), (9, 1)), 6.0, axis=0, mode="nearest"
    )
    out = np.zeros(hu.shape, bool)
    for level, out_slice in enumerate(out):
        centre_y, centre_x = smooth[min(np.searchsorted(slices, level), len(slices) - 1)]
        beside = np.minimum(y - centre_y, 0)  # behind the middle the disc goes on as a strip
        out_slice[:] = np.hypot(beside, x - centre_x) * spacing_mm < SPINE_RADIUS_MM
    return out
