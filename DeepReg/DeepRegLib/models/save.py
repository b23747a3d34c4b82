"""From a trained network to a model on disk."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save
from torch import nn

from ..errors import ModelProblem
from ..files import whole_file
from .build import build_network
from .card import CARD_SUFFIX, ModelCard, read_card, weights_name
from .find import Model
from .weights import check_state


def save_model(folder: Path, card: ModelCard, network: nn.Module) -> Model:
    """Write the weights of ``network`` and ``card``, completed with their file name and checksum, into ``folder``.

    A network in half precision gives a file of half the size. The name of the weights carries their checksum and the
    card is written after them: whoever reads at any moment finds the former model or the new one, each whole. The
    weights of a former model of this name are removed last.

    Raises :class:`ModelProblem` when the network is not the one that the card describes or holds values that are not
    numbers, and :class:`~DeepRegLib.errors.OutputProblem` when the folder cannot be written.
    """
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    with torch.device("meta"):
        expected = build_network(card.architecture.name, card.architecture.arguments).state_dict()
    check_state(state, expected, f"The weights of '{card.name}'")
    content = save(state)
    digest = hashlib.sha256(content).hexdigest()
    card = replace(card, weights_file=weights_name(card.name, digest), sha256=digest)
    model = Model(card, folder)
    card_path = folder / f"{card.name}{CARD_SUFFIX}"
    former = _former_weights(card_path)
    with whole_file(model.weights) as temporary:
        temporary.write_bytes(content)
    with whole_file(card_path) as temporary:
        temporary.write_text(card.to_json(), encoding="utf-8")
    if former is not None and former != model.weights:
        former.unlink(missing_ok=True)
    return model


def _former_weights(card_path: Path) -> Path | None:
    try:
        return card_path.parent / read_card(card_path).weights_file
    except ModelProblem:
        return None
