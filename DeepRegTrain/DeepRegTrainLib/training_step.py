"""One step of a training, and what can go wrong in it."""

from __future__ import annotations

import math
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from DeepRegLib.errors import DeepRegError
from torch import Tensor, nn

from .autocast import autocast
from .distributed import Group
from .objective import zero_error_mm
from .optimisation import AveragedWeights, gradient_norm, learning_rate, make_optimiser, set_learning_rate
from .pair_level import PairLevel, focused
from .pairs.training_pair import TrainingPair
from .settings import Settings
from .trainable.interface import ERROR, TrainableNetwork

ABSURD_SIZES = 1.0
"""A mean error of more than the whole image: every voxel is sent out of it."""
ABSURD_STEPS = 10
"""So many such steps in a row are no accident of one pair."""


class TrainingExploded(DeepRegError):
    """The weights went where no training comes back from."""


@dataclass(frozen=True)
class StepNumbers:
    """``loss``, the mean error of the field and that of a field that moves nothing, both in mm, the norm of the
    gradient before it was bounded, and the learning rate."""

    loss: float
    error_mm: float
    zero_mm: float
    gradient: float
    learning_rate: float


class Steps:
    """Changes the weights of a network under training, step by step.

    ``device`` holds the weights; the group shares the pairs of a step. Everything random in a step follows from its
    number.
    """

    def __init__(self, trainable: TrainableNetwork, settings: Settings, device: torch.device, group: Group) -> None:
        self.trainable = trainable
        self.network = trainable.network.to(device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        self.settings = settings
        self.device = device
        self.group = group
        self.optimiser = make_optimiser(settings, self.network)
        self.average = AveragedWeights(self.network, settings.average) if settings.average > 0 else None
        self._losses = group.parallel(_Losses(trainable), device)
        self._absurd = 0

    def do(self, step: int, pairs: list[TrainingPair]) -> StepNumbers:
        """Train on ``pairs``, this process's share of step ``step`` (from 0).

        Raises :class:`TrainingExploded`, before the weights are changed by a gradient that is no number.
        """
        self.network.train()
        rate = learning_rate(self.settings, step)
        set_learning_rate(self.optimiser, rate)
        self.optimiser.zero_grad(set_to_none=True)
        measured = torch.zeros(3, device=self.device)
        for k, pair in enumerate(pairs):
            last = k == len(pairs) - 1
            with nullcontext() if last or self.group.size == 1 else self._losses.no_sync():  # type: ignore[operator]
                measured += self._gradients(pair, step, 1 / len(pairs))
        norm = gradient_norm(self.network, self.settings.clip)
        loss, error, zero, gradient = self.group.mean(torch.cat([measured, norm.detach()[None]])).tolist()
        numbers = StepNumbers(loss, error, zero, gradient, rate)
        self._refuse_explosion(numbers, step, pairs[0])
        self.optimiser.step()
        if self.average is not None:
            self.average.update(self.network, step)
        return numbers

    def leave_group(self) -> None:
        """Let go of what takes the mean of the gradients over the processes; no step can follow.

        It holds the group, and whoever is the last to do so waits for the group's threads. Python does it in a way that
        lets them finish; this does it while it locks them out, which now and then is for ever.
        """
        del self._losses

    def state(self) -> dict[str, Any]:
        """What the next step depends on beside tensors."""
        return {"absurd": self._absurd}

    def set_state(self, state: dict[str, Any]) -> None:
        self._absurd = int(state["absurd"])

    def _gradients(self, pair: TrainingPair, step: int, share: float) -> Tensor:
        """Adds this share of the gradients of a pair; gives the same share of its loss, error and error of nothing."""
        pair = focused(pair, self.settings.outside)
        with autocast(self.settings.precision, self.device):
            terms = self._losses(pair, step)
        error = terms.pop(ERROR)
        loss = torch.stack([term.float() for term in terms.values()]).sum()
        (share * loss).backward()
        return share * torch.stack([loss.detach(), error, zero_error_mm(PairLevel.of(pair, 1))])

    def _refuse_explosion(self, numbers: StepNumbers, step: int, pair: TrainingPair) -> None:
        extent = max(n * s for n, s in zip(reversed(pair.fixed.shape[2:]), pair.spacing_mm, strict=True))
        broken = not (math.isfinite(numbers.loss) and math.isfinite(numbers.gradient))
        self._absurd = self._absurd + 1 if numbers.error_mm > ABSURD_SIZES * extent else 0
        if broken or self._absurd >= ABSURD_STEPS:
            what = "is no number any more" if broken else f"has grown to {numbers.loss:.3g}"
            raise TrainingExploded(
                f"The training exploded at step {step + 1}: the loss {what}.",
                "Start again with a lower learning rate, with gradients that are bounded (clip=1), or, for the "
                "progressive network, with a transition between the levels (delta above 0).",
            )


class _Losses(nn.Module):
    """The losses of a network as a module: what several processes run together."""

    def __init__(self, trainable: TrainableNetwork) -> None:
        super().__init__()
        self.network = trainable.network
        self._trainable = trainable

    def forward(self, pair: TrainingPair, step: int) -> dict[str, Tensor]:
        return self._trainable.loss_terms(pair, step)
