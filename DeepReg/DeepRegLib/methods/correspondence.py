"""A network that finds corresponding places coarse to fine with local cost volumes, on voxels of the size it was
trained with, whatever the size of the chest."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from ..errors import ModelProblem
from ..models.find import Model
from .interface import Cancelled, Method, NetworkKind, Progress, register_network_kind
from .network_method import OUTPUT_UNITS, UNITS

if TYPE_CHECKING:
    import torch

    from ..models.card import ModelCard
    from ..transforms.displacement_field import DisplacementField
    from .pair import Pair

KIND = "correspondence"
DESCRIPTION = "Network that matches places coarse to fine, with the cost of every candidate around them."
ARCHITECTURE = "correspondence"
PREPROCESSING = "lung window and local contrast"


def check_card(card: ModelCard) -> None:
    """Raises :class:`~DeepRegLib.errors.ModelProblem` unless the card describes a model that this method can run."""
    spacing = card.input.spacing_mm
    rules = (
        (card.architecture.name == ARCHITECTURE, f"has the network '{card.architecture.name}'"),
        (card.input.preprocessing == PREPROCESSING, f"wants its images as '{card.input.preprocessing}'"),
        (card.input.units == UNITS, f"takes images in '{card.input.units}'"),
        (card.output_units == OUTPUT_UNITS, f"gives displacements in '{card.output_units}'"),
        (card.input.size is None, "asks for a fixed number of voxels"),
        (spacing is not None and len(set(spacing)) == 1, "does not work on cubic voxels of a fixed size"),
    )
    for holds, what in rules:
        if not holds:
            raise ModelProblem(
                f"The model '{card.name}' {what}: the method '{KIND}' cannot run it.",
                hint="Get the model for this version, or choose another method.",
            )


def _with_model(model: Model) -> Method:
    card = model.card
    return Method(card.name, card.description, partial(_propose, model), model=card.name, check=partial(_check, model))


def _check(model: Model, device: torch.device) -> None:
    check_card(model.card)
    from ..models.load import load_network

    load_network(model)


def _propose(model: Model, pair: Pair, progress: Progress, cancelled: Cancelled) -> Sequence[DisplacementField]:
    check_card(model.card)
    from ..models.load import load_network
    from .correspondence_pass import field_of

    assert model.card.input.spacing_mm is not None  # the card was checked
    return (field_of(load_network(model), model.card, pair, progress, cancelled),)


register_network_kind(NetworkKind(KIND, DESCRIPTION, _with_model))
