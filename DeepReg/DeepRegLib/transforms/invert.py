"""The inverse of a displacement field: from the moving image back to the fixed one.

For every point y of the moving image the x with T(x) = y is found by Newton's method with the Jacobian matrix of the
field itself, from coarse to fine. The plain fixed point x = y - u(x) diverges where the displacement changes by more
than the distance; Newton's method converges wherever the field does not fold. Good starts make it robust: on the
coarsest lattice each y starts at the node of the fixed grid whose image T(node) is nearest, however far that is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..errors import BadInput
from ..images.geometry import Geometry
from .displacement_field import DisplacementField
from .lattice import coarse_lattice
from .linear import LinearTransform
from .mapping import field_sampler, for_each_chunk, lattice_points
from .sampling import Sampler

COARSEST_POINTS = 6000
"""Size of the coarsest lattice, where all distances between its points and the mapped nodes are looked at (3.6e7)."""
REFINEMENT = 3
"""Each lattice is this much finer than the last: two more levels cost less than one more step on the finest."""
MAXIMUM_ITERATIONS = 20
"""Newton steps at most; a smooth field takes one or two, a cell that folds none will mend."""
HALVINGS = 5
"""How often a Newton step that makes things worse is halved before its point is given up."""
SMALLEST_DETERMINANT = 0.02
"""Below this volume ratio the field all but folds and a Newton step would leap anywhere; the plain step is taken."""


@dataclass(frozen=True)
class InverseResult:
    """``field`` v with T(y + v(y)) = y; ``residual_mm``, the largest |T(y + v(y)) - y| over the points of the region;
    ``unconverged``, the share of these points that missed the tolerance."""

    field: DisplacementField
    residual_mm: float
    unconverged: float


def invert(
    field: DisplacementField,
    geometry: Geometry | None = None,
    start: LinearTransform | None = None,
    tolerance_mm: float = 0.01,
    region: np.ndarray | None = None,
) -> InverseResult:
    """The inverse of T(x) = x + u(x) as displacements on ``geometry``, usually that of the moving image (default: the
    grid of the field).

    ``start`` is the linear part of T where it is known, a pre-alignment; it is needed only for large rotations.
    ``region`` is a mask (z, y, x) on ``geometry`` of the points that count for the residual. Beyond its grid the field
    keeps its border value, so every y has an inverse, though one outside T(grid) means little.

    For a scan with fine voxels pass a coarser geometry (``geometry.with_spacing((2, 2, 2))``): the inverse of a smooth
    field is smooth. Needs some 100 MB beside the result.

    Raises :class:`~DeepRegLib.errors.BadInput` when the region does not have the shape of the grid.
    """
    geometry = geometry or field.geometry
    if region is not None and region.shape != geometry.shape:
        raise BadInput(f"The region has shape {region.shape}, the grid of the inverse {geometry.shape}.")
    forward = _ForwardMap(field)
    guess: Sampler | _NearestNode = _NearestNode(field, start or LinearTransform())
    for lattice in _coarse_lattices(geometry):
        guess = field_sampler(_solve_on(lattice, forward, guess, tolerance_mm)[0])
    inverse, residual = _solve_on(geometry, forward, guess, tolerance_mm)
    counted = residual.reshape(-1) if region is None else residual[region > 0]
    largest = float(counted.max()) if counted.size else 0.0
    share = float((counted > tolerance_mm).mean()) if counted.size else 0.0
    return InverseResult(inverse, largest, share)


def _coarse_lattices(geometry: Geometry) -> Iterator[Geometry]:
    """Lattices over the grid, from coarse to fine, that are worth solving before the grid itself."""
    spacing = _spacing_for(geometry, COARSEST_POINTS)
    while 2 * (lattice := coarse_lattice(geometry, spacing)).voxel_count < geometry.voxel_count:
        yield lattice
        spacing /= REFINEMENT


def _spacing_for(geometry: Geometry, points: int) -> float:
    """A spacing in mm at which a lattice over the grid has about that many points."""
    spacing = float(min(geometry.spacing))
    while coarse_lattice(geometry, spacing).voxel_count > points:
        spacing *= 1.1
    return spacing


def _solve_on(
    lattice: Geometry, forward: _ForwardMap, guess: Sampler | _NearestNode, tolerance_mm: float
) -> tuple[DisplacementField, np.ndarray]:
    """The inverse on one lattice and the residual (z, y, x) in mm; ``guess`` gives displacements (N, 3) at points."""
    array = np.empty((*lattice.shape, 3), np.float32)
    residual = np.empty(lattice.shape, np.float32)

    def solve(part: tuple[slice, Tensor]) -> None:
        voxels, y = part
        x, distance = _newton(forward, y, y + guess(y).T, tolerance_mm)
        array.reshape(-1, 3)[voxels] = (x - y).T.numpy()
        residual.reshape(-1)[voxels] = distance.numpy()

    for_each_chunk(solve, lattice_points(lattice))
    return DisplacementField(array, lattice), residual


def _newton(forward: _ForwardMap, y: Tensor, x: Tensor, tolerance_mm: float) -> tuple[Tensor, Tensor]:
    """Points x (3, N) with T(x) = y and the distances |T(x) - y| (N,), from the starts ``x``."""
    x = x.clone()
    residual = torch.full_like(x[0], torch.inf)
    active = torch.arange(x.shape[1])
    for _ in range(MAXIMUM_ITERATIONS):
        mapped, jacobian = forward.with_jacobian(x[:, active])
        missing = mapped - y[:, active]
        residual[active] = _length(missing)
        far = residual[active] > tolerance_mm
        active = active[far]
        if not len(active):
            break
        step = _solve3(jacobian[..., far], missing[:, far])
        stuck = _step_back_until_better(forward, y, x, residual, active, step)
        active = active[(residual[active] > tolerance_mm) & ~stuck]
    return x, residual


def _step_back_until_better(
    forward: _ForwardMap, y: Tensor, x: Tensor, residual: Tensor, active: Tensor, step: Tensor
) -> Tensor:
    """Move the ``active`` points by ``-step``, or half of it, or a quarter... until that brings T(x) nearer to y.

    Updates ``x`` and ``residual``; returns which of the active points nothing improved."""
    pending = torch.arange(len(active))
    for halving in range(HALVINGS):
        points = active[pending]
        trial = x[:, points] - step[:, pending] / 2**halving
        distance = _length(forward(trial) - y[:, points])
        better = distance < residual[points]
        x[:, points[better]] = trial[:, better]
        residual[points[better]] = distance[better]
        pending = pending[~better]
        if not len(pending):
            break
    stuck = torch.zeros(len(active), dtype=torch.bool)
    stuck[pending] = True
    return stuck


def _length(vectors: Tensor) -> Tensor:
    """Lengths (N,) of vectors (3, N); ``norm`` along the first axis takes six times as long."""
    return (vectors * vectors).sum(0).sqrt_()


class _ForwardMap:
    """T and its Jacobian matrix, from the eight corners of the cell that a point is in."""

    def __init__(self, field: DisplacementField) -> None:
        self._sampler = field_sampler(field)

    def __call__(self, points: Tensor) -> Tensor:
        return points + self._sampler(points).T

    def with_jacobian(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """T(x) (3, N) and its derivatives (3, 3, N): [k] is the derivative along LPS axis k."""
        grid, rows = self._sampler.grid, self._sampler.rows
        index = grid.to_index(points)
        base, weights = grid.cell(index)
        corner = [c.T.contiguous() for c in grid.corners(rows, base)]
        wx, wy, wz = weights.to(corner[0].dtype)
        edge = [torch.lerp(corner[k], corner[k + 1], wx) for k in (0, 2, 4, 6)]
        along_x = [corner[k + 1] - corner[k] for k in (0, 2, 4, 6)]
        face = [torch.lerp(edge[k], edge[k + 1], wy) for k in (0, 2)]
        per_voxel = torch.stack(
            [
                torch.lerp(torch.lerp(along_x[0], along_x[1], wy), torch.lerp(along_x[2], along_x[3], wy), wz),
                torch.lerp(edge[1] - edge[0], edge[3] - edge[2], wz),
                face[1] - face[0],
            ]
        )
        # Beyond the grid the displacement keeps its border value: no change across that border.
        per_voxel *= ((index >= 0) & (index <= grid.last)).to(per_voxel.dtype)[:, None]
        jacobian = torch.einsum("ak,acn->kcn", grid.matrix.to(per_voxel.dtype), per_voxel)
        jacobian += torch.eye(3, dtype=jacobian.dtype)[..., None]
        return points + torch.lerp(face[0], face[1], wz), jacobian


class _NearestNode:
    """Starts for the coarsest lattice: the fixed point whose image is nearest to y, plus what is missing to y."""

    def __init__(self, field: DisplacementField, start: LinearTransform) -> None:
        forward = _ForwardMap(field)
        # One node beyond the grid on each side stands for the space in which the border displacement goes on.
        nodes = coarse_lattice(field.geometry, _spacing_for(field.geometry, COARSEST_POINTS), margin=1)
        self._nodes = torch.cat([points for _, points in lattice_points(nodes)], 1)
        self._images = forward(self._nodes)
        self._inverse = torch.from_numpy(start.inverse().matrix)

    def __call__(self, y: Tensor) -> Tensor:
        nearest = torch.cat([torch.cdist(part.T, self._images.T).argmin(1) for part in y.split(1000, dim=1)])
        missing = y - self._images[:, nearest]
        return (self._nodes[:, nearest] + self._inverse @ missing - y).T


def _solve3(jacobian: Tensor, residual: Tensor) -> Tensor:
    """J^-1 r (3, N) for columns J (3, 3, N) by Cramer's rule; r itself where J is close to singular."""
    a, b, c = jacobian.to(residual.dtype)
    cross = torch.linalg.cross
    bc, rc, br = cross(b, c, dim=0), cross(residual, c, dim=0), cross(b, residual, dim=0)
    determinant = (a * bc).sum(0)
    regular = determinant > SMALLEST_DETERMINANT
    solution = torch.stack([(residual * bc).sum(0), (a * rc).sum(0), (a * br).sum(0)])
    return torch.where(regular, solution / torch.where(regular, determinant, 1.0), residual)
