"""How surprised a matching level is by the truth: it says how likely each of its candidates is."""

from __future__ import annotations

import torch
from DeepRegLib.networks.coarse_to_fine import cell_indices, sample_at
from torch import Tensor

from .supervised import weighted_mean

UNLIKELY = 1e-7
"""Bounds the surprise."""
INVERSION_STEPS = 2
"""The correction is found as the fixed point of v = u(x) - u_before(x + v): two steps leave a tenth of a voxel."""


def needed_correction(truth: Tensor, before: Tensor, cell: int) -> Tensor:
    """The correction v with v(x) + before(x + v(x)) = ``truth``(x): what a level that composes has to find. All are (1,
    3, z, y, x) in voxels, on cells of ``cell`` voxels."""
    correction = truth - before
    index = cell_indices(truth.shape[2:], truth.device)
    for _ in range(INVERSION_STEPS):
        correction = truth - sample_at(before, index + correction / cell, "border")
    return correction


def surprise(likely: Tensor, offset: Tensor, weight: Tensor) -> Tensor:
    """Cross-entropy of the candidates' probabilities ``likely`` (1, (2 r + 1)^3, z, y, x; z slowest) with the linear
    weights of the candidates around the true ``offset`` (1, 3, z, y, x), in cells. Where the truth is out of reach
    nothing counts: that is the task of the coarser level."""
    radius = (round(likely.shape[1] ** (1 / 3)) - 1) // 2
    within = offset.abs().amax(1, keepdim=True) <= radius
    steps = torch.arange(-radius, radius + 1, dtype=offset.dtype, device=offset.device).reshape(1, -1, 1, 1, 1)
    x, y, z = ((1 - (offset[:, k : k + 1] - steps).abs()).clamp_min(0) for k in range(3))
    logarithms = (likely.float() + UNLIKELY).log().unflatten(1, (2 * radius + 1,) * 3)
    entropy = -torch.einsum("nijkzyx,nizyx,njzyx,nkzyx->nzyx", logarithms, z, y, x)
    return weighted_mean(entropy[:, None], weight * within)
