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
    """``mean`` local correlation in the part of the region that the moving image shows, and the share of that part that
    is ``lost`` (below ``LOST_CORRELATION``)."""

    mean: float
    lost: float


@dataclass(frozen=True)
class MatchMap:
    """Local ``correlation`` (z, y, x), -1 to 1, and the share of each sample that lies in the region and within the
    moving image, ``seen`` (z, y, x); ``region`` is the sum of the shares in the region."""

    correlation: torch.Tensor
    seen: torch.Tensor
    region: float

    @property
    def match(self) -> Match:
        seen = self.seen.sum().clamp_min(1)
        lost = (self.correlation < LOST_CORRELATION) * self.seen
        return Match(float((self.correlation * self.seen).sum() / seen), float(lost.sum() / seen))

    @property
    def over_whole_region(self) -> float:
        """Mean correlation in the region, places beyond the moving image counting as 0: a position that shows little
        of the organ is a poor one, however well that little matches."""
        return float((self.correlation * self.seen).sum() / max(self.region, 1.0))

    def gain_over(self, other: MatchMap) -> float:
        """By how much the mean correlation is higher than that of ``other``, where both see the moving image. Where a
        scan is cut, the field that draws more of the region into it is not the better one."""
        both = torch.minimum(self.seen, other.seen)
        return float(((self.correlation - other.correlation) * both).sum() / both.sum().clamp_min(1))


class MatchMeter:
    """Measures fields against one pair of images; they are prepared once."""

    def __init__(self, problem: Problem, settings: Settings) -> None:
        self._images: LevelImages = level_images(problem, settings, Level(MATCH_SPACING_MM, 0, 0.0))
        grid, device = self._images.grid, problem.device
        self._share = problem.region_on(grid).clamp_(0, 1)
        self._region = float(self._share.sum())
        self._window = grid.blur(WINDOW_MM, device)
        self._norm = apply(self._window, self._share).add_(1e-3)
        fixed = self._images.fixed[0]
        self._mean, self._variance = self._moments(fixed)

    def __call__(self, lattice: Lattice) -> MatchMap:
        correlation, inside = self._correlation(lattice)
        return MatchMap(correlation, self._share * inside, self._region)

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
