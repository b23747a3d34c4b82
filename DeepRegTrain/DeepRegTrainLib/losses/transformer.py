"""The spatial transformer: images pulled through a field, differentiable; and labels pushed through one."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from ..pairs.working_grid import sample_at, voxel_indices

REACHED = 1e-2
"""Voxels that got less of anything were not reached."""


def pulled(image: Tensor, field: Tensor) -> Tensor:
    """``image`` (1, c, z, y, x) at x + u(x), u (1, 3, z, y, x) in voxels of the same grid; border values outside."""
    return sample_at(image, voxel_indices(field.shape[2:], field.device) + field)


def pushed(labels: Tensor, field: Tensor) -> Tensor:
    """The labels (1, c, z, y, x) of the fixed image on the voxels of the moving one: each voxel x hands its shares to
    the eight voxels around x + u(x), which keep the mean of what they get. Not differentiable. Voxels that get nothing
    take the mean of their neighbours."""
    shape = labels.shape[2:]
    target = (voxel_indices(shape, field.device) + field)[0].reshape(3, -1)
    low = target.floor()
    channels = labels[0].reshape(labels.shape[1], -1)
    total = labels.new_zeros(labels.shape[1] + 1, shape[0] * shape[1] * shape[2])
    for corner in itertools.product((0, 1), repeat=3):
        offset = target.new_tensor(corner).reshape(3, 1)
        place = low + offset
        share = (1 - (target - place).abs()).clamp_min(0).prod(0)
        sizes = target.new_tensor(shape[::-1]).reshape(3, 1)
        share = share * ((place >= 0) & (place < sizes)).all(0)
        x, y, z = torch.minimum(place.clamp_min(0), sizes - 1).long()
        index = (z * shape[1] + y) * shape[2] + x
        total.index_add_(1, index, torch.cat([channels * share, share[None]]))
    spread = total.reshape(1, -1, *shape)
    blurred = torch.nn.functional.avg_pool3d(spread, 3, 1, 1)
    spread = torch.where(spread[:, -1:] > REACHED, spread, blurred)
    return spread[:, :-1] / spread[:, -1:].clamp_min(REACHED)
