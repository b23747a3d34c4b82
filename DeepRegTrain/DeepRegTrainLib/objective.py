"""What a field is punished for: one of three kinds of supervision, each a word in the settings.

``supervised`` compares with the known displacements, ``unsupervised`` warps the moving image and compares images,
``weakly`` warps the labels of the moving image and compares labels. All may add smoothness and a barrier against folds.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from .losses.overlap import dice_loss
from .losses.regularisers import diffusion, fold_barrier
from .losses.similarity import SIMILARITIES
from .losses.supervised import LOSSES, endpoint_error
from .losses.transformer import pulled
from .pair_level import PairLevel

SUPERVISIONS = ("supervised", "unsupervised", "weakly")
UNITS = ("voxels", "mm")


@dataclass(frozen=True)
class Objective:
    """``loss`` (a name in :mod:`~DeepRegTrainLib.losses.supervised`) is measured in ``unit``; ``similarity`` is a name
    in :mod:`~DeepRegTrainLib.losses.similarity`. ``smoothness`` weighs the slopes of the field: everywhere without
    known displacements, and with them only where those do not count. ``fold_barrier`` weighs compression."""

    supervision: str = "supervised"
    loss: str = "l2"
    unit: str = "voxels"
    similarity: str = "lncc"
    smoothness: float = 0.0
    fold_barrier: float = 0.0

    def terms(self, field: Tensor, level: PairLevel) -> dict[str, Tensor]:
        """The parts of the loss, weighted, to be summed; ``field`` (1, 3, z, y, x) is on the cells of ``level``, in
        voxels of the finest grid."""
        field = field.float()
        terms = getattr(self, f"_{self.supervision}")(field, level)
        if self.smoothness > 0:
            free = (1 - level.weight).clamp_min(0) if self.supervision == "supervised" else None
            terms["smoothness"] = self.smoothness * diffusion(field / level.cell, free)
        if self.fold_barrier > 0:
            terms["folds"] = self.fold_barrier * fold_barrier(field / level.cell, level.region)
        return terms

    def _supervised(self, field: Tensor, level: PairLevel) -> dict[str, Tensor]:
        truth = level.displacement
        if self.unit == "mm":
            field, truth = level.in_mm(field), level.in_mm(truth)
        return {"displacement": LOSSES[self.loss](field, truth, level.weight)}

    def _unsupervised(self, field: Tensor, level: PairLevel) -> dict[str, Tensor]:
        fixed, moving = level.images()
        return {"similarity": SIMILARITIES[self.similarity](fixed, pulled(moving, field / level.cell), level.weight)}

    def _weakly(self, field: Tensor, level: PairLevel) -> dict[str, Tensor]:
        fixed, moving = level.labels()
        return {"overlap": dice_loss(fixed, pulled(moving, field / level.cell), level.seen())}


def error_mm(field: Tensor, level: PairLevel) -> Tensor:
    """The mean endpoint error in mm where it counts, without gradient."""
    return endpoint_error(level.in_mm(field.detach().float()), level.in_mm(level.displacement), level.weight)


def zero_error_mm(level: PairLevel) -> Tensor:
    """The same for a field that moves nothing: what any network has to beat."""
    return error_mm(level.displacement.new_zeros(level.displacement.shape), level)
