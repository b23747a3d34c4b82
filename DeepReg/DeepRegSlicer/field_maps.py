"""What a displacement field does from place to place: how far it moves, how much it stretches, where it folds."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from DeepRegLib.evidence.jacobian import jacobian_determinant
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.transforms.displacement_field import DisplacementField
from DeepRegLib.transforms.lattice import slice_points
from DeepRegLib.transforms.linear import LinearTransform

from .pacing import paced_steps
from .steps import Steps

SAMPLES_PER_AXIS = 64
"""The end of a scale is looked for on no more voxels than this along each axis."""
SCALE_PERCENTILE = 99.5
"""A few voxels may lie beyond the end of a scale."""
SMALLEST_SCALE = 1.0
"""A scale of less than a millimetre would make noise look like motion."""
ROUND_ENDS = {1.0: 6, 1.5: 4, 2.0: 5, 2.5: 6, 3.0: 4, 4.0: 5, 5.0: 6, 6.0: 4, 8.0: 5, 10.0: 6}
"""Numbers that read well at the end of a scale, times a power of ten, and how many labels make round steps there."""


def rigid_shift_mm(rigid: LinearTransform, geometry: Geometry) -> float:
    """How far the rigid motion takes the centre of the image."""
    return float(np.linalg.norm(rigid.map_points(geometry.centre) - geometry.centre))


def displacement_in_steps(field: DisplacementField, rigid: LinearTransform) -> Steps[np.ndarray]:
    """Length of R^-1(T(x)) - x in mm, (z, y, x) float32: how far each point moves beside the rigid motion R."""
    out = np.empty(field.geometry.shape, np.float32)
    back = rigid.inverse()

    def measure(start: int, stop: int) -> None:
        for z in range(start, stop):
            points = slice_points(field.geometry, z)
            out[z] = np.linalg.norm(back.map_points(points + field.array[z]) - points, axis=-1)

    yield from paced_steps(measure, len(out), 1)
    return out


def determinant_in_steps(field: DisplacementField) -> Steps[np.ndarray]:
    """det(dT/dx) as :func:`~DeepRegLib.evidence.jacobian.jacobian_determinant` gives it, some slices in a step."""
    depth = field.geometry.shape[0]
    out = np.empty(field.geometry.shape, np.float32)

    def measure(start: int, stop: int) -> None:
        low, high = max(start - 1, 0), min(stop + 1, depth)  # one slice more on both sides for the differences
        size = (*field.geometry.size[:2], high - low)
        slab = DisplacementField(field.array[low:high], replace(field.geometry, size=size))
        out[start:stop] = jacobian_determinant(slab)[start - low : stop - low]

    yield from paced_steps(measure, depth, 1)
    return out


@dataclass(frozen=True)
class Folding:
    """Voxels of the field's grid where det(dT/dx) <= 0: ``mask`` (z, y, x), their number inside the region, and the
    share of the region in percent."""

    mask: np.ndarray
    voxels: int
    percent: float


def folding_of(determinant: np.ndarray, region: np.ndarray | None) -> Folding:
    """Count the folded voxels in the region (z, y, x, bool), or everywhere without one."""
    mask = determinant <= 0
    counted = mask if region is None else mask & region
    total = mask.size if region is None else int(region.sum())
    voxels = int(counted.sum())
    return Folding(mask, voxels, 100 * voxels / max(total, 1))


def largest_on_scale(values: np.ndarray) -> float:
    """A round number that few of the values exceed: where a colour scale that starts at 0 ends.

    >>> largest_on_scale(np.array([0.0, 3.1, 17.3]))
    20.0
    """
    sparse = values[tuple(slice(None, None, max(1, n // SAMPLES_PER_AXIS)) for n in values.shape)]
    wanted = max(float(np.percentile(sparse, SCALE_PERCENTILE)), SMALLEST_SCALE)
    decade = 10.0 ** np.floor(np.log10(wanted))
    return float(next(decade * end for end in ROUND_ENDS if decade * end >= wanted * (1 - 1e-6)))


def labels_on_scale(largest: float) -> int:
    """How many labels a scale from 0 to a number of :func:`largest_on_scale` gets.

    >>> labels_on_scale(20.0), labels_on_scale(15.0)
    (5, 4)
    """
    decade = 10.0 ** np.floor(np.log10(largest) + 1e-9)
    return ROUND_ENDS[min(ROUND_ENDS, key=lambda end: abs(end - largest / decade))]
