"""Reads weights: safetensors only, checked against the card and the network before any of them is used."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import nn

from ..errors import ModelProblem
from .card import other_weights

HEADER_BYTES = 10_000_000
"""Room for the header of a weights file; that of a network with thousands of tensors is below one megabyte."""
NAMES_SHOWN = 3
"""Tensors that an error names; the others are counted."""

State = Mapping[str, torch.Tensor]


def load_weights(network: nn.Module, path: Path, sha256: str) -> None:
    """Copy the weights in ``path`` into ``network``; half precision becomes the precision of the network.

    Raises :class:`ModelProblem` and leaves the network as it was when the file is missing, is not the one with the
    checksum ``sha256``, is truncated or damaged, holds other tensors than the network or values that are not numbers.
    """
    network.load_state_dict(read_weights(path, sha256, network.state_dict()))


def read_weights(path: Path, sha256: str, expected: State) -> dict[str, torch.Tensor]:
    """The tensors in ``path``, on the CPU, with the names, shapes and precision of those in ``expected`` (which may be
    without values, on the meta device). Raises as :func:`load_weights`."""
    content = _read_bytes(path, at_most=sum(t.numel() * t.element_size() for t in expected.values()) + HEADER_BYTES)
    # The bytes that were hashed are the bytes that are used: the file is read once.
    if hashlib.sha256(content).hexdigest() != sha256:
        raise other_weights(path)
    try:
        state = load(content)
    except (SafetensorError, KeyError, ValueError, RuntimeError) as error:
        raise ModelProblem(f"The weights '{path.name}' are damaged: {error}.", hint="Get the model again.") from error
    check_state(state, expected, f"The weights '{path.name}'")
    return {name: tensor.to(expected[name].dtype) for name, tensor in state.items()}


def check_state(state: State, expected: State, owner: str) -> None:
    """Raises :class:`ModelProblem` unless ``state`` has the names, shapes and kinds of numbers of ``expected`` and
    values that are finite in its precision; ``owner`` begins the sentence."""
    _refuse(expected.keys() - state.keys(), owner, "lack tensors of the network")
    _refuse(state.keys() - expected.keys(), owner, "hold tensors that the network does not have")
    for name, tensor in state.items():
        if tensor.shape != expected[name].shape:
            raise ModelProblem(
                f"{owner} do not fit the network: '{name}' is {tuple(tensor.shape)} "
                f"instead of {tuple(expected[name].shape)}."
            )
        if tensor.is_floating_point() != expected[name].is_floating_point():
            raise ModelProblem(f"{owner} do not fit the network: '{name}' holds {tensor.dtype}.")
        if not torch.isfinite(tensor.to(expected[name].dtype)).all():
            raise ModelProblem(f"{owner} hold values that are not numbers, in '{name}'.")


def _read_bytes(path: Path, at_most: int) -> bytes:
    try:
        size = path.stat().st_size
        if size > at_most:
            raise ModelProblem(f"The weights '{path.name}' are larger ({size} bytes) than the network can hold.")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ModelProblem(
            f"The weights '{path.name}' are missing beside their model card.", hint="Get the model again."
        ) from error
    except OSError as error:
        raise ModelProblem(f"The weights '{path.name}' cannot be read: {error}.") from error


def _refuse(names: Iterable[str], owner: str, what: str) -> None:
    names = sorted(names)
    if names:
        more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
        raise ModelProblem(f"{owner} {what}: {', '.join(names[:NAMES_SHOWN])}{more}.")
