"""Pre-alignment: the linear map from the fixed to the moving image, found in a few tenths of a second.

First an exhaustive search for the best translation (masked normalised correlation by FFT: D. Padfield, IEEE
Transactions on Image Processing 21, 2012, 2706), which does not mind a far table or a scan that shows half of the
other; then Gauss-Newton on images of 12, 8 and 5 mm for translation, rotation and at last all twelve parameters.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from ..errors import NoOverlap
from ..refinement.features import gradient
from ..refinement.frame_grid import FrameGrid, triple, whole_triple
from ..refinement.frame_sampling import sample_frame
from ..refinement.lattice import Lattice
from ..refinement.match import MatchMeter
from ..refinement.problem import Problem
from ..refinement.separable import apply
from ..refinement.settings import Settings
from ..transforms.linear import LinearTransform

SEARCH_SPACING_MM = 8.0
"""Grid of the translation search: a rib cage is still a rib cage, and two FFTs take milliseconds."""
SEARCH_MARGIN_MM = 20.0
"""Tissue around the region that takes part in the search."""
SMALLEST_OVERLAP = 0.4
"""Share of the fixed region that a translation has to bring onto the moving image to be considered."""
NEAR_REGION = 0.05
"""A sample takes part when at least this share of its blurred surroundings lies in the region."""
LEVELS_MM = (12.0, 8.0, 5.0)
UPDATES = 25
"""Gauss-Newton converges in 5 to 15 updates a level."""
SMALLEST_SHIFT_MM = 0.02
LENGTH_MM = 60.0
"""Turns the dimensionless matrix entries into millimetres at the rim of a chest, which balances the equations."""
DIFFERENT_START_MM = 15.0
"""Starts closer than this fall into the same minimum."""
MOST_SAMPLES = 120_000
LEAST_SHARED = 0.15
"""Share of the fixed region that has to lie inside the moving image after pre-alignment."""
SURELY_SAME_CONTRAST = 0.83
"""Explained share of the variance above which nobody needs to look closer; brains with a contrast that was bent or
inverted reach 0.73 by their outline alone."""
SAME_CONTRAST_CORRELATION = 0.25
"""Pre-aligned scans of one contrast correlate locally at 0.43 (breathing of 75 mm) to 0.87, of another below 0.1."""
TOO_LITTLE_SHARED = (
    "The two images show too little of the same anatomy to be aligned.",
    "Check that both scans show the same part of the body, or give masks of the organ.",
)
LARGEST_STRETCH = 2.0
"""Same anatomy is never stretched or shrunk by more than this; Gauss-Newton that gets there has lost its way."""


@dataclass(frozen=True)
class _Frame:
    """q = matrix (s - centre) + centre + shift, fixed frame to moving frame."""

    matrix: torch.Tensor
    shift: torch.Tensor
    centre: torch.Tensor

    def points(self, s: torch.Tensor) -> torch.Tensor:
        return self.matrix @ (s - self.centre[:, None]) + (self.centre + self.shift)[:, None]


def prealigned(problem: Problem, settings: Settings) -> Problem:
    """The problem with its linear map found. Where bright and dark do not correspond locally, the contrast is taken to
    be another one, and edges are aligned instead.

    Raises :class:`~DeepRegLib.errors.NoOverlap` like :func:`prealign`.
    """
    linear, explained = _aligned(problem)
    found = replace(problem, linear=linear)
    if explained >= SURELY_SAME_CONTRAST:
        return found
    judged = with_contrast_found(found, settings)
    return found if judged.contrast == "same" else replace(judged, linear=prealign(judged))


def with_contrast_found(problem: Problem, settings: Settings) -> Problem:
    """The problem, its linear map taken as it is, with another contrast noted where bright and dark do not correspond
    locally.

    Raises :class:`~DeepRegLib.errors.NoOverlap` when the images do not meet under that map.
    """
    check_overlap(problem)
    if _local_correlation(problem, settings) >= SAME_CONTRAST_CORRELATION:
        return problem
    return replace(problem, contrast="other")


def check_overlap(problem: Problem) -> None:
    """Raises :class:`~DeepRegLib.errors.NoOverlap` when less than ``LEAST_SHARED`` of the region lies in the moving
    image under the linear map of the problem."""
    a, b = problem.affine
    grid = problem.box.covering(LEVELS_MM[-1])
    inside_region = problem.region_on(grid).cpu().numpy() > NEAR_REGION
    points = np.moveaxis(grid.points(torch.device("cpu")).numpy(), 0, -1)[inside_region] @ a.T + b
    if not len(points) or np.mean(((points >= 0) & (points <= problem.moving_grid.last)).all(1)) < LEAST_SHARED:
        raise NoOverlap(*TOO_LITTLE_SHARED)


def _local_correlation(problem: Problem, settings: Settings) -> float:
    """Mean local correlation in the region under the linear map alone."""
    grid = problem.box.covering(settings.levels[0].spacing * settings.lattice)
    return MatchMeter(problem, settings)(Lattice.zero(grid, problem.device)).over_whole_region


def prealign(problem: Problem) -> LinearTransform:
    """The linear map (LPS) that brings the moving image onto the fixed one; ``problem.linear`` is ignored.

    Raises :class:`~DeepRegLib.errors.NoOverlap` when the images share less than ``LEAST_SHARED`` of the region.
    """
    return _aligned(problem)[0]


def _aligned(problem: Problem) -> tuple[LinearTransform, float]:
    """The linear map and the share of the variance of the fixed image that the moving one explains under it."""
    levels = [_Level(problem, spacing) for spacing in LEVELS_MM]
    coarse = [_descend(levels[0], start) for start in _starts(problem)]
    best = min(coarse, key=lambda frame: levels[0].cost(frame))
    for level in levels[1:]:
        best = level.affine(best)
    if levels[-1].inside_share(best) < LEAST_SHARED:
        raise NoOverlap(*TOO_LITTLE_SHARED)
    return _to_lps(problem, best), 1 - levels[-1].cost(best)


def _starts(problem: Problem) -> list[_Frame]:
    """The best translation, then the centres of the images and the positions of their headers where they differ."""
    fixed, moving = problem.fixed.geometry, problem.moving.geometry
    rotation = moving.axes.T @ fixed.axes
    centre = (np.array(problem.box.origin) + np.array(problem.box.last)) / 2
    to_image_centre = rotation @ (centre - np.array(problem.fixed_grid.last) / 2)
    in_space = np.array(fixed.origin) + fixed.axes @ centre
    targets = (
        _best_translation(problem, rotation, centre),
        np.array(problem.moving_grid.last) / 2 + to_image_centre,
        moving.axes.T @ (in_space - np.array(moving.origin)),
    )

    def tensor(part: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(part, dtype=torch.float32, device=problem.device)

    starts: list[_Frame] = []
    for target in targets:
        if all(np.linalg.norm(target - centre - s.shift.cpu().numpy()) > DIFFERENT_START_MM for s in starts):
            starts.append(_Frame(*(tensor(part) for part in (rotation, target - centre, centre))))
    return starts


def _descend(level: _Level, start: _Frame) -> _Frame:
    return level.affine(level.rigid(level.translation(start)))


class _Level:
    """Both images on one spacing, and the samples of the region that count."""

    def __init__(self, problem: Problem, spacing: float) -> None:
        device = problem.device
        grid = problem.box.covering(spacing)
        moving_box = problem.moving_grid
        self.moving_grid = moving_box.covering(max(spacing, min(moving_box.spacing)))
        fixed = problem.fixed_view(grid)
        moving = problem.moving_view(self.moving_grid)
        self.moving = torch.cat([moving[None], gradient(moving, self.moving_grid.spacing)])
        near = apply(grid.blur(spacing, device), problem.region_on(grid)) > NEAR_REGION
        chosen = near.flatten().nonzero()[:, 0]
        if len(chosen) > MOST_SAMPLES:
            chosen = chosen[:: -(-len(chosen) // MOST_SAMPLES)]
        self.points = grid.points(device).flatten(1)[:, chosen]
        self.fixed = fixed.flatten()[chosen]
        self.fixed_gradient = gradient(fixed, grid.spacing).flatten(1)[:, chosen]
        self.last = torch.tensor(moving_box.last, dtype=torch.float32, device=device)[:, None]

    def translation(self, frame: _Frame) -> _Frame:
        return self._gauss_newton(frame, lambda matrix: matrix.new_zeros(0, 9))

    def rigid(self, frame: _Frame) -> _Frame:
        generators = torch.zeros(3, 3, 3, device=self.points.device)
        for k, (i, j) in enumerate(((1, 2), (2, 0), (0, 1))):
            generators[k, i, j], generators[k, j, i] = -1.0, 1.0
        turned = self._gauss_newton(frame, lambda matrix: (matrix @ generators).reshape(3, 9))
        u, _, v = torch.linalg.svd(turned.matrix)
        return _Frame(u @ v, turned.shift, turned.centre)

    def affine(self, frame: _Frame) -> _Frame:
        return self._gauss_newton(frame, lambda matrix: torch.eye(9, device=matrix.device))

    def _gauss_newton(self, start: _Frame, directions: Callable[[torch.Tensor], torch.Tensor]) -> _Frame:
        """Updates the shift and the matrix along ``directions`` of the matrix (k, 9), each a 3 x 3 change of it; gives
        back ``start`` where that leads astray."""
        frame = start
        x = self.points - frame.centre[:, None]
        for _ in range(UPDATES):
            basis = directions(frame.matrix)
            residual, weight, slope = self._residual(frame)
            outer = (slope[:, None] * x[None] / LENGTH_MM).reshape(9, -1)
            jacobian = torch.cat([slope, basis @ outer])
            weighted = jacobian * weight
            normal = weighted @ jacobian.T
            normal += 1e-3 * torch.diag(torch.diag(normal)) + 1e-6 * torch.eye(len(normal), device=x.device)
            step = torch.linalg.solve(normal, weighted @ residual)
            change = (step[3:] @ basis).view(3, 3) / LENGTH_MM if len(basis) else torch.zeros_like(frame.matrix)
            frame = _Frame(frame.matrix + change, frame.shift + step[:3], frame.centre)
            if not self._plausible(frame):
                return start
            if float(step.abs().max()) < SMALLEST_SHIFT_MM:
                break
        return frame

    def _plausible(self, frame: _Frame) -> bool:
        stretch = torch.linalg.svdvals(frame.matrix)
        within = float(stretch.min()) >= 1 / LARGEST_STRETCH and float(stretch.max()) <= LARGEST_STRETCH
        return within and self.inside_share(frame) >= LEAST_SHARED

    def _residual(self, frame: _Frame) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Residual after gain and offset, robust weight, and the mean of both images' gradients, moving frame."""
        q = frame.points(self.points)
        sampled = sample_frame(self.moving, self.moving_grid, q[:, None, :, None].transpose(1, 2))[:, :, 0, 0]
        inside = self._inside(q)
        count = inside.sum().clamp_min(1)
        f, m = self.fixed, sampled[0]
        f, m = f - (f * inside).sum() / count, m - (m * inside).sum() / count
        gain = ((f * m * inside).sum() / ((m * m * inside).sum() + 1)).clamp(0.5, 2)
        residual = f - gain * m
        scale = 2 * (residual.abs() * inside).sum() / count + 1
        weight = inside / (1 + (residual / scale) ** 2)
        slope = 0.5 * (gain * sampled[1:] + torch.linalg.inv(frame.matrix).T @ self.fixed_gradient)
        return residual, weight, slope

    def _inside(self, q: torch.Tensor) -> torch.Tensor:
        return ((q >= 0) & (q <= self.last)).all(0).float()

    def inside_share(self, frame: _Frame) -> float:
        return float(self._inside(frame.points(self.points)).mean())

    def cost(self, frame: _Frame) -> float:
        """Unexplained share of the variance, raised where much of the region falls outside the moving image; infinite
        where next to nothing is left to be explained."""
        residual, _, _ = self._residual(frame)
        inside = self._inside(frame.points(self.points))
        if float(inside.mean()) < LEAST_SHARED:
            return math.inf
        f = self.fixed - (self.fixed * inside).sum() / inside.sum().clamp_min(1)
        explained = (residual**2 * inside).sum() / ((f**2 * inside).sum() + 1)
        return float(explained) / float(inside.mean()) ** 0.5


def _best_translation(problem: Problem, rotation: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Where the centre of the fixed box should lie in the moving frame, by exhaustive search over translations."""
    device, h = problem.device, SEARCH_SPACING_MM
    moving_grid = problem.moving_grid.covering(h)
    # The box is laid out along the moving axes, so that a translation is a shift of whole samples.
    corners = np.array(np.meshgrid(*zip(problem.box.origin, problem.box.last, strict=True))).reshape(3, -1)
    reach = np.abs(rotation @ (corners - centre[:, None])).max(1) + SEARCH_MARGIN_MM
    count = np.ceil(reach / h).astype(int)
    local = FrameGrid(triple(-count * h), (h, h, h), whole_triple(2 * count + 1))
    inverse = torch.as_tensor(rotation.T, dtype=torch.float32, device=device)
    points = torch.einsum("ij,jzyx->izyx", inverse, local.points(device))
    points += torch.as_tensor(centre, dtype=torch.float32, device=device).view(3, 1, 1, 1)
    grid = problem.fixed_grid.covering(h)
    share = problem.region_on(grid)
    near = (apply(grid.blur(SEARCH_MARGIN_MM / 2, device), share) > NEAR_REGION).float()
    fixed = sample_frame(torch.stack([problem.fixed_view(grid), near]), grid, points)
    last = torch.tensor(problem.fixed_grid.last, dtype=torch.float32, device=device).view(3, 1, 1, 1)
    weight = fixed[1] * ((points >= -h / 2) & (points <= last + h / 2)).all(0)
    moving = problem.moving_view(moving_grid)
    score = _masked_correlation(fixed[0], weight, moving)
    best = np.unravel_index(int(score.argmax()), score.shape)
    shift = np.array([best[2], best[1], best[0]]) - (np.array(local.size) - 1)
    # Sample 0 of the local box, whose centre is sample ``count``, meets sample ``shift`` of the moving grid.
    return np.array(moving_grid.origin) + (shift + count) * h


def _masked_correlation(fixed: torch.Tensor, weight: torch.Tensor, moving: torch.Tensor) -> torch.Tensor:
    """Normalised correlation for every shift of ``fixed`` (weighted) over ``moving``, full size; -1 where too little
    of the weight meets the moving image (Padfield 2012, eqs. 36 to 38, with a real weight)."""
    size = [a + b - 1 for a, b in zip(fixed.shape, moving.shape, strict=True)]
    offset = moving.mean()

    def spectrum(x: torch.Tensor) -> torch.Tensor:
        return torch.fft.rfftn(x, s=size)

    def correlate(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return torch.roll(torch.fft.irfftn(a.conj() * b, s=size), [n - 1 for n in fixed.shape], (0, 1, 2))

    f, m = (fixed - offset) / 500, (moving - offset) / 500
    fw, ffw, w = spectrum(f * weight), spectrum(f * f * weight), spectrum(weight)
    ones, sm, smm = spectrum(torch.ones_like(m)), spectrum(m), spectrum(m * m)
    overlap = correlate(w, ones).clamp_min(1e-3)
    mean_f, mean_m = correlate(fw, ones) / overlap, correlate(w, sm) / overlap
    covariance = correlate(fw, sm) / overlap - mean_f * mean_m
    variance_f = (correlate(ffw, ones) / overlap - mean_f**2).clamp_min(1e-3)
    variance_m = (correlate(w, smm) / overlap - mean_m**2).clamp_min(1e-3)
    score = covariance / (variance_f * variance_m).sqrt()
    return torch.where(overlap >= SMALLEST_OVERLAP * weight.sum(), score, torch.full_like(score, -1.0))


def _to_lps(problem: Problem, frame: _Frame) -> LinearTransform:
    matrix, shift, centre = (part.double().cpu().numpy() for part in (frame.matrix, frame.shift, frame.centre))
    fixed, moving = problem.fixed.geometry, problem.moving.geometry
    b = centre + shift - matrix @ centre
    lps = moving.axes @ matrix @ fixed.axes.T
    return LinearTransform(lps, moving.axes @ b + np.array(moving.origin) - lps @ np.array(fixed.origin))
