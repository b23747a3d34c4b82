"""How well each place of one feature map fits the places around it in another: a local cost volume.

On a graphics card the candidates are gathered by one unfolding and compared by one product. On the processor a loop
over the candidates is several times quicker, since nothing is ever gathered.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch.nn import functional


def candidate_offsets(radius: int) -> torch.Tensor:
    """Offsets (candidates, 3) in x, y, z order of all cells within ``radius`` along each axis, in the order of the cost
    volume's channels (z slowest)."""
    steps = torch.arange(-radius, radius + 1, dtype=torch.float32)
    z, y, x = torch.meshgrid(steps, steps, steps, indexing="ij")
    return torch.stack([x, y, z], -1).reshape(-1, 3)


def cost_volume(fixed: torch.Tensor, moving: torch.Tensor, radius: int) -> torch.Tensor:
    """Mean product over the channels of ``fixed`` (1, c, z, y, x) and each neighbour in ``moving``, which has
    ``radius`` more cells on every side: (1, candidates, z, y, x)."""
    fixed = fixed / fixed.shape[1]
    if fixed.is_cuda:
        return cost_volume_by_unfolding(fixed, moving, radius)
    return _LoopedCostVolume.apply(fixed, moving, radius)


def cost_volume_by_unfolding(fixed: torch.Tensor, moving: torch.Tensor, radius: int) -> torch.Tensor:
    """Sum over the channels of the products of ``fixed`` with its candidates in ``moving``."""
    width = 2 * radius + 1
    candidates = moving.unfold(2, width, 1).unfold(3, width, 1).unfold(4, width, 1)
    with torch.autocast(fixed.device.type, enabled=False):  # costs differ in digits that half precision does not have
        return torch.einsum("nczyx,nczyxijk->nijkzyx", fixed, candidates).flatten(1, 3)


class _LoopedCostVolume(torch.autograd.Function):
    """The same, one candidate after the other, with as little memory in the backward pass."""

    @staticmethod
    def forward(ctx: Any, fixed: torch.Tensor, moving: torch.Tensor, radius: int) -> torch.Tensor:
        fixed, moving = fixed.contiguous(), moving.contiguous()
        costs = fixed.new_empty(1, (2 * radius + 1) ** 3, *fixed.shape[2:])
        product = torch.empty_like(fixed[0])
        for k, candidate in enumerate(_candidates(moving, fixed.shape[2:], radius)):
            torch.mul(fixed[0], candidate, out=product)
            torch.sum(product, 0, out=costs[0, k])
        ctx.save_for_backward(fixed, moving)
        ctx.radius = radius
        return costs

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None]:  # type: ignore[override]
        fixed, moving = ctx.saved_tensors
        of_fixed, of_moving = torch.zeros_like(fixed), torch.zeros_like(moving)
        shape = fixed.shape[2:]
        pairs = zip(_candidates(moving, shape, ctx.radius), _candidates(of_moving, shape, ctx.radius), strict=True)
        for k, (candidate, of_candidate) in enumerate(pairs):
            of_fixed[0].addcmul_(candidate, gradient[0, k])
            of_candidate.addcmul_(fixed[0], gradient[0, k])
        return of_fixed, of_moving, None


def _candidates(moving: torch.Tensor, shape: torch.Size, radius: int) -> Iterator[torch.Tensor]:
    """Views (c, z, y, x) of ``moving``, one for each offset."""
    depth, height, width = shape
    for z in range(2 * radius + 1):
        for y in range(2 * radius + 1):
            for x in range(2 * radius + 1):
                yield moving[0, :, z : z + depth, y : y + height, x : x + width]


def surroundings(moving: torch.Tensor, margin: int, radius: int) -> torch.Tensor:
    """``moving``, which has ``margin`` more cells on every side than the fixed map, with ``radius`` more instead:
    cropped, or continued with zeros, which fit nothing."""
    return functional.pad(moving, [radius - margin] * 6)
