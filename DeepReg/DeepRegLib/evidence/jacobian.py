"""How much the map stretches space from place to place: the Jacobian determinant of T(x) = x + u(x)."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from ..images.volume import Volume
from ..transforms.displacement_field import DisplacementField
from .region_grid import region_on

VOXELS_PER_SLAB = 100_000
"""Voxels that are worked on at once: their nine derivatives then stay in the processor's cache."""


def jacobian_determinant(field: DisplacementField) -> np.ndarray:
    """det(dT/dx) of T(x) = x + u(x) at every voxel of the field's grid, (z, y, x) float32.

    1 keeps the volume, 2 doubles it (the tissue takes twice the room in the moving image), 0 or less is a fold.
    Derivatives are central differences in physical space, one-sided at the border (those of ``numpy.gradient``); an
    axis of one voxel does not stretch. Works slab by slab: beside the result only a few MB are needed.

    With D S the matrix whose columns are the steps from voxel to voxel (direction times spacing), the step of T along
    grid axis k is (D S)_k + du/dk, and det(dT/dx) = det[D S + du/di] / det(D S): no axis needs to be aligned.
    """
    steps = field.geometry.axes * np.array(field.geometry.spacing)
    scale = np.float32(1 / np.linalg.det(steps))
    depth, rows, columns = field.geometry.shape
    out = np.empty(field.geometry.shape, np.float32)
    thickness = max(1, VOXELS_PER_SLAB // (rows * columns))
    for start in range(0, depth, thickness):
        stop = min(start + thickness, depth)
        low, high = max(start - 1, 0), min(stop + 1, depth)  # one slice more on both sides for the differences
        u = np.ascontiguousarray(np.moveaxis(field.array[low:high], -1, 0), dtype=np.float32)
        inside = slice(start - low, stop - low)
        a, b, c = (_steps_along(u, k, inside, steps[:, k]) for k in range(3))
        out[start:stop] = _triple_product(a, b, c) * scale
    return out


def _steps_along(u: np.ndarray, axis: int, inside: slice, step: np.ndarray) -> np.ndarray:
    """What T moves by from one voxel to the next along grid axis x, y or z (0, 1, 2), (3, z, y, x)."""
    array_axis = 3 - axis
    if axis != 2:
        u = u[:, inside]
    n = u.shape[array_axis]
    if n == 1:
        d = np.zeros_like(u)
    else:
        d = np.empty_like(u)
        before, middle, after = (_along(array_axis, s) for s in (slice(None, -2), slice(1, -1), slice(2, None)))
        np.subtract(u[after], u[before], out=d[middle])
        d[middle] *= np.float32(0.5)
        for edge, upper, lower in ((0, 1, 0), (n - 1, n - 1, n - 2)):
            d[_along(array_axis, edge)] = u[_along(array_axis, upper)] - u[_along(array_axis, lower)]
    if axis == 2:
        d = d[:, inside]
    d += step.astype(np.float32).reshape(3, 1, 1, 1)
    return d


def _along(axis: int, part: slice | int) -> tuple[slice | int, ...]:
    return (*(slice(None),) * axis, part)


def _triple_product(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """a . (b x c), the determinant of the matrix with these columns."""
    out = a[0] * (b[1] * c[2] - b[2] * c[1])
    out += a[1] * (b[2] * c[0] - b[0] * c[2])
    out += a[2] * (b[0] * c[1] - b[1] * c[0])
    return out


@dataclass(frozen=True)
class JacobianStatistics:
    """The Jacobian determinant in a region: ``folding_percent`` of the voxels have det <= 0; ``sd_log`` is the standard
    deviation of log(det) over the voxels that do not fold (the smoothness measure of the Learn2Reg challenges, without
    their clipping)."""

    folding_percent: float
    min: float
    p1: float
    p99: float
    max: float
    sd_log: float

    def as_dict(self) -> dict[str, float]:
        """The same numbers by name, ready for JSON."""
        return asdict(self)


def jacobian_statistics(field: DisplacementField, region: Volume | None = None) -> JacobianStatistics:
    """Statistics of the determinant of ``field``, the total map, inside ``region`` (True where it counts; any grid that
    overlaps the field's), or everywhere without one or when it holds no voxel of the field.

    >>> from DeepRegLib.images.geometry import Geometry
    >>> jacobian_statistics(DisplacementField.zero(Geometry((4, 4, 4)))).folding_percent
    0.0
    """
    determinant = jacobian_determinant(field)
    mask = None if region is None else region_on(region, field.geometry)
    inside = determinant[mask] if mask is not None and mask.any() else determinant.ravel()
    low, p1, p99, high = np.percentile(inside, [0, 1, 99, 100])
    upright = inside[inside > 0]
    return JacobianStatistics(
        folding_percent=float(100 * (1 - upright.size / inside.size)),
        min=float(low),
        p1=float(p1),
        p99=float(p99),
        max=float(high),
        sd_log=float(np.log(upright, dtype=np.float64).std()) if upright.size else 0.0,
    )
