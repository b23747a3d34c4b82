"""What the solver compares: images made independent of brightness and contrast."""

from __future__ import annotations

import torch

from .frame_grid import FrameGrid
from .frame_sampling import sample_frame
from .separable import apply

PATCH_SAMPLES = 0.8
"""Standard deviation of the patches that are compared, in samples: about 3 x 3 x 3 of them."""
NOISE_SHARE = 0.05
"""Places that vary less than this share of the mean hold noise; their descriptors fade."""
SMALLEST_SHARE = 1e-2
"""Share of the region in a window; far away from it nothing is divided by zero."""
MEAN_EDGE = 200.0
"""Mean of the edge strength, on the scale of grey values that the pre-alignment is made for."""


def local_normalisation(image: torch.Tensor, grid: FrameGrid, sigma: float, floor: float) -> torch.Tensor:
    """(image - local mean) / (local standard deviation + floor), Gaussian windows of ``sigma`` mm; (z, y, x).

    Squared differences of two such images behave like local correlation: a change of lung density by breathing does
    not matter. ``floor`` (in intensity units) keeps noise in flat areas from being blown up.
    """
    blur = grid.blur(sigma, image.device)
    difference = image - apply(blur, image)
    deviation = apply(blur, difference * difference).sqrt_()
    return difference.div_(deviation.add_(floor))


class RegionNormalisation:
    """Grey values normalised by what lies around them in a region: (image - mean) / (standard deviation + floor).

    As :func:`local_normalisation`, with windows that end at the border of ``region`` (z, y, x; 0 to 1), beyond which
    all is 0: next to a bright wall the fine structure of the lung keeps its contrast. The averages vary slowly, so they
    are computed ``sigma`` apart and interpolated.
    """

    def __init__(self, region: torch.Tensor, grid: FrameGrid, sigma: float, floor: float) -> None:
        self.region = region
        self._floor = floor
        coarse = grid.covering(sigma)
        self._averages = grid.averages_to(coarse, sigma, region.device)
        self._back = coarse.linear_to(grid, region.device)
        self._share = apply(self._averages, region).clamp_min_(SMALLEST_SHARE)

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        """``image`` (z, y, x) normalised."""
        difference = image - self._average(image)
        deviation = self._average(difference * difference).sqrt_()
        return difference.mul_(self.region).div_(deviation.add_(self._floor))

    def _average(self, values: torch.Tensor) -> torch.Tensor:
        return apply(self._back, apply(self._averages, values * self.region).div_(self._share))


def self_similarity(image: torch.Tensor, grid: FrameGrid, spacing: float, axes: torch.Tensor) -> list[torch.Tensor]:
    """Six channels (z, y, x), 0 to 1, that describe the structure around each sample whatever the contrast.

    M. P. Heinrich et al., *MIND: modality independent neighbourhood descriptor*, Medical Image Analysis 16, 2012, 1423,
    eqs. 3 to 5, with the six-neighbourhood: exp(-D / V), D the mean squared difference to the neighbourhood ``spacing``
    mm away, forwards and backwards along each column of ``axes`` (3, 3), V its mean over the directions. The largest
    channel of every place is 1. Channels of two images are comparable when their axes are the same in the patient,
    however either image is stored.
    """
    blur = grid.blur(PATCH_SAMPLES * spacing, image.device)
    points = grid.points(image.device)
    distances = []
    for axis in axes.T:
        for step in (spacing, -spacing):
            neighbour = sample_frame(image[None], grid, points + (step * axis).view(3, 1, 1, 1))[0]
            distances.append(apply(blur, (image - neighbour).square_()))
    stacked = torch.stack(distances)
    variance = stacked.mean(0)
    variance = variance.clamp(NOISE_SHARE * float(variance.mean()) + 1e-6, None)
    channels = torch.exp((stacked.amin(0) - stacked) / variance)
    return list(channels)


def edge_strength(image: torch.Tensor, grid: FrameGrid) -> torch.Tensor:
    """Length of the gradient, (z, y, x), on the scale of grey values: borders look alike in every contrast."""
    slope = gradient(image, grid.spacing).square_().sum(0).sqrt_()
    return slope.mul_(MEAN_EDGE / (float(slope.mean()) + 1e-6)).clamp_(max=4 * MEAN_EDGE)


def gradient(image: torch.Tensor, spacing: tuple[float, float, float]) -> torch.Tensor:
    """Central differences per mm of (z, y, x) -> (3, z, y, x), components in x, y, z order; zero on the faces."""
    out = torch.zeros(3, *image.shape, device=image.device)
    for component, axis in ((0, 2), (1, 1), (2, 0)):
        count = image.shape[axis]
        if count > 2:
            difference = image.narrow(axis, 2, count - 2) - image.narrow(axis, 0, count - 2)
            out[component].narrow(axis, 1, count - 2).copy_(difference).mul_(0.5 / spacing[component])
    return out
