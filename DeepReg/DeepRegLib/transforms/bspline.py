"""Cubic B-spline displacements on a grid of control points.

On a lattice whose axes run along those of the control grid, evaluation is three products with small matrices,
U = P_z C P_y^T P_x^T, and so are interpolation and least squares (with the inverse and the pseudo-inverse of the same
matrices).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import BadInput
from ..images.geometry import Geometry
from .displacement_field import DisplacementField
from .lattice import slice_points

POINTS_PER_CHUNK = 100_000
"""Points that are evaluated at once away from a lattice; bounds the working memory to some 20 MB."""
SAME_DIRECTION = 1e-6
"""Largest difference of direction cosines of axes that count as parallel: 0.5 micrometres over half a metre."""


def cubic_bspline(distance: np.ndarray) -> np.ndarray:
    """The centred cubic B-spline at distances in units of the knot spacing; zero from 2 on (Unser 1999, eq. 6)."""
    t = np.abs(distance)
    near = 2 / 3 - t**2 + t**3 / 2
    far = np.clip(2 - t, 0, None) ** 3 / 6
    return np.where(t < 1, near, far)


def bspline_matrix(positions: np.ndarray, count: int) -> np.ndarray:
    """Weights (n, count) of ``count`` control values at ``positions`` (n,), in units of the control spacing from the
    first control point.

    The control values go on as in a mirror at the first and the last one (c[-1] = c[1]), also for positions beyond
    them. Every row sums to 1.

    >>> bspline_matrix(np.array([1.0]), 4).round(4).tolist()
    [[0.1667, 0.6667, 0.1667, 0.0]]
    """
    control, weights = _support(positions, count)
    matrix = np.zeros((len(weights), count))
    rows = np.arange(len(weights))
    for k in range(4):  # one at a time: near a mirror two of the four may be the same control value
        matrix[rows, control[:, k]] += weights[:, k]
    return matrix


def along_axes(array: np.ndarray, matrix_z: np.ndarray, matrix_y: np.ndarray, matrix_x: np.ndarray) -> np.ndarray:
    """Multiply three matrices (new, old) along the axes of ``array`` (z, y, x, C)."""
    array = np.einsum("ax,zyxc->zyac", matrix_x, array, optimize=True)
    array = np.einsum("by,zyac->zbac", matrix_y, array, optimize=True)
    return np.einsum("dz,zbac->dbac", matrix_z, array, optimize=True)


@dataclass(frozen=True)
class BSplineDisplacement:
    """u(x) = sum_k c_k B3(x - x_k): ``coefficients`` (z, y, x, 3) in mm along the LPS axes, at the control points
    ``geometry``. Beyond the outermost control points the displacement goes on as in a mirror.

    The field does not pass through its coefficients (the convention of ITK); :meth:`through` makes one that passes
    through given samples (the convention of scipy and gryds). The same numbers give 2.2 times larger displacements as
    samples than as coefficients.

    >>> control = Geometry((4, 4, 4), (10.0, 10.0, 10.0))
    >>> constant = BSplineDisplacement(np.full((4, 4, 4, 3), 2.0), control)
    >>> constant.at(np.array([3.0, 12.0, 30.0])).round(6).tolist()
    [2.0, 2.0, 2.0]
    """

    coefficients: np.ndarray
    geometry: Geometry

    def __post_init__(self) -> None:
        if self.coefficients.shape != (*self.geometry.shape, 3):
            raise BadInput(f"The coefficients have shape {self.coefficients.shape}, the grid {self.geometry.shape}.")

    @classmethod
    def through(cls, samples: np.ndarray, geometry: Geometry) -> BSplineDisplacement:
        """The spline that takes the values ``samples`` (z, y, x, 3) in mm at the control points themselves."""
        inverses = [np.linalg.inv(bspline_matrix(np.arange(n), n)) for n in geometry.shape]
        return cls(along_axes(np.asarray(samples, float), *inverses), geometry)

    @classmethod
    def fitted(cls, field: DisplacementField, geometry: Geometry) -> BSplineDisplacement:
        """The spline on control points ``geometry`` that is nearest to ``field`` in the sense of least squares.

        Control points that the field says nothing about get the smallest coefficients that fit. Raises
        :class:`~DeepRegLib.errors.BadInput` when the axes of the two grids are not parallel.
        """
        matrices = _lattice_matrices(geometry, field.geometry)
        if matrices is None:
            raise BadInput("A spline can be fitted only to a field whose axes are parallel to its control grid.")
        return cls(along_axes(field.array.astype(float), *map(np.linalg.pinv, matrices)), geometry)

    def at(self, points: np.ndarray) -> np.ndarray:
        """Displacements (..., 3) in mm at LPS points (..., 3)."""
        points = np.asarray(points, dtype=float)
        flat = points.reshape(-1, 3)
        out = np.empty(flat.shape)
        for start in range(0, len(flat), POINTS_PER_CHUNK):
            part = slice(start, start + POINTS_PER_CHUNK)
            out[part] = self._at_indices(self.geometry.to_index(flat[part]))
        return out.reshape(points.shape)

    def to_field(self, geometry: Geometry) -> DisplacementField:
        """The displacements on a grid: fast where its axes are parallel to those of the control grid."""
        matrices = _lattice_matrices(self.geometry, geometry)
        array = np.empty((*geometry.shape, 3), np.float32)
        if matrices is None:
            for z in range(geometry.size[2]):
                array[z] = self.at(slice_points(geometry, z))
            return DisplacementField(array, geometry)
        matrix_z, matrix_y, matrix_x = matrices
        planes = along_axes(self.coefficients, np.eye(self.geometry.size[2]), matrix_y, matrix_x)
        for z, weights in enumerate(matrix_z):
            array[z] = np.tensordot(weights, planes, axes=1)
        return DisplacementField(array, geometry)

    def _at_indices(self, index: np.ndarray) -> np.ndarray:
        (x, wx), (y, wy), (z, wz) = (_support(index[:, k], self.geometry.size[k]) for k in range(3))
        out = np.zeros((len(index), 3))
        for k in range(4):
            for j in range(4):
                plane = (wz[:, k] * wy[:, j])[:, None]
                for i in range(4):
                    out += plane * wx[:, i : i + 1] * self.coefficients[z[:, k], y[:, j], x[:, i]]
        return out


def _support(positions: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The four control values (n, 4) that count at each position, mirrored into the grid, and their weights (n, 4)."""
    positions = np.asarray(positions, dtype=float)
    control = np.floor(positions).astype(np.intp)[:, None] + np.arange(-1, 3)
    weights = cubic_bspline(positions[:, None] - control)
    period = max(2 * (count - 1), 1)
    control = np.abs(control) % period
    return np.minimum(control, period - control) if count > 1 else np.zeros_like(control), weights


def _lattice_matrices(control: Geometry, lattice: Geometry) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Weights along z, y and x of the control values on the lattice; None where the axes are not parallel."""
    if np.abs(control.axes - lattice.axes).max() > SAME_DIRECTION:
        return None
    first = control.to_index(np.array(lattice.origin))
    ratio = np.array(lattice.spacing) / np.array(control.spacing)
    x, y, z = (bspline_matrix(first[k] + ratio[k] * np.arange(lattice.size[k]), control.size[k]) for k in range(3))
    return z, y, x
