"""Fields on nested grids: how one level's field becomes the next one's, warps features, and takes up a correction.

A grid of cells of s voxels has its cell k centred on voxel s k + (s - 1) / 2, as average pooling makes it.
Displacements are in voxels of the finest grid at every level, in x, y, z order.
"""

from __future__ import annotations

import torch
from torch.nn import functional


def cell_indices(shape: torch.Size | tuple[int, ...], device: torch.device) -> torch.Tensor:
    """Index of each cell, (1, 3, z, y, x), x first."""
    z, y, x = torch.meshgrid(*(torch.arange(n, dtype=torch.float32, device=device) for n in shape), indexing="ij")
    return torch.stack([x, y, z])[None]


def sample_at(image: torch.Tensor, index: torch.Tensor, padding: str) -> torch.Tensor:
    """Trilinear values (1, c, z, y, x) of ``image`` at the indices (1, 3, z, y, x) of its own cells; beyond the border
    what ``padding`` says ("border" or "zeros")."""
    last = torch.tensor([n - 1 for n in image.shape[:1:-1]], dtype=torch.float32, device=image.device)
    normalised = index.permute(0, 2, 3, 4, 1) * (2 / last.clamp_min(1)) - 1
    return functional.grid_sample(image, normalised, "bilinear", padding, align_corners=True)


def finer(image: torch.Tensor) -> torch.Tensor:
    """Values on cells of half the size, interpolated linearly."""
    return functional.interpolate(image, scale_factor=2, mode="trilinear")


def warped(moving: torch.Tensor, field: torch.Tensor, cell: int, margin: int, around: int = 0) -> torch.Tensor:
    """``moving``, on cells of ``cell`` voxels with ``margin`` more voxels on every side, pulled through ``field`` on
    cells of the same size; ``around`` more cells on every side, where the field keeps its border values."""
    if around:
        field = functional.pad(field, [around] * 6, mode="replicate")
    index = cell_indices(field.shape[2:], field.device) - around
    return sample_at(moving, index + (field + margin) / cell, "zeros")


def corrected(field: torch.Tensor, correction: torch.Tensor, cell: int) -> torch.Tensor:
    """The composed displacements v(x) + u(x + v(x)) of a field u and a correction v on cells of ``cell`` voxels.

    Where u is read does not depend on the weights: its slopes are noisy, and training is stabler without them.
    """
    index = cell_indices(field.shape[2:], field.device) + correction.detach() / cell
    return correction + sample_at(field, index, "border")


BORDER_VOXELS = 7
"""Width of the box in which a voxel's surroundings are counted: trust falls off over half of it."""
LEAST_TRUST = 0.05
FOREIGN_TRUST = 1e-4
"""Outside the region the field goes on from inside; this much keeps it defined far away."""


def trust(region: torch.Tensor) -> torch.Tensor:
    """How far the field at a voxel speaks for its surroundings, from the share of it in the region, (1, 1, z, y, x):
    fully some voxels inside the border, hardly at the border, where the matching also sees what the organ slides along,
    and not at all outside."""
    inside = functional.avg_pool3d(region, BORDER_VOXELS, 1, BORDER_VOXELS // 2, count_include_pad=False)
    return region * (2 * inside - 1).clamp(LEAST_TRUST, 1) + FOREIGN_TRUST


def smoothed(field: torch.Tensor, weight: torch.Tensor, passes: int) -> torch.Tensor:
    """The field, averaged with its surroundings by ``weight`` (:func:`trust`); the variance of the window is two thirds
    of a voxel squared a pass. Beyond a sliding border the field of the inside goes on."""
    both = torch.cat([field * weight, weight], 1).float()
    with torch.autocast(field.device.type, enabled=False):
        along_z, along_y, along_x = (_averaging(n, passes, field.device) for n in both.shape[2:])
        both = along_y @ (both @ along_x)
        both = (along_z @ both.flatten(3)).view_as(both)
    return both[:, :3] / both[:, 3:]


def _averaging(length: int, passes: int, device: torch.device) -> torch.Tensor:
    """The symmetric matrix that averages each of ``length`` voxels with its two neighbours, ``passes`` times; zeros
    beyond the border."""
    near = torch.ones(length, length, device=device).triu(-1).tril(1) / 3
    return torch.linalg.matrix_power(near, passes)
