"""Sampling of level images in the inner loop of the solver: single precision, no geometry, CPU threads or a GPU.

Results that leave the solver are sampled by :mod:`..transforms.sampling`, in double precision and on any grid.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812

from .frame_grid import FrameGrid


def sample_frame(values: torch.Tensor, grid: FrameGrid, points: torch.Tensor) -> torch.Tensor:
    """Linear interpolation of ``values`` (C, z, y, x) on ``grid`` at ``points`` (3, d, h, w), frame mm in x, y, z
    order -> (C, d, h, w); constant beyond the grid."""
    device = values.device
    scale = torch.tensor([2 / (h * max(n - 1, 1)) for h, n in zip(grid.spacing, grid.size, strict=True)], device=device)
    origin = torch.tensor(grid.origin, dtype=torch.float32, device=device)
    scaled = ((points - origin.view(3, 1, 1, 1)) * scale.view(3, 1, 1, 1)).sub_(1).permute(1, 2, 3, 0)
    depth, parts = scaled.shape[0], 1 if values.is_cuda else min(torch.get_num_threads(), scaled.shape[0])
    if parts == 1:
        return _grid_sample(values[None], scaled[None])[0]
    # On the CPU grid_sample threads over the batch alone: the slices are dealt out to as many views of one volume.
    height = -(-depth // parts)
    starts = [min(k * height, depth - height) for k in range(parts)]
    sampled = _grid_sample(
        values[None].expand(parts, -1, -1, -1, -1), torch.stack([scaled[s : s + height] for s in starts])
    )
    out = torch.empty(len(values), *points.shape[1:], device=device)
    for start, part in zip(starts, sampled, strict=True):
        out[:, start : start + height] = part
    return out


def _grid_sample(values: torch.Tensor, scaled: torch.Tensor) -> torch.Tensor:
    return F.grid_sample(values, scaled.contiguous(), mode="bilinear", padding_mode="border", align_corners=True)
