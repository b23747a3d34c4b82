"""What the methods with one network share: from a model card to a method.

The network sees both images once on a working grid over the region and gives displacements in voxels of that grid, on
the grid itself or on coarser nodes. Nothing here needs torch until the network runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from ..errors import ModelProblem
from ..models.find import Model
from .interface import Cancelled, Method, NetworkKind, Progress

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import nn

    from ..images.geometry import Geometry
    from ..models.card import ModelCard
    from ..transforms.displacement_field import DisplacementField
    from .pair import Pair

UNITS = "HU"
"""Units of the images that both preprocessings expect."""
OUTPUT_UNITS = "voxels"


def whole(network: nn.Module) -> nn.Module:
    """The network that infers is the one that was saved."""
    return network


@dataclass(frozen=True)
class SinglePass:
    """A kind of network by its ``architectures`` (names in :mod:`~DeepRegLib.models.build`), its ``preprocessing`` (a
    name in :mod:`~DeepRegLib.methods.network_pass`), the part of it that infers, and ``to_field``: what the
    displacements (z, y, x, 3) in mm, LPS, that it gave on the working grid mean as a field."""

    name: str
    description: str
    architectures: tuple[str, ...]
    preprocessing: str
    to_field: Callable[[np.ndarray, Geometry], DisplacementField]
    inferring: Callable[[nn.Module], nn.Module] = whole

    def kind(self) -> NetworkKind:
        """What is to be registered."""
        return NetworkKind(self.name, self.description, self._with_model)

    def _with_model(self, model: Model) -> Method:
        card = model.card
        check, propose = partial(_check, self, model), partial(_propose, self, model)
        return Method(card.name, card.description, propose, model=card.name, check=check)


def check_card(card: ModelCard, kind: SinglePass) -> None:
    """Raises :class:`~DeepRegLib.errors.ModelProblem` unless the card describes a model that ``kind`` can run."""
    size = card.input.size
    rules = (
        (card.architecture.name in kind.architectures, f"has the network '{card.architecture.name}'"),
        (card.input.preprocessing == kind.preprocessing, f"wants its images as '{card.input.preprocessing}'"),
        (card.input.units == UNITS, f"takes images in '{card.input.units}'"),
        (card.output_units == OUTPUT_UNITS, f"gives displacements in '{card.output_units}'"),
        (card.input.spacing_mm is None, "asks for voxels of a fixed size"),
        (size is not None and len(set(size)) == 1, "works on a grid that is no cube"),
    )
    for holds, what in rules:
        if not holds:
            raise ModelProblem(
                f"The model '{card.name}' {what}: the method '{kind.name}' cannot run it.",
                hint="Get the model for this version, or choose another method.",
            )


def _check(kind: SinglePass, model: Model, device: torch.device) -> None:
    check_card(model.card, kind)
    from .network_pass import check_memory, check_size, ready_network

    network = ready_network(model, kind.inferring)
    check_size(network, model.card)
    check_memory(network, model.card, device)


def _propose(
    kind: SinglePass, model: Model, pair: Pair, progress: Progress, cancelled: Cancelled
) -> Sequence[DisplacementField]:
    check_card(model.card, kind)
    from .network_pass import check_memory, displacements_mm, ready_network

    network = ready_network(model, kind.inferring)
    check_memory(network, model.card, pair.device)
    size = model.card.input.size
    assert size is not None  # the card was checked
    geometry = pair.working_grid(size)
    displacements = displacements_mm(network, kind.preprocessing, pair, geometry, progress, cancelled)
    return (kind.to_field(displacements, geometry),)
