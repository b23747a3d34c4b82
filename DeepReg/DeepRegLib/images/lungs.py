"""Where the lungs are in a CT, found on coarse voxels in about a tenth of a second.

The threshold follows the outside air of the scan rather than fixed Hounsfield numbers alone: scanners, noise that was
clipped and emphysema move both. Written for a whole chest as well as for crops in which the lung touches a side and
for scans that end in the middle of the lung.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .coarse import lateral_axes
from .morphology import (
    bounding_slices,
    closed,
    components,
    dilated,
    eroded,
    face_voxels,
    opened,
    touching,
    without_holes,
)
from .volume import Volume

AIR_BELOW_HU = -400.0
"""Halfway between lung and soft tissue: voxels below hold more air than tissue."""
OUTSIDE_AIR_HU = (-1100.0, -920.0)
"""Where the air around a patient is looked for; noise clipped at -1000 HU raises it to about -940."""
TYPICAL_OUTSIDE_AIR_HU = -1000.0
ABOVE_OUTSIDE_AIR_HU = 45.0
"""What is this little above the outside air is air rather than lung; emphysema is hardly higher."""
BRUSH_MM = 6.0
"""Outside air is where a brush of twice this width fits; it cannot pass nostrils, and seldom a lung."""
TABLE_MM = 6.0
"""What is thinner than twice this is no body: tables, blankets, arm rests."""
SKIN_MM = 3.0
"""Width of the seam in which coarse voxels mix skin and air and so look like lung."""
SMALLEST_SHARE_ABOVE_AIR = 0.25
"""Share of the inner voxels that are denser than air; half in the worst emphysema seen, next to none in bowel gas."""
VESSELS_ABOVE_HU = -870.0
"""Lungs hold vessels: a twentieth of their inner voxels is above this. Gas and foam are not."""
SMALLEST_SHARE_WITHIN_BODY = 0.65
"""Share of a lung that sees the body around it: 0.8 where a crop cut it open, 1 elsewhere."""
LARGEST_CONTACT = 0.35
"""Share of the surface that lies at the outside air or at the sides: a quarter where a crop cut the lung open."""
VESSEL_MM = 4.5
"""Vessels up to twice this width are filled, so that they count."""
MINIMUM_LUNGS_ML = 150.0
MINIMUM_LUNG_ML = 60.0
"""A second lung may be collapsed; smaller pieces are not worth keeping."""
AIRWAY_ML = (3.0, 120.0)
"""Trachea and main bronchi together."""
AIRWAY_BELOW_HU = -900.0
AIRWAY_GAP_MM = 9.0
"""How near an airway comes to the lung: the wall of a bronchus and what coarse voxels add to it."""
SMALLEST_SHARE_WALLED = 0.65
"""Share of the surroundings of an airway that is tissue: most of it; next to none around a dark piece of lung."""


@dataclass(frozen=True)
class _Scan:
    """Coarse HU (z, y, x), its voxels, the array axes that run left-right and front-back, and whether the third one
    runs to the head (1) or to the feet (-1)."""

    array: np.ndarray
    spacing: tuple[float, float, float]
    lateral_axes: tuple[int, ...]
    upwards: int

    @property
    def long_axis(self) -> int:
        """The array axis that runs between feet and head."""
        return next(axis for axis in range(3) if axis not in self.lateral_axes)

    @property
    def voxel_ml(self) -> float:
        return float(np.prod(self.spacing)) / 1000.0

    @property
    def sides(self) -> np.ndarray:
        """The faces left, right, front and back; the scan often ends within the lung above or below."""
        return face_voxels(self.array.shape, self.lateral_axes)


def find_lungs(coarse: Volume) -> np.ndarray | None:
    """The lungs (z, y, x; bool) of a CT in Hounsfield units on voxels of about 3 mm, or None where there are none.

    Vessels belong to them, and so do trachea and main bronchi, which move with them: for the solver they are landmarks.
    """
    lateral = lateral_axes(coarse.geometry)
    long_axis = next(axis for axis in range(3) if axis not in lateral)
    upwards = 1 if coarse.geometry.axes[2, 2 - long_axis] > 0 else -1
    scan = _Scan(coarse.array, coarse.geometry.spacing, lateral, upwards)
    within = _within_body(scan)
    smooth = _smoothed(scan.array)
    limit = _outside_air(smooth[scan.sides]) + ABOVE_OUTSIDE_AIR_HU
    outside = _outside(scan, (smooth < limit) & ~within) & (scan.array < limit)
    air = (scan.array < AIR_BELOW_HU) & ~dilated(outside, SKIN_MM, scan.spacing)
    cores = _lung_cores(scan, air, dilated(outside, 2 * SKIN_MM, scan.spacing), within, limit)
    if not cores.any():
        return None
    block = bounding_slices(cores, margin=int(np.ceil(3 * SKIN_MM / min(scan.spacing))))
    scan = replace(scan, array=scan.array[block])
    lungs = dilated(cores[block], 2 * SKIN_MM, scan.spacing) & air[block]
    kept = np.zeros(cores.shape, bool)
    kept[block] = _filled_lungs(scan, lungs) | _airway(scan, lungs, within[block], limit)
    return kept if kept.sum() * scan.voxel_ml >= MINIMUM_LUNGS_ML else None


def _outside_air(side: np.ndarray) -> float:
    """HU of the air around the patient: the commonest dark value on the sides of the scan."""
    low, high = OUTSIDE_AIR_HU
    counts, edges = np.histogram(side, bins=int((high - low) / 10), range=(low, high))
    return float(edges[counts.argmax()] + 5.0) if counts.any() else TYPICAL_OUTSIDE_AIR_HU


def _outside(scan: _Scan, dark: np.ndarray) -> np.ndarray:
    """What a broad brush reaches from the sides through ``dark``, and the narrow places beside it."""
    labels, _ = components(eroded(dark, BRUSH_MM, scan.spacing))
    return dilated(touching(labels, scan.sides)[labels], 2 * BRUSH_MM, scan.spacing)


def _within_body(scan: _Scan) -> np.ndarray:
    """Voxels that see the body in at least three of the directions left, right, front and back.

    Three, because a crop may cut the lung open on one side. Tables are too thin to count as body.
    """
    body = opened(scan.array >= AIR_BELOW_HU, TABLE_MM, scan.spacing)
    seen = np.zeros(body.shape, np.uint8)
    for axis in scan.lateral_axes:
        length = body.shape[axis]
        place = np.arange(length).reshape([-1 if a == axis else 1 for a in range(3)])
        none = ~body.any(axis, keepdims=True)
        first = body.argmax(axis, keepdims=True)
        last = length - 1 - np.flip(body, axis).argmax(axis, keepdims=True)
        seen += place >= np.where(none, length, first)
        seen += place <= np.where(none, -1, last)
    return seen >= 3


def _smoothed(array: np.ndarray) -> np.ndarray:
    """Mean of each voxel and its neighbours along every axis: noise must not stop the brush."""
    for axis in range(3):
        view = np.moveaxis(array, axis, 0)
        mean = view.copy()
        mean[1:-1] = (view[:-2] + view[1:-1] + view[2:]) * np.float32(1 / 3)
        array = np.moveaxis(mean, 0, axis)
    return array


def _lung_cores(
    scan: _Scan, air: np.ndarray, beside_outside: np.ndarray, within: np.ndarray, limit: float
) -> np.ndarray:
    """Those parts of ``air`` that are lung, without the thin seams that hang on them."""
    labels, counts = components(opened(air, SKIN_MM, scan.spacing))
    beside_outside = beside_outside | scan.sides
    lungs = np.zeros(air.shape, bool)
    for label in np.flatnonzero(counts * scan.voxel_ml >= MINIMUM_LUNG_ML):
        block = bounding_slices(labels == label, margin=1)
        part = labels[block] == label
        inner = eroded(part, SKIN_MM, scan.spacing)
        if (
            within[block][part].mean() >= SMALLEST_SHARE_WITHIN_BODY
            and beside_outside[block][part & ~inner].mean() <= LARGEST_CONTACT
            and _holds_tissue(scan.array[block][inner], limit)
        ):
            lungs[block] |= part
    return lungs


def _holds_tissue(inner: np.ndarray, limit: float) -> bool:
    """Whether the inner voxels of an air-filled part are those of a lung, or gas in bowel and foam."""
    return bool(
        inner.size
        and (inner > limit).mean() >= SMALLEST_SHARE_ABOVE_AIR
        and np.quantile(inner, 0.95) >= VESSELS_ABOVE_HU
    )


def _airway(scan: _Scan, lungs: np.ndarray, within: np.ndarray, limit: float) -> np.ndarray:
    """Trachea and main bronchi where they are no part of ``lungs``: tubes of air in the upper half, walled in by
    tissue, that come near both or the one lung. Stomach and bowel gas lie in the lower half."""
    labels, counts = components((scan.array < max(limit, AIRWAY_BELOW_HU)) & within & ~lungs)
    near = dilated(lungs, AIRWAY_GAP_MM, scan.spacing)
    middle = np.argwhere(lungs.any(scan.lateral_axes)).mean()
    airway = np.zeros(lungs.shape, bool)
    low, high = AIRWAY_ML
    for label in np.flatnonzero((counts * scan.voxel_ml >= low) & (counts * scan.voxel_ml <= high)):
        block = bounding_slices(labels == label, margin=3)
        tube = labels[block] == label
        height = np.argwhere(tube.any(scan.lateral_axes)).mean() + block[scan.long_axis].start
        lumen = dilated(tube, SKIN_MM, scan.spacing)
        wall = dilated(lumen, SKIN_MM, scan.spacing) & ~lumen
        if (
            (height - middle) * scan.upwards > 0
            and near[block][tube].any()
            and (scan.array[block][wall] >= AIR_BELOW_HU).mean() >= SMALLEST_SHARE_WALLED
        ):
            airway[block] |= lumen
    return airway


def _filled_lungs(scan: _Scan, lungs: np.ndarray) -> np.ndarray:
    """The one or two largest parts, each with its vessels filled on its own, so that the two do not grow together."""
    labels, counts = components(lungs)
    out = np.zeros(lungs.shape, bool)
    for label in np.argsort(counts)[::-1][:2]:
        if counts[label] * scan.voxel_ml >= MINIMUM_LUNG_ML:
            out |= closed(labels == label, VESSEL_MM, scan.spacing)
    return without_holes(out)
