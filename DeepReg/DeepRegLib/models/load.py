"""From a model on disk to a network that is ready to infer."""

from __future__ import annotations

import torch
from torch import nn

from .build import build_network
from .find import Model
from .weights import read_weights


def load_network(model: Model) -> nn.Module:
    """The network of ``model`` with its weights: float32, on the CPU, in evaluation mode, without gradients.

    It is built without values first, so that a wrong card cannot ask for memory and nothing is initialised in vain.
    Raises :class:`~DeepRegLib.errors.ModelProblem` for whatever is wrong with the card or the weights.
    """
    with torch.device("meta"):
        network = build_network(model.card.architecture.name, model.card.architecture.arguments)
    state = read_weights(model.weights, model.card.sha256, network.state_dict())
    network.load_state_dict(state, assign=True)
    return network.eval().requires_grad_(False)
