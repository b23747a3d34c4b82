"""One pair of images with the map between them that a network is to find."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class TrainingPair:
    """Two images on one grid and the exact T(x) = x + u(x) from fixed to moving points: fixed(x) = moving(T(x)), but
    for what a scanner and breathing do to grey values.

    ``fixed`` and ``moving``: (1, 1, z, y, x), float32, HU; beyond the field of view they repeat its border.
    ``displacement``: u (1, 3, z, y, x) in voxels of this grid, components x, y, z.
    ``weight``: (1, 1, z, y, x), 0 to 1: where the loss counts, 0 outside the field of view.
    ``region``: (1, 1, z, y, x), 0 to 1: the lungs (or the organ) of the fixed image.
    ``fixed_seen`` and ``moving_seen``: (1, 1, z, y, x), 0 to 1: the field of view of each image.
    ``spacing_mm``: size of a voxel, x, y, z. ``parameters``: everything that was drawn, ready for JSON.
    """

    fixed: Tensor
    moving: Tensor
    displacement: Tensor
    weight: Tensor
    region: Tensor
    fixed_seen: Tensor
    moving_seen: Tensor
    spacing_mm: tuple[float, float, float]
    parameters: dict[str, Any] = field(default_factory=dict)

    @property
    def displacement_mm(self) -> Tensor:
        """u (1, 3, z, y, x) in mm."""
        return self.displacement * self.displacement.new_tensor(self.spacing_mm).reshape(1, 3, 1, 1, 1)

    def to(self, device: torch.device) -> TrainingPair:
        """The same pair with its tensors on ``device``."""
        moved: dict[str, Any] = {name: tensor.to(device) for name, tensor in self.tensors().items()}
        return dataclasses.replace(self, **moved)

    def tensors(self) -> dict[str, Tensor]:
        """The tensors by name."""
        values = {part.name: getattr(self, part.name) for part in dataclasses.fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, Tensor)}
