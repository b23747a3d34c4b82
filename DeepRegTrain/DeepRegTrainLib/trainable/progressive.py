"""The progressive U-Net of Eppenhof 2020: levels join one after the other, only those that take part are computed."""

from __future__ import annotations

from typing import Any

import torch
from DeepRegLib.errors import ModelProblem
from DeepRegLib.networks.progressive_schedule import alpha_schedule, level_start
from DeepRegLib.networks.progressive_unet import ProgressiveUNet
from torch import Tensor, nn
from torch.nn import functional

from ..objective import Objective, error_mm
from ..pair_level import PairLevel
from ..pairs.training_pair import TrainingPair
from .dense import gradient_images, unet_deployment
from .interface import ERROR, Deployment, LevelEstimate, Stage


class TrainableProgressiveUNet:
    """``delta`` and ``period`` are the paper's δ and Δ, in steps. The loss is taken on the grid of the highest level
    that takes part, in voxels of the finest grid; ``at_full_resolution`` takes it on the finest grid always, as
    printed. Both differ only by the part of the displacements that the lower grid cannot show."""

    def __init__(
        self,
        network: ProgressiveUNet,
        arguments: dict[str, Any],
        size: int,
        objective: Objective,
        delta: float,
        period: float,
        at_full_resolution: bool = False,
    ) -> None:
        self.network = network
        self._arguments = arguments
        self._size = size
        self._objective = objective
        self._delta, self._period = delta, period
        self._at_full_resolution = at_full_resolution

    @property
    def levels(self) -> int:
        return self.network.unet.levels

    def alphas(self, step: int) -> tuple[float, ...]:
        """The weights of the levels at ``step``, bottom first."""
        return alpha_schedule(step, self._delta, self._period, self.levels)

    def loss_terms(self, pair: TrainingPair, step: int) -> dict[str, Tensor]:
        alphas = self.alphas(step)
        if self._at_full_resolution:
            field = self.network(gradient_images(pair), alphas).float()
        else:
            field = self.network.at_active_level(gradient_images(pair), alphas).float()
        level = PairLevel.of(pair, pair.fixed.shape[2] // field.shape[2])
        return {**self._objective.terms(field, level), ERROR: error_mm(field, level)}

    def estimate(self, pair: TrainingPair, step: int) -> Tensor:
        field = self.network.at_active_level(gradient_images(pair), self.alphas(step)).float()
        return _resized(field, pair.fixed.shape[2:])

    def level_estimates(self, pair: TrainingPair, step: int) -> list[LevelEstimate]:
        alphas = self.alphas(step)
        fields = self.network.level_fields(gradient_images(pair), alphas)
        active = fields[max(fields)].shape[2:]  # by way of this grid, as the estimate is, or they would not sum to it
        return [
            LevelEstimate(
                f"level {level + 1} of {self.levels}",
                alphas[level],
                _resized(_resized(field.float(), active), pair.fixed.shape[2:]),
            )
            for level, field in fields.items()
        ]

    def stages(self, steps: int) -> list[Stage]:
        starts = [(max(0, int(level_start(k, self._delta, self._period))), k) for k in range(self.levels)]
        return [Stage(start, f"level {level}") for start, level in starts if start < steps]

    def complete_from(self) -> int:
        """The step from which the top level is alone and the network is the plain U-Net."""
        return int(level_start(self.levels - 1, self._delta, self._period) + self._delta)

    def deployed(self, network: nn.Module) -> tuple[nn.Module, Deployment]:
        assert isinstance(network, ProgressiveUNet)
        arguments = {name: value for name, value in self._arguments.items() if name != "extra_kernel"}
        return network.unet, unet_deployment(arguments, self._size)

    def check_finished(self, step: int) -> None:
        """Raises :class:`~DeepRegLib.errors.ModelProblem` before the top level is alone."""
        if step < self.complete_from():
            raise ModelProblem(
                f"The highest level of the network is alone from step {self.complete_from()} on, and the run has done "
                f"{step}: what infers is not trained yet.",
                "Go on with the run, or start one with more steps or a shorter schedule.",
            )


def _resized(field: Tensor, size: torch.Size) -> Tensor:
    """The field on a grid of ``size`` (z, y, x) over the same extent; the vectors keep their values."""
    return functional.interpolate(field, size=size, mode="trilinear", align_corners=False)
