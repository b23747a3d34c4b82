"""What the trainer asks of a network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from DeepRegLib.models.card import Architecture, ModelInput
from torch import Tensor, nn

from ..pairs.training_pair import TrainingPair

ERROR = "error_mm"
"""Entry of the loss terms that is no loss: the mean endpoint error in mm, without gradient."""


@dataclass(frozen=True)
class Stage:
    """A part of the schedule with one cost for each step: it begins at step ``start``."""

    start: int
    name: str


@dataclass(frozen=True)
class Deployment:
    """What a model card says of the trained network: how it is built again, the registration method (a kind of network)
    that runs it, and what it takes."""

    architecture: Architecture
    method: str
    input: ModelInput


@dataclass(frozen=True)
class LevelEstimate:
    """What one level of a network makes of a pair: displacements ``field`` (1, 3, z, y, x) in voxels on the grid of the
    pair. Where the estimate is a sum over levels, ``alpha`` is the weight of this one, not yet applied to ``field``;
    where each level corrects the one before, there is none, and ``field`` is what is known after the level."""

    name: str
    alpha: float | None
    field: Tensor


class TrainableNetwork(Protocol):
    """A network under training. ``network`` holds the weights; all else follows from the settings and the step, so that
    a run can go on from any step."""

    @property
    def network(self) -> nn.Module:
        """What holds the weights, in training mode or not as the caller wants."""
        ...

    def loss_terms(self, pair: TrainingPair, step: int) -> dict[str, Tensor]:
        """The weighted parts of the loss for ``pair`` at ``step``, to be summed, and under :data:`ERROR` the error of
        the field. Evaluates no part of the network that the step does not train."""
        ...

    def estimate(self, pair: TrainingPair, step: int) -> Tensor:
        """The displacements (1, 3, z, y, x) in voxels that the network as trained by ``step`` gives on the grid of the
        pair. Called in evaluation mode and without gradients."""
        ...

    def level_estimates(self, pair: TrainingPair, step: int) -> list[LevelEstimate]:
        """The levels that :meth:`estimate` is made from, coarse to fine; none for a network of one piece. Called as it
        is."""
        ...

    def stages(self, steps: int) -> list[Stage]:
        """The parts of a schedule of ``steps`` steps, the first of which starts at 0."""
        ...

    def deployed(self, network: nn.Module) -> tuple[nn.Module, Deployment]:
        """What infers of ``network`` (one with the averaged weights, for instance), and what its card says. Raises
        :class:`~DeepRegLib.errors.ModelProblem` where it could not be used yet."""
        ...


def stage_at(stages: list[Stage], step: int) -> Stage:
    """The stage that ``step`` belongs to.

    >>> stage_at([Stage(0, "coarse"), Stage(10, "fine")], 10).name
    'fine'
    """
    return [stage for stage in stages if stage.start <= step][-1]
