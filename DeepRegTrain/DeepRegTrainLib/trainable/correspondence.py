"""The correspondence network: composed levels, each compared with the truth on its own cells."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from DeepRegLib.methods.correspondence import KIND, PREPROCESSING
from DeepRegLib.models.card import Architecture, ModelInput
from DeepRegLib.networks.coarse_to_fine import cell_indices, finer, sample_at
from DeepRegLib.networks.correspondence import CELLS, CorrespondenceNetwork, Estimate, at_full_resolution
from DeepRegLib.networks.correspondence_input import image_channels
from torch import Tensor, nn
from torch.nn import functional

from ..losses.candidates import needed_correction, surprise
from ..objective import Objective, error_mm
from ..pair_level import NOTHING, PairLevel
from ..pairs.training_pair import TrainingPair
from .interface import ERROR, Deployment, LevelEstimate, Stage

PHASES = (0.08, 0.33, 0.6)
"""Shares of the steps from which the last coarse level, the finest level and its second application are trained."""
WEIGHTS = (0.4, 0.7)
"""Of the coarse levels: the coarser, the less its error says of the result."""
SURPRISE_WEIGHTS = (2.0, 1.0)
"""Of the coarse levels: a place that the first level misses is lost to the others."""
BLOCK = 40
"""Voxels along the block that the finest level is trained on: it sees little beyond a place, and costs the most."""
TRIES = 2
MARGIN = 8
"""Voxels of the pair on each side that only the moving image keeps, as in registration."""
SMALLEST_WITH_MARGIN = 40
"""Voxels along a pair from which that margin can be spared."""

Block = tuple[slice, slice, slice]


class TrainableCorrespondence:
    """Trains in the order of :data:`PHASES`: the coarse levels, then the finest one on a block, then applied twice.
    Which block it is follows from the step. ``candidates`` weighs how surprised each level is by the truth, where it is
    known."""

    def __init__(
        self,
        network: CorrespondenceNetwork,
        arguments: dict[str, Any],
        spacing_mm: float,
        objective: Objective,
        steps: int,
        candidates: float = 0.0,
    ) -> None:
        self.network = network
        self._arguments = arguments
        self._spacing_mm = spacing_mm
        self._objective = objective
        # A half-trained matcher of coarse cells folds everywhere; what counts is the last field.
        self._coarse_objective = dataclasses.replace(objective, fold_barrier=0.0)
        self._candidates = candidates if objective.supervision == "supervised" else 0.0
        self._starts = [int(share * steps) for share in PHASES]

    def loss_terms(self, pair: TrainingPair, step: int) -> dict[str, Tensor]:
        inner = without_margin(pair)
        terms: dict[str, Tensor] = {}
        before: Tensor | None = None
        for k, estimate in enumerate(self._coarse(pair, inner, step)):
            level = PairLevel.of(inner, estimate.cell)
            name = f"cells of {estimate.cell}"
            for part, value in self._coarse_objective.terms(estimate.field, level).items():
                terms[f"{part}, {name}"] = WEIGHTS[k] * value
            if self._candidates > 0:
                terms[f"candidates, {name}"] = SURPRISE_WEIGHTS[k] * self._surprise(estimate, before, level)
            before = finer(estimate.field.detach().float())
        field = estimate.field
        if step >= self._starts[1]:
            block = random_block(inner.weight, step)
            level = PairLevel.of(cut(inner, block), 1)
            for k, (fine, before) in enumerate(self._fine(pair, inner, estimate, block, step)):
                name = f"voxels {k + 1}"
                terms |= {f"{part}, {name}": t for part, t in self._objective.terms(fine.field, level).items()}
                if self._candidates > 0:
                    terms[f"candidates, {name}"] = self._surprise(fine, before, level)
                field = fine.field
        return {**terms, ERROR: error_mm(field, level)}

    def estimate(self, pair: TrainingPair, step: int) -> Tensor:
        fixed, moving = channels(pair)
        if step >= self._starts[1]:
            return self.network(fixed, moving, pair.region).float()
        *_, last = self.network.coarse(fixed, moving, pair.region)
        return at_full_resolution(last).field.float()

    def level_estimates(self, pair: TrainingPair, step: int) -> list[LevelEstimate]:
        fixed, moving = channels(pair)
        levels = self.network.estimates if step >= self._starts[1] else self.network.coarse
        # The finest level comes more than once; its last field counts.
        fields = {estimate.cell: estimate.field for estimate in levels(fixed, moving, pair.region)}
        return [
            LevelEstimate(f"level of {cell * self._spacing_mm:g} mm", None, _on_voxels(field, cell).float())
            for cell, field in fields.items()
        ]

    def stages(self, steps: int) -> list[Stage]:
        names = ("first level", "coarse levels", "finest level", "finest level twice")
        found = dict(zip((0, *self._starts), names, strict=True))
        return [Stage(start, name) for start, name in sorted(found.items()) if start < steps or start == 0]

    def deployed(self, network: nn.Module) -> tuple[nn.Module, Deployment]:
        model_input = ModelInput(None, (self._spacing_mm,) * 3, "HU", PREPROCESSING)
        return network, Deployment(Architecture("correspondence", self._arguments), KIND, model_input)

    def _coarse(self, pair: TrainingPair, inner: TrainingPair, step: int) -> Iterator[Estimate]:
        last = len(CELLS) if step >= self._starts[0] else len(CELLS) - 1
        fixed, moving = channels(inner)[0], channels(pair)[1]
        levels = self.network.coarse(fixed, moving, inner.region)
        for _, estimate in zip(range(last), levels, strict=False):
            yield estimate

    def _fine(
        self, pair: TrainingPair, inner: TrainingPair, estimate: Estimate, block: Block, step: int
    ) -> Iterator[tuple[Estimate, Tensor]]:
        """What is known on ``block`` after each application of the finest level, and the field before it."""
        margin = (pair.fixed.shape[2] - inner.fixed.shape[2]) // 2
        fixed, moving = channels(inner)[0][:, :, *block], channels(pair)[1]
        coarse = (slice(None), slice(None), *(slice(part.start // 2, part.stop // 2) for part in block))
        estimate = dataclasses.replace(estimate, field=estimate.field[coarse], context=estimate.context[coarse])
        estimate = at_full_resolution(estimate)
        first = fixed.new_tensor([part.start + margin for part in reversed(block)]).reshape(1, 3, 1, 1, 1)
        index = cell_indices(fixed.shape[2:], fixed.device) + first
        region = inner.region[:, :, *block]
        described = self.network.describe3(fixed)
        for _ in range(2 if step >= self._starts[2] else 1):
            with torch.no_grad():
                pulled = sample_at(moving, index + estimate.field, "zeros")
            before = estimate.field.detach().float()
            estimate = self.network.fine(described, pulled, region, estimate)
            yield estimate, before

    def _surprise(self, estimate: Estimate, before: Tensor | None, level: PairLevel) -> Tensor:
        """How unlikely the candidates around the truth were that ``estimate`` chose from; ``before`` is the field that
        it corrected, on its cells."""
        with torch.autocast(level.weight.device.type, enabled=False):
            with torch.no_grad():
                needed = level.displacement
                if before is not None:
                    needed = needed_correction(level.displacement, before, estimate.cell)
                weight = level.weight
                if needed.shape[2:] != estimate.likely.shape[2:]:  # the finest decoder works on cells of two voxels
                    needed, weight = functional.avg_pool3d(needed * weight, 2), functional.avg_pool3d(weight, 2)
                    needed = needed / weight.clamp_min(NOTHING)
            return self._candidates * surprise(estimate.likely, needed / estimate.cell, weight)


def channels(pair: TrainingPair) -> tuple[Tensor, Tensor]:
    """What the network sees of the fixed and of the moving image."""
    fixed = image_channels(pair.fixed, pair.fixed_seen)
    moving = image_channels(pair.moving, pair.moving_seen)
    return tuple(image.contiguous(memory_format=torch.channels_last_3d) for image in (fixed, moving))  # type: ignore[return-value]


def _on_voxels(field: Tensor, cell: int) -> Tensor:
    """A field on cells of ``cell`` voxels, a power of two, on the voxels."""
    while cell > 1:
        field, cell = finer(field), cell // 2
    return field


def without_margin(pair: TrainingPair) -> TrainingPair:
    """The inner part of a pair that is large enough, else the pair itself."""
    shape = pair.fixed.shape[2:]
    if min(shape) < SMALLEST_WITH_MARGIN:
        return pair
    return cut(pair, tuple(slice(MARGIN, n - MARGIN) for n in shape))  # type: ignore[arg-type]


def cut(pair: TrainingPair, block: Block) -> TrainingPair:
    """The voxels (z, y, x) of a pair that lie in ``block``; displacements still lead to the whole moving image."""
    parts: dict[str, Any] = {name: tensor[:, :, *block] for name, tensor in pair.tensors().items()}
    return dataclasses.replace(pair, **parts)


def random_block(weight: Tensor, step: int) -> Block:
    """A block of at most :data:`BLOCK` voxels along each axis of ``weight`` (1, 1, z, y, x; even sides) at an even
    place: the one with more weight of :data:`TRIES` that ``step`` draws."""
    shape = tuple(weight.shape[2:])
    rng = np.random.default_rng([step, *shape])
    blocks: list[Block] = []
    for _ in range(TRIES):
        lengths = [min(BLOCK, n) for n in shape]
        starts = [2 * int(rng.integers(0, (n - length) // 2 + 1)) for n, length in zip(shape, lengths, strict=True)]
        blocks.append(tuple(slice(start, start + length) for start, length in zip(starts, lengths, strict=True)))  # type: ignore[arg-type]
    return max(blocks, key=lambda block: float(weight[:, :, *block].mean()))
