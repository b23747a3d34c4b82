"""Thin-plate splines in space: the smoothest displacement through scattered points.

u(x) = A x + t + sum_k c_k |x - p_k|, with sum_k c_k = 0 and sum_k c_k p_k^T = 0. In three dimensions the kernel of the
bending energy is |x| (Wahba 1990, eq. 2.4.9; r^2 log r is that of the plane). This is the grid of Eppenhof et al. 2018
(Proc. SPIE 105740S, eq. 1, which prints d_k for x - p_k).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import BadLandmarks
from ..images.geometry import Geometry
from .bspline import BSplineDisplacement
from .displacement_field import DisplacementField
from .lattice import coarse_lattice, slice_points

DISTANCES_PER_CHUNK = 2_000_000
"""Point-to-node distances held at once: 16 MB each for the distances and their squares."""
LATTICE_MARGIN = 5
"""Lattice points beyond the grid when a spline is brought to it from a coarse lattice. The cubic spline is mirrored at
the edge of the lattice; that disturbs it by a factor 0.27 less with each point, 0.001 after five."""
SMALLEST_SPREAD = 1e-6
"""Points count as coinciding, or as lying in one plane, below this share of their largest extent."""


@dataclass(frozen=True)
class ThinPlateSpline:
    """``nodes`` p_k (n, 3) LPS mm, ``weights`` c_k (n, 3), ``matrix`` A (3, 3) and ``translation`` t (3,) in mm.

    >>> corners = Geometry((2, 2, 2), (10.0, 10.0, 10.0)).corners()
    >>> stretch = ThinPlateSpline.fit(corners, 0.1 * corners)
    >>> stretch.at(np.array([5.0, 20.0, 1.0])).round(6).tolist()
    [0.5, 2.0, 0.1]
    """

    nodes: np.ndarray
    weights: np.ndarray
    matrix: np.ndarray
    translation: np.ndarray

    @classmethod
    def fit(cls, points: np.ndarray, displacements: np.ndarray, smoothing: float = 0.0) -> ThinPlateSpline:
        """The spline through ``displacements`` (n, 3) in mm at ``points`` (n, 3) LPS mm.

        With ``smoothing`` (mm) above zero it passes near them instead, the more smoothly the larger. Raises
        :class:`~DeepRegLib.errors.BadLandmarks` for fewer than four points, points in one plane, and points that
        coincide.
        """
        return ThinPlateSplineNodes(points, smoothing).spline(displacements)

    def at(self, points: np.ndarray) -> np.ndarray:
        """Displacements (..., 3) in mm at LPS points (..., 3)."""
        points = np.asarray(points, dtype=float)
        flat = points.reshape(-1, 3)
        out = flat @ self.matrix.T + self.translation
        size = max(DISTANCES_PER_CHUNK // len(self.nodes), 1)
        for start in range(0, len(flat), size):
            out[start : start + size] += _distances(flat[start : start + size], self.nodes) @ self.weights
        return out.reshape(points.shape)

    def to_field(self, geometry: Geometry, lattice_spacing_mm: float | None = None) -> DisplacementField:
        """The displacements on a grid.

        With ``lattice_spacing_mm`` they are evaluated only on a lattice that coarse and brought to the grid by cubic
        splines. That is what large grids need: 512 x 512 x 400 voxels and 216 nodes are 2e10 distances. It differs most
        close to a node, where the spline bends most, by some hundredths of the weight of the node times the spacing.
        """
        if lattice_spacing_mm is None:
            array = np.stack([self.at(slice_points(geometry, z)) for z in range(geometry.size[2])])
            return DisplacementField(array.astype(np.float32), geometry)
        lattice = coarse_lattice(geometry, lattice_spacing_mm, LATTICE_MARGIN)
        return BSplineDisplacement.through(self.at(lattice.points()), lattice).to_field(geometry)


def node_grid(geometry: Geometry, count: int = 6) -> Geometry:
    """``count`` points along each axis of an image, evenly from its first to its last voxel centre."""
    spacing = np.array(geometry.spacing) * (np.array(geometry.size) - 1) / (count - 1)
    return Geometry((count,) * 3, tuple(spacing), geometry.origin, geometry.direction)


class ThinPlateSplineNodes:
    """Fixed nodes, for many sets of displacements: the system is inverted once (220 x 220 for 6 x 6 x 6 nodes).

    ``points`` (n, 3) LPS mm; ``smoothing`` and errors as for :meth:`ThinPlateSpline.fit`.
    """

    def __init__(self, points: np.ndarray, smoothing: float = 0.0) -> None:
        self.points = np.asarray(points, dtype=float).reshape(-1, 3)
        # Centred coordinates of order one keep the system well conditioned.
        self._centre = self.points.mean(0) if len(self.points) else np.zeros(3)
        self._scale = float(np.abs(self.points - self._centre).max(initial=0.0)) or 1.0
        self._inverse = self._inverted(smoothing)

    @classmethod
    def covering(cls, geometry: Geometry, count: int = 6) -> ThinPlateSplineNodes:
        """``count`` nodes along each axis of an image, evenly from its first to its last voxel centre; x runs fastest,
        as in arrays (z, y, x)."""
        return cls(node_grid(geometry, count).points().reshape(-1, 3))

    def spline(self, displacements: np.ndarray) -> ThinPlateSpline:
        """The spline with ``displacements`` (n, 3) in mm at the nodes."""
        count = len(self.points)
        displacements = np.asarray(displacements, dtype=float).reshape(-1, 3)
        if len(displacements) != count:
            raise BadLandmarks(f"There are {count} points but {len(displacements)} displacements.")
        solution = self._inverse[:, :count] @ displacements
        weights, constant, matrix = solution[:count], solution[count], solution[count + 1 :].T
        # From centred and scaled coordinates (x - m) / s back to millimetres; |x - p| scales by s.
        matrix = matrix / self._scale
        return ThinPlateSpline(self.points, weights / self._scale, matrix, constant - matrix @ self._centre)

    def _inverted(self, smoothing: float) -> np.ndarray:
        count = len(self.points)
        if count < 4:
            raise BadLandmarks(f"A thin-plate spline needs at least four points; there are {count}.")
        points = (self.points - self._centre) / self._scale
        if np.linalg.svd(points, compute_uv=False)[-1] < SMALLEST_SPREAD * np.sqrt(count):
            raise BadLandmarks("All points lie in one plane; add a point outside it.")
        distances = np.linalg.norm(points[:, None] - points, axis=-1)
        if smoothing == 0 and (distances + np.eye(count)).min() < SMALLEST_SPREAD:
            raise BadLandmarks("Two points coincide; remove one of each such pair.")
        polynomial = np.hstack([np.ones((count, 1)), points])
        system = np.zeros((count + 4, count + 4))
        # The kernel |x| is conditionally negative definite, hence the minus before the smoothing.
        system[:count, :count] = distances - smoothing / self._scale * np.eye(count)
        system[:count, count:] = polynomial
        system[count:, :count] = polynomial.T
        return np.linalg.inv(system)


def _distances(points: np.ndarray, nodes: np.ndarray) -> np.ndarray:
    """All distances (n, k), as one matrix product of centred coordinates."""
    centre = nodes.mean(0)
    points, nodes = points - centre, nodes - centre
    squares = points @ (-2 * nodes.T)
    squares += (points**2).sum(1)[:, None]
    squares += (nodes**2).sum(1)
    return np.sqrt(np.maximum(squares, 0, out=squares), out=squares)
