"""A training pair as a level of a network sees it: averaged to cells of some voxels."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

from .losses.transformer import pushed
from .pairs.training_pair import TrainingPair

NOTHING = 1e-4
NEAR = 2
REGION_SHARE = 0.3
"""A voxel with more than this share in the region belongs to it."""
WINDOW_HU = (-1000.0, 200.0)
CENTRE_HU, SCALE_HU = -400.0, 600.0
"""Images are compared on a scale from -1 (air) to 1 (soft tissue with contrast medium)."""


@dataclass(frozen=True)
class PairLevel:
    """The parts of a pair on cells of ``cell`` voxels. ``displacement`` stays in voxels of the finest grid; it is the
    mean over the voxels of a cell that count. ``spacing_mm`` is that of a voxel of the finest grid."""

    pair: TrainingPair
    cell: int
    displacement: Tensor
    weight: Tensor
    region: Tensor
    spacing_mm: tuple[float, float, float]

    @classmethod
    def of(cls, pair: TrainingPair, cell: int) -> PairLevel:
        """``pair`` on cells of ``cell`` voxels along each axis, which must divide the sides of the grid."""
        weight = _averaged(pair.weight, cell)
        displacement = pair.displacement
        if cell > 1:
            displacement = _averaged(displacement * pair.weight, cell) / weight.clamp_min(NOTHING)
        return cls(pair, cell, displacement, weight, _averaged(pair.region, cell), pair.spacing_mm)

    def images(self) -> tuple[Tensor, Tensor]:
        """Fixed and moving image on the cells, windowed to -1 to 1."""
        fixed, moving = (
            (image.clamp(*WINDOW_HU) - CENTRE_HU) / SCALE_HU for image in (self.pair.fixed, self.pair.moving)
        )
        return _averaged(fixed, self.cell), _averaged(moving, self.cell)

    def labels(self) -> tuple[Tensor, Tensor]:
        """The region in the fixed and in the moving image, on the cells."""
        return self.region, _averaged(pushed(self.pair.region, self.pair.displacement), self.cell)

    def seen(self) -> Tensor:
        """The share of each cell that the fixed image shows."""
        return _averaged(self.pair.fixed_seen, self.cell)

    def in_mm(self, field: Tensor) -> Tensor:
        """A field in voxels of the finest grid in mm."""
        return field * field.new_tensor(self.spacing_mm).reshape(1, 3, 1, 1, 1)


def focused(pair: TrainingPair, outside: float) -> TrainingPair:
    """The pair with the weight of voxels away from the region brought to ``outside`` (1 leaves them as they are). What
    lies within :data:`NEAR` voxels of it keeps its weight: the wall is where sliding has to be told from following."""
    if outside >= 1:
        return pair
    width = 2 * NEAR + 1
    near = (functional.max_pool3d(pair.region, width, 1, NEAR) > REGION_SHARE).to(pair.weight.dtype)
    return dataclasses.replace(pair, weight=pair.weight * (near + outside * (1 - near)))


def _averaged(image: Tensor, cell: int) -> Tensor:
    return functional.avg_pool3d(image, cell) if cell > 1 else image
