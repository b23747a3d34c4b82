"""How well a field matches the images, place by place: local correlation in the region.

The solver uses it to see where it failed, to choose between starts, and never to steer.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from .lattice import Lattice
from .level_images import LevelImages, level_images
from .problem import Problem
from .separable import apply
from .settings import Level, Settings

MATCH_SPACING_MM = 4.0
WINDOW_MM = 6.0
"""Standard deviation of the window: some vessels in each, and small enough to find a lobe that went astray."""
SMALLEST_VARIANCE = 1e-2
"""Of normalised grey values: below it there is nothing to compare."""
LOST_CORRELATION = 0.5
"""Correctly matched lung shows 0.8 to 0.98, a place that met the wrong tissue -0.2 to 0.4."""


@dataclass(frozen=True)
class Match:
    """``mean`` local correlation in the region, places beyond the moving image counting as 0, and the share of the
    region within the moving image that is ``lost`` (below ``LOST_CORRELATION``)."""

    mean: float
    lost: float


class MatchMeter:
    """Measures fields against one pair of images; they are prepared once."""

    def __init__(self, problem: Problem, settings: Settings) -> None:
        self._images: LevelImages = level_images(problem, settings, Level(MATCH_SPACING_MM, 0, 0.0))
        grid, device = self._images.grid, problem.device
        self._share = problem.region_on(grid).clamp_(0, 1)
        self._window = grid.blur(WINDOW_MM, device)
        self._norm = apply(self._window, self._share).add_(1e-3)
        fixed = self._images.fixed[0]
        self._mean, self._variance = self._moments(fixed)

    def __call__(self, lattice: Lattice) -> Match:
        correlation, inside = self._correlation(lattice)
        seen = self._share * inside
        lost = (correlation < LOST_CORRELATION) * seen
        return Match(
            float((correlation * seen).sum() / self._share.sum().clamp_min(1)),
            float(lost.sum() / seen.sum().clamp_min(1)),
        )

    def _correlation(self, lattice: Lattice) -> tuple[torch.Tensor, torch.Tensor]:
        """Local correlation (z, y, x), -1 to 1, and where the moving image has something to say."""
        warped, inside = self._images.warped(lattice)
        mean, variance = self._moments(warped[0])
        covariance = self._average(self._images.fixed[0] * warped[0]) - self._mean * mean
        return covariance.div_((self._variance * variance).sqrt_()), inside

    def _moments(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mean = self._average(image)
        return mean, (self._average(image * image) - mean * mean).clamp_min_(SMALLEST_VARIANCE)

    def _average(self, image: torch.Tensor) -> torch.Tensor:
        return apply(self._window, image * self._share).div_(self._norm)
