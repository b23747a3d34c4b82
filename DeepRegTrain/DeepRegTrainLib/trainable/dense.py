"""The U-Net of Eppenhof 2020 without its schedule: the baseline."""

from __future__ import annotations

from typing import Any

import torch
from DeepRegLib.methods.progressive_unet import PROGRESSIVE_UNET
from DeepRegLib.models.card import Architecture, ModelInput
from DeepRegLib.networks.inference import gradient_magnitude
from torch import Tensor, nn

from ..objective import Objective, error_mm
from ..pair_level import PairLevel
from ..pairs.training_pair import TrainingPair
from .interface import ERROR, Deployment, LevelEstimate, Stage


class TrainableUNet:
    """A network that gives the displacement of every voxel from the gradients of both images."""

    def __init__(self, network: nn.Module, arguments: dict[str, Any], size: int, objective: Objective) -> None:
        self.network = network
        self._arguments = arguments
        self._size = size
        self._objective = objective

    def loss_terms(self, pair: TrainingPair, step: int) -> dict[str, Tensor]:
        level = PairLevel.of(pair, 1)
        field = self.network(gradient_images(pair)).float()
        return {**self._objective.terms(field, level), ERROR: error_mm(field, level)}

    def estimate(self, pair: TrainingPair, step: int) -> Tensor:
        return self.network(gradient_images(pair)).float()

    def level_estimates(self, pair: TrainingPair, step: int) -> list[LevelEstimate]:
        return []

    def stages(self, steps: int) -> list[Stage]:
        return [Stage(0, "all levels")]

    def deployed(self, network: nn.Module) -> tuple[nn.Module, Deployment]:
        return network, unet_deployment(self._arguments, self._size)


def gradient_images(pair: TrainingPair) -> Tensor:
    """What the U-Nets see of a pair, (1, 2, z, y, x)."""
    images = torch.cat([gradient_magnitude(pair.fixed), gradient_magnitude(pair.moving)], 1)
    return images.contiguous(memory_format=torch.channels_last_3d)


def unet_deployment(arguments: dict[str, Any], size: int) -> Deployment:
    """A plain U-Net with the method that runs it."""
    return Deployment(
        Architecture("unet", arguments),
        PROGRESSIVE_UNET.name,
        ModelInput((size,) * 3, None, "HU", PROGRESSIVE_UNET.preprocessing),
    )
