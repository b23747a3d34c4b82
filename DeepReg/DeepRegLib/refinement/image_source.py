"""An image as the solver sees it: voxels that are resampled onto frame grids, in slabs, never copied to float whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from ..images.volume import Volume
from .frame_grid import FrameGrid, triple, whole_triple

VOXELS_PER_SLAB = 16_000_000
"""Voxels that are converted to float32 at once (64 MB)."""
SUPPORT_SAMPLES = 2.0
"""How far the resampling kernels reach, in samples of the coarser grid."""

Intensity = Callable[[torch.Tensor], torch.Tensor]
"""Maps raw voxel values to the scale of the solver (-1000 is empty, 0 is soft tissue)."""


@dataclass(frozen=True)
class ImageSource:
    """``volume`` seen in its own frame (see :mod:`frame_grid`), its values passed through ``intensity``."""

    volume: Volume
    intensity: Intensity

    @property
    def grid(self) -> FrameGrid:
        return FrameGrid.of(self.volume.geometry)

    def on(self, target: FrameGrid, device: torch.device) -> torch.Tensor:
        """Anti-aliased values (z, y, x) float32 on ``target``; beyond the image its border values."""
        crop, source = self._crop(target)
        along_z, along_y, along_x = source.resample_to(target, device)
        depth, height, width = crop.shape
        step = max(1, VOXELS_PER_SLAB // (height * width))
        out = torch.zeros(target.shape, device=device)
        for start in range(0, depth, step):
            part = crop[start : start + step]
            columns = along_z[:, start : start + step]
            rows = columns.abs().sum(1).nonzero()[:, 0]
            if not len(rows):
                continue
            slab = self.intensity(torch.from_numpy(np.ascontiguousarray(part)).to(device).float())
            plane = torch.matmul(along_y, torch.matmul(slab, along_x.T))
            first, last = int(rows[0]), int(rows[-1]) + 1
            averaged = torch.matmul(columns[first:last], plane.flatten(1))
            out[first:last] += averaged.view(last - first, *plane.shape[1:])
        return out

    def _crop(self, target: FrameGrid) -> tuple[np.ndarray, FrameGrid]:
        """The voxels that can reach ``target``, and their grid."""
        grid, slices, origin, size = self.grid, [], [], []
        for k in range(3):
            reach = SUPPORT_SAMPLES * max(target.spacing[k], grid.spacing[k])
            low = int(np.floor((target.origin[k] - reach) / grid.spacing[k]))
            high = int(np.ceil((target.last[k] + reach) / grid.spacing[k])) + 1
            low = min(max(low, 0), grid.size[k] - 1)
            high = min(max(high, low + 1), grid.size[k])
            slices.append(slice(low, high))
            origin.append(low * grid.spacing[k])
            size.append(high - low)
        return self.volume.array[slices[2], slices[1], slices[0]], FrameGrid(
            triple(origin), grid.spacing, whole_triple(size)
        )
