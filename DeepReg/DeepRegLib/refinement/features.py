"""What the solver compares: images made independent of brightness and contrast."""

from __future__ import annotations

import torch

from .frame_grid import FrameGrid
from .separable import apply


def local_normalisation(image: torch.Tensor, grid: FrameGrid, sigma: float, floor: float) -> torch.Tensor:
    """(image - local mean) / (local standard deviation + floor), Gaussian windows of ``sigma`` mm; (z, y, x).

    Squared differences of two such images behave like local correlation: a change of lung density by breathing does
    not matter. ``floor`` (in intensity units) keeps noise in flat areas from being blown up.
    """
    blur = grid.blur(sigma, image.device)
    difference = image - apply(blur, image)
    deviation = apply(blur, difference * difference).sqrt_()
    return difference.div_(deviation.add_(floor))


def gradient(image: torch.Tensor, spacing: tuple[float, float, float]) -> torch.Tensor:
    """Central differences per mm of (z, y, x) -> (3, z, y, x), components in x, y, z order; zero on the faces."""
    out = torch.zeros(3, *image.shape, device=image.device)
    for component, axis in ((0, 2), (1, 1), (2, 0)):
        count = image.shape[axis]
        if count > 2:
            difference = image.narrow(axis, 2, count - 2) - image.narrow(axis, 0, count - 2)
            out[component].narrow(axis, 1, count - 2).copy_(difference).mul_(0.5 / spacing[component])
    return out
