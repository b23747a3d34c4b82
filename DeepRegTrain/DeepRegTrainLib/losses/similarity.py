"""How much two images differ, for training without known displacements. 0 is best in all of them.

Images are (1, 1, z, y, x), ``weight`` is (1, 1, z, y, x).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from .supervised import weighted_mean

SMALLEST_VARIANCE = 1e-4
"""Of images of order one: 0.01 of their range is noise, and there is nothing to correlate."""
LOCAL_WINDOW = 7
"""Voxels along the window of the local correlation."""
MIND_STEP = 1
"""Distance of the neighbours that a place is compared with, in voxels."""
MIND_PATCH = 3
"""Voxels along the patches that are compared."""
MIND_NOISE_SHARE = 0.05
"""Places that vary less than this share of the mean hold noise; their descriptors fade."""


def ncc_loss(fixed: Tensor, warped: Tensor, weight: Tensor) -> Tensor:
    """1 - the correlation coefficient of the weighted voxels: 0 for images that differ by brightness and contrast."""
    a = fixed - weighted_mean(fixed, weight)
    b = warped - weighted_mean(warped, weight)
    variances = weighted_mean(a * a, weight).clamp_min(SMALLEST_VARIANCE), weighted_mean(b * b, weight)
    return 1 - weighted_mean(a * b, weight) / (variances[0] * variances[1].clamp_min(SMALLEST_VARIANCE)).sqrt()


def local_ncc_loss(fixed: Tensor, warped: Tensor, weight: Tensor, window: int = LOCAL_WINDOW) -> Tensor:
    """1 - the mean squared correlation coefficient in cubes of ``window`` (odd) voxels around each place; at the border
    a cube ends with the image."""
    a, b = _window_mean(fixed, window), _window_mean(warped, window)
    covariance = _window_mean(fixed * warped, window) - a * b
    of_fixed = (_window_mean(fixed * fixed, window) - a * a).clamp_min(SMALLEST_VARIANCE)
    of_warped = (_window_mean(warped * warped, window) - b * b).clamp_min(SMALLEST_VARIANCE)
    return 1 - weighted_mean(covariance.square() / (of_fixed * of_warped), weight)


def mind_loss(fixed: Tensor, warped: Tensor, weight: Tensor) -> Tensor:
    """Mean absolute difference of the self-similarity descriptors: whatever the contrast of either image."""
    difference = (mind(fixed) - mind(warped)).abs().mean(1, keepdim=True)
    return weighted_mean(difference, weight)


def mind(image: Tensor) -> Tensor:
    """Self-similarity descriptors (1, 6, z, y, x), 0 to 1 (Heinrich 2012, eqs. 3 to 5, six-neighbourhood):
    exp(-D / V), D the mean squared difference between the patches around a voxel and around its neighbour along -z, z,
    -y, y, -x, x; V its mean over the six. The largest channel of each voxel is 1."""
    distances = []
    for axis in (2, 3, 4):
        for step in (-MIND_STEP, MIND_STEP):
            distances.append(_window_mean((image - _moved(image, axis, step)).square(), MIND_PATCH))
    stacked = torch.cat(distances, 1)
    variance = stacked.mean(1, keepdim=True)
    variance = torch.maximum(variance, MIND_NOISE_SHARE * variance.mean().detach() + 1e-6)
    return torch.exp((stacked.amin(1, keepdim=True) - stacked) / variance)


def _window_mean(image: Tensor, window: int) -> Tensor:
    for axis in range(3):  # one axis after the other: 3 x 7 values instead of 343
        length = min(window, image.shape[2 + axis] - 1 + image.shape[2 + axis] % 2)  # odd, and within coarse levels
        size = [max(1, length) if k == axis else 1 for k in range(3)]
        padding = [n // 2 for n in size]
        image = functional.avg_pool3d(image, size, stride=1, padding=padding, count_include_pad=False)
    return image


def _moved(image: Tensor, axis: int, step: int) -> Tensor:
    """``image`` at the place ``step`` voxels further along ``axis``; the border repeats itself."""
    count = image.shape[axis]
    index = (torch.arange(count, device=image.device) + step).clamp(0, count - 1)
    return image.index_select(axis, index)


SIMILARITIES = {"ncc": ncc_loss, "lncc": local_ncc_loss, "mind": mind_loss}
"""By the name that the settings use."""
