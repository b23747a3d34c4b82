"""What goes into the networks and what their numbers mean: tensors in, tensors out."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional

WINDOW_HU = (-1024.0, 600.0)
"""Air to dense bone of a child: everything that the lungs and their surroundings show. The 2018 paper is silent."""
GRADIENT_SCALE_HU = 1000.0
"""Water minus air: brings CT numbers to order one before the gradient. The 2020 paper is silent."""
GRADIENT_SIGMA_VOXELS = 0.5
"""Standard deviation of the Gaussian derivatives, in voxels of the working grid (Eppenhof 2020, section II-E)."""
TRUNCATION_SIGMAS = 4.0
"""Where the Gaussian is cut off."""


def window_intensity(image_hu: torch.Tensor) -> torch.Tensor:
    """CT numbers of any shape, clipped to ``WINDOW_HU`` and scaled to [0, 1]: input of the 2018 network.

    >>> window_intensity(torch.tensor([-3000.0, -212.0, 600.0])).tolist()
    [0.0, 0.5, 1.0]
    """
    low, high = WINDOW_HU
    return (image_hu.clamp(low, high) - low) / (high - low)


def gradient_magnitude(image_hu: torch.Tensor) -> torch.Tensor:
    """Gaussian gradient magnitude of CT numbers (n, c, z, y, x), per voxel: input of the 2020 network (section II-E).

    The image is first divided by ``GRADIENT_SCALE_HU`` and clipped to [-1, 1]; beyond its border it keeps the border
    value. The kernels are sampled, so that a ramp of slope 1 gives 0.86 at the paper's width; training and inference
    use the same function.
    """
    image = (image_hu / GRADIENT_SCALE_HU).clamp(-1, 1)
    smooth, derivative = _gaussian_kernels(image)
    total = torch.zeros_like(image)
    for axis in range(3):
        part = image
        for other in range(3):
            part = _filter_along(part, derivative if other == axis else smooth, other)
        total += part.square_()
    return total.sqrt_()


def voxels_to_mm(field: torch.Tensor, spacing_mm: Sequence[float], axes: Sequence[Sequence[float]]) -> torch.Tensor:
    """Displacements (n, 3, z, y, x) in voxels along the axes of a working grid to (n, z, y, x, 3) in mm along LPS.

    ``spacing_mm`` (x, y, z) is that of the working grid, which resizing makes anisotropic; column k of ``axes`` (3 x 3)
    is the direction of grid axis k.

    >>> one = torch.ones(1, 3, 1, 1, 1)
    >>> voxels_to_mm(one, (2.0, 3.0, 4.0), [[-1, 0, 0], [0, 1, 0], [0, 0, 1]]).flatten().tolist()
    [-2.0, 3.0, 4.0]
    """
    matrix = torch.as_tensor(axes, dtype=field.dtype, device=field.device) * torch.as_tensor(
        spacing_mm, dtype=field.dtype, device=field.device
    )
    return torch.einsum("ij,njzyx->nzyxi", matrix, field)


def _gaussian_kernels(like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Kernels of smoothing and of the first derivative, to be correlated with an image."""
    radius = int(TRUNCATION_SIGMAS * GRADIENT_SIGMA_VOXELS + 0.5)
    offset = torch.arange(-radius, radius + 1, dtype=like.dtype, device=like.device)
    smooth = torch.exp(-0.5 * (offset / GRADIENT_SIGMA_VOXELS) ** 2)
    smooth = smooth / smooth.sum()
    return smooth, smooth * offset / GRADIENT_SIGMA_VOXELS**2


def _filter_along(image: torch.Tensor, kernel: torch.Tensor, axis: int) -> torch.Tensor:
    """Correlation along spatial ``axis`` (0: z, 1: y, 2: x) of (n, c, z, y, x)."""
    radius = len(kernel) // 2
    padding = [0] * 6
    padding[2 * (2 - axis)] = padding[2 * (2 - axis) + 1] = radius  # F.pad counts axes from the last
    padded = functional.pad(image, padding, mode="replicate")
    length = image.shape[2 + axis]
    result = torch.zeros_like(image)
    for tap, weight in enumerate(kernel.tolist()):
        result.add_(padded.narrow(2 + axis, tap, length), alpha=weight)
    return result
