"""How weights are changed: the optimiser, its learning rate at each step, and the average of the weights."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from .settings import Settings

FACTOR = "factor"
FACTOR_OF_NUMBERS = 10.0
"""A logarithm that has to go from 1.5 to 3 must not take steps of a thousandth."""
FIRST_AVERAGES = 20
"""The average forgets its random start: after t steps its decay is at most (t + 1) / (t + 20)."""


def make_optimiser(settings: Settings, network: nn.Module) -> torch.optim.Optimizer:
    """Stochastic gradient descent as printed in both Eppenhof papers, or AdamW. Parameters that are a single number
    (the sharpness of a matching level) get their own learning rate and no decay."""
    weights = [parameter for parameter in network.parameters() if parameter.ndim > 0]
    numbers = [parameter for parameter in network.parameters() if parameter.ndim == 0]
    groups: list[dict[str, Any]] = [{"params": weights, FACTOR: 1.0, "weight_decay": settings.weight_decay}]
    if numbers:
        groups.append({"params": numbers, FACTOR: FACTOR_OF_NUMBERS, "weight_decay": 0.0})
    if settings.optimiser == "sgd":
        return torch.optim.SGD(groups, settings.learning_rate, momentum=settings.momentum)
    return torch.optim.AdamW(groups, settings.learning_rate)


def learning_rate(settings: Settings, step: int) -> float:
    """The learning rate of ``step`` (from 0).

    >>> from .settings import recipe
    >>> learning_rate(recipe("vgg_grid"), 100_000)  # half, after 1 / (0.1 * 1e-4) steps
    0.05
    """
    rate = settings.learning_rate * min(1.0, (step + 1) / max(1, settings.warm_up))
    if settings.rate == "inverse":
        return rate / (1 + settings.learning_rate * settings.decay * step)
    if settings.rate == "cosine":
        done = min(1.0, step / settings.steps)
        return rate * (settings.last_rate + (1 - settings.last_rate) * 0.5 * (1 + math.cos(math.pi * done)))
    return rate


def set_learning_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = rate * group[FACTOR]


class AveragedWeights:
    """The exponential moving average of all weights and buffers of a network: it does not jitter as they do, and is
    what validation sees and export writes. Whole numbers (counters) are taken as they are."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.state = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Take in the weights after ``step`` (from 0)."""
        share = 1 - min(self.decay, (step + 1) / (step + FIRST_AVERAGES))
        for name, tensor in network.state_dict().items():
            kept = self.state[name]
            if kept.is_floating_point():
                kept.lerp_(tensor, share)
            else:
                kept.copy_(tensor)


def gradient_norm(network: nn.Module, limit: float) -> Tensor:
    """The norm of all gradients, before they are scaled down to ``limit`` (0: not at all)."""
    return nn.utils.clip_grad_norm_(network.parameters(), limit if limit > 0 else math.inf)
