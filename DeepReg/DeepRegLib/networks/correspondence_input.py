"""What the correspondence network sees of an image: brightness, local contrast, and where the scan has voxels."""

from __future__ import annotations

import torch
from torch.nn import functional

INPUT_CHANNELS = 3
WINDOW_HU = (-1000.0, -200.0)
"""Air to the edge of vessels and pleura. All that is denser looks the same: ribs and muscles, along which the lung
slides, say nothing about where the lung goes, and a network that sees them follows them."""
CENTRE_HU, SCALE_HU = -400.0, 600.0
"""Air becomes -1; soft tissue 1/3."""
CONTRAST_FLOOR = 0.08
"""48 HU: a local standard deviation below it is noise and is not blown up."""
CONTRAST_LIMIT = 4.0
CONTRAST_SCALE = 0.7
"""Brings the local contrast to the size of the other channels."""
WINDOW_CELLS = 5
"""Two box averages of this width over cells of two voxels: a window with a standard deviation of 12 mm at 3 mm."""


def image_channels(image_hu: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """The channels (1, 3, z, y, x) of an image in HU; ``valid``, both (1, 1, z, y, x), is 1 where the scan reaches and
    0 elsewhere. Sides are even."""
    brightness = (image_hu.clamp(*WINDOW_HU) - CENTRE_HU) / SCALE_HU * valid
    share = _window_average(functional.avg_pool3d(valid, 2)) + 1e-3
    mean = _window_average(functional.avg_pool3d(brightness, 2)) / share
    square = _window_average(functional.avg_pool3d(brightness * brightness, 2)) / share
    deviation = (square - mean * mean).clamp_min(0).sqrt()
    moments = functional.interpolate(torch.cat([mean, deviation], 1), scale_factor=2, mode="trilinear")
    contrast = (brightness - moments[:, :1]) / (moments[:, 1:] + CONTRAST_FLOOR)
    contrast = contrast.clamp(-CONTRAST_LIMIT, CONTRAST_LIMIT) * CONTRAST_SCALE * valid
    return torch.cat([brightness, contrast, valid], 1)


def _window_average(image: torch.Tensor) -> torch.Tensor:
    """Smoothed (n, c, z, y, x), zeros beyond the border: to be divided by the smoothed share of valid voxels."""
    for _ in range(2):
        for axis in range(3):
            size = [WINDOW_CELLS if k == axis else 1 for k in range(3)]
            image = functional.avg_pool3d(image, size, stride=1, padding=[n // 2 for n in size])
    return image
