"""One level of the solver: masked Lucas-Kanade with local normal equations and certainty-weighted smoothing.

B. D. Lucas and T. Kanade, IJCAI 1981, 674; the smoothing is normalised convolution (H. Knutsson and C.-F. Westin,
CVPR 1993, 515): inside the region the field is smoothed from inside only, so that the lungs may slide along the ribs,
and outside it is extrapolated. Why each choice is as it is was measured; see ``ARCHITECTURE.md``.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from .frame_grid import FrameGrid
from .frame_sampling import sample_frame
from .lattice import Lattice
from .level_images import LevelImages
from .problem import Problem
from .separable import Operator, apply
from .settings import Level, Settings

CERTAINTY_FLOOR = 1e-3
"""Weight of a place that sees nothing: it takes the field of its surroundings."""
SIGMA_UNIT = 1.5
"""Windows and smoothing are given in lattice spacings divided by this."""


def solve_level(
    problem: Problem,
    settings: Settings,
    level: Level,
    images: LevelImages,
    start: Lattice,
    step_done: Callable[[], None] = lambda: None,
) -> Lattice:
    """Up to ``level.updates`` updates of the field; ``step_done`` is called after each and may raise to stop."""
    device, spacing = problem.device, level.spacing
    lattice_grid = problem.box.covering(spacing * settings.lattice)
    unit = lattice_grid.spacing[0] / SIGMA_UNIT
    to_lattice = images.grid.averages_to(lattice_grid, settings.window * unit, device)
    to_samples = lattice_grid.bspline_to(images.grid, device)
    smooth = lattice_grid.blur(level.smoothing * unit, device)
    certainty = apply(to_lattice, images.weights[0]) + CERTAINTY_FLOOR
    smoothed_certainty = apply(smooth, certainty)
    to_moving = torch.linalg.inv(torch.as_tensor(problem.affine[0], dtype=torch.float32, device=device))
    gradients = images.fixed_gradients(to_moving)

    u = start.moved_to(lattice_grid).coefficients
    matrix: torch.Tensor | None = None
    for _ in range(level.updates):
        warped, inside = images.pulled(images.base + apply(to_samples, u))
        residual = images.fixed - warped
        weights = images.weights * inside
        if matrix is None:  # the gradient is that of the fixed image alone: once a level is enough
            matrix = _normal_matrix(gradients, weights, to_lattice)
        vector = _normal_vector(gradients, residual, weights, images.robust, to_lattice)
        damping = settings.damping * 3 * float((matrix[0] + matrix[3] + matrix[5]).mean()) + 1e-6
        update = _limited(_solve_3x3(matrix, vector, damping), settings.step_limit * spacing)
        total = _composed(u, update, lattice_grid, to_moving) if settings.compose else u + update
        before, u = u, apply(smooth, total.mul_(certainty)).div_(smoothed_certainty)
        step_done()
        if _mean_change(u, before, certainty) < level.smallest_step * spacing:
            break
    return Lattice(u, lattice_grid)


def _mean_change(u: torch.Tensor, before: torch.Tensor, certainty: torch.Tensor) -> float:
    """Mean absolute change of a component, mm, weighted with the certainty."""
    return float((u - before).abs_().mul_(certainty).mean() / certainty.mean())


def _normal_matrix(gradients: list[torch.Tensor], weights: torch.Tensor, to_lattice: Operator) -> torch.Tensor:
    """Window averages of w g g^T, (6, z, y, x): xx, xy, xz, yy, yz, zz, summed over the channels."""
    products = torch.zeros(6, *weights.shape[1:], device=weights.device)
    pairs = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))
    for g, weight in zip(gradients, weights, strict=True):
        weighted = g * weight
        for k, (i, j) in enumerate(pairs):
            products[k].addcmul_(weighted[i], g[j])
    return apply(to_lattice, products)


def _normal_vector(
    gradients: list[torch.Tensor],
    residual: torch.Tensor,
    weights: torch.Tensor,
    robust: tuple[float, ...],
    to_lattice: Operator,
) -> torch.Tensor:
    """Window averages of w rho(r) r g, (3, z, y, x), summed over the channels."""
    total = torch.zeros_like(gradients[0])
    for g, r, weight, scale in zip(gradients, residual, weights, robust, strict=True):
        total.addcmul_(g, r * weight / (r * (1 / scale)).square_().add_(1))
    return apply(to_lattice, total)


def _solve_3x3(matrix: torch.Tensor, vector: torch.Tensor, damping: float) -> torch.Tensor:
    """(A + damping I)^-1 b in every place, by the adjugate: (6, ...), (3, ...) -> (3, ...)."""
    xx, xy, xz, yy, yz, zz = matrix
    xx, yy, zz = xx + damping, yy + damping, zz + damping
    a, b, c = yy * zz - yz * yz, xz * yz - xy * zz, xy * yz - xz * yy
    d, e, f = xx * zz - xz * xz, xy * xz - xx * yz, xx * yy - xy * xy
    determinant = xx * a + xy * b + xz * c
    x, y, z = vector
    return torch.stack([a * x + b * y + c * z, b * x + d * y + e * z, c * x + e * y + f * z]).div_(determinant)


def _limited(update: torch.Tensor, longest: float) -> torch.Tensor:
    length = (update * update).sum(0, keepdim=True).sqrt_()
    return update.mul_(longest / length.clamp_min_(longest))


def _composed(u: torch.Tensor, update: torch.Tensor, grid: FrameGrid, to_fixed: torch.Tensor) -> torch.Tensor:
    """u o (id + v) + update with v, the update seen in the fixed frame: steps of a diffeomorphism do not fold."""
    points = grid.points(u.device) + torch.einsum("ij,jzyx->izyx", to_fixed, update)
    return sample_frame(u, grid, points).add_(update)
