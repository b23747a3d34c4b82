"""Rigid and affine maps of LPS points."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ..errors import BadInput
from ..images.geometry import Geometry
from .displacement_field import DisplacementField


@dataclass(frozen=True)
class LinearTransform:
    """y = M x + t with ``matrix`` M (3, 3) and ``translation`` t (3,), LPS mm; maps fixed to moving points.

    >>> shift = LinearTransform(translation=[0, 0, 5])
    >>> shift.map_points([1, 2, 3]).tolist()
    [1.0, 2.0, 8.0]
    """

    matrix: np.ndarray = field(default_factory=lambda: np.eye(3))
    translation: np.ndarray = field(default_factory=lambda: np.zeros(3))

    def __post_init__(self) -> None:
        object.__setattr__(self, "matrix", np.asarray(self.matrix, dtype=float).reshape(3, 3))
        object.__setattr__(self, "translation", np.asarray(self.translation, dtype=float).reshape(3))
        if not (np.isfinite(self.matrix).all() and np.isfinite(self.translation).all()):
            raise BadInput("The linear transform holds values that are not numbers.")
        if abs(np.linalg.det(self.matrix)) < 1e-9:
            raise BadInput("The linear transform is singular.")

    def map_points(self, points: np.ndarray) -> np.ndarray:
        """LPS points (..., 3) of the fixed image to the moving image."""
        return np.asarray(points, dtype=float) @ self.matrix.T + self.translation

    def inverse(self) -> LinearTransform:
        inverse = np.linalg.inv(self.matrix)
        return LinearTransform(inverse, -inverse @ self.translation)

    def after(self, first: LinearTransform) -> LinearTransform:
        """The map that applies ``first`` and then this one."""
        return LinearTransform(self.matrix @ first.matrix, self.matrix @ first.translation + self.translation)

    def to_field(self, geometry: Geometry) -> DisplacementField:
        """The same map as displacements on a grid."""
        points = geometry.points()
        return DisplacementField((self.map_points(points) - points).astype(np.float32), geometry)
