"""Model cards of networks that come out of a run."""

from __future__ import annotations

from collections.abc import Sequence

from DeepRegLib.models.card import ModelCard, TrainingData, ValidationRow
from torch import nn

from .settings import Settings
from .trainable.interface import TrainableNetwork
from .trainable.progressive import TrainableProgressiveUNet

UNDER_TRAINING = "under-training"
LICENCE = "Apache-2.0"


def card_under_training(
    trainable: TrainableNetwork, network: nn.Module, settings: Settings, done: int
) -> tuple[nn.Module, ModelCard]:
    """What infers of ``network`` after ``done`` steps, and a card to run it with.

    Raises :class:`~DeepRegLib.errors.ModelProblem` while that part is not trained yet.
    """
    return trained_model(trainable, network, settings, done, UNDER_TRAINING, "A network under training.", LICENCE)


def trained_model(
    trainable: TrainableNetwork,
    network: nn.Module,
    settings: Settings,
    done: int,
    name: str,
    description: str,
    licence: str,
    data: Sequence[TrainingData] = (),
    hardware: str = "",
    hours: float = 0.0,
    validation: Sequence[ValidationRow] = (),
) -> tuple[nn.Module, ModelCard]:
    """What infers of ``network`` and its card. Raises :class:`~DeepRegLib.errors.ModelProblem` as above."""
    if isinstance(trainable, TrainableProgressiveUNet):
        trainable.check_finished(done)
    part, deployment = trainable.deployed(network)
    card = ModelCard(
        name=name,
        description=description,
        architecture=deployment.architecture,
        method=deployment.method,
        input=deployment.input,
        output_units="voxels",
        training_data=tuple(data),
        steps=done,
        hardware=hardware or "not known",
        hours=hours,
        validation=tuple(validation),
        licence=licence,
    )
    return part, card
