"""States of a run on disk: tensors as safetensors, numbers as JSON, never pickles.

A checkpoint is two files, ``000123.safetensors`` and ``000123.json``. The second one is written last and names the
checksum of the first: a state without it does not count. Both appear whole, forced onto the disk, and the state before
the last one stays, so that no moment of a kill, a full disk or a power cut leaves a run without a state to go on from.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from DeepRegLib.errors import BadInput, OutputProblem
from DeepRegLib.files import whole_file
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from ..optimisation import AveragedWeights
from .layout import write_json

KEPT = 2
FORMAT = 1
WEIGHTS, AVERAGE, OPTIMISER, RANDOM = "network.", "average.", "optimiser.", "random."
"""Beginnings of the names of tensors."""


@dataclass(frozen=True)
class Checkpoint:
    """A state after ``step`` steps: ``tensors`` by name, and ``numbers`` ready for JSON."""

    step: int
    tensors: dict[str, Tensor]
    numbers: dict[str, Any]


def write_checkpoint(folder: Path, checkpoint: Checkpoint, kept: int = KEPT) -> None:
    """Write ``checkpoint`` and remove all but the last ``kept``. Raises
    :class:`~DeepRegLib.errors.OutputProblem` when there is no room; all earlier states stay then."""
    content = save({name: tensor.detach().cpu().contiguous() for name, tensor in checkpoint.tensors.items()})
    weights, index = _files(folder, checkpoint.step)
    # Of a state with the same number the index goes first: its checksum is not that of the new tensors.
    with contextlib.suppress(OSError):
        index.unlink()
    with whole_file(weights, len(content)) as temporary:
        temporary.write_bytes(content)
    record = {
        "format": FORMAT,
        "step": checkpoint.step,
        "sha256": hashlib.sha256(content).hexdigest(),
        "numbers": checkpoint.numbers,
    }
    write_json(index, record)
    for step in _steps(folder)[:-kept]:
        for file in reversed(_files(folder, step)):
            with contextlib.suppress(OSError):
                file.unlink()
    _remove_orphans(folder)


def read_last_checkpoint(folder: Path) -> tuple[Checkpoint | None, list[str]]:
    """The last state that is whole (None where there is none yet), and sentences about those that are not."""
    problems: list[str] = []
    for step in reversed(_steps(folder)):
        try:
            return _read(folder, step), problems
        except BadInput as problem:
            problems.append(str(problem))
    return None, problems


def state_of(
    step: int,
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    average: AveragedWeights | None,
    numbers: dict[str, Any],
) -> Checkpoint:
    """Everything that the next step depends on. ``numbers`` is the caller's, given back by :func:`restore`."""
    tensors = {f"{WEIGHTS}{name}": tensor for name, tensor in network.state_dict().items()}
    if average is not None:
        tensors |= {f"{AVERAGE}{name}": tensor for name, tensor in average.state.items()}
    state = optimiser.state_dict()["state"]
    for index, values in state.items():
        tensors |= {f"{OPTIMISER}{index}.{name}": t for name, t in values.items() if isinstance(t, Tensor)}
    tensors[f"{RANDOM}cpu"] = torch.get_rng_state()
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        tensors[f"{RANDOM}cuda"] = torch.cuda.get_rng_state()
    return Checkpoint(step, tensors, numbers)


def restore(
    checkpoint: Checkpoint, network: nn.Module, optimiser: torch.optim.Optimizer, average: AveragedWeights | None
) -> dict[str, Any]:
    """Bring network, optimiser, average and PyTorch's random numbers to ``checkpoint``; returns its numbers.

    Raises :class:`~DeepRegLib.errors.BadInput` when it is that of another network.
    """
    try:
        network.load_state_dict(_part(checkpoint, WEIGHTS))
        if average is not None:
            _fill(average.state, _part(checkpoint, AVERAGE))
        _restore_optimiser(optimiser, _part(checkpoint, OPTIMISER))
        torch.set_rng_state(checkpoint.tensors[f"{RANDOM}cpu"])
        on_card = checkpoint.tensors.get(f"{RANDOM}cuda")
        if on_card is not None and torch.cuda.is_available():
            torch.cuda.set_rng_state(on_card)
    except (RuntimeError, KeyError, ValueError, IndexError) as error:
        raise BadInput(f"The checkpoint of step {checkpoint.step} does not fit the settings of the run.") from error
    return checkpoint.numbers


def _restore_optimiser(optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    optimiser.state.clear()
    for name, tensor in tensors.items():
        number, _, part = name.partition(".")
        parameter = parameters[int(number)]
        if tensor.shape == parameter.shape:
            # In the memory order of the weights, as the optimiser made it: sums run in the same order then.
            value = torch.empty_like(parameter, dtype=tensor.dtype)
            value.copy_(tensor)
        else:
            value = tensor.clone()
        optimiser.state[parameter][part] = value


def _fill(state: dict[str, Tensor], tensors: dict[str, Tensor]) -> None:
    if state.keys() != tensors.keys():
        raise KeyError("other names")
    for name, tensor in tensors.items():
        state[name].copy_(tensor)


def _part(checkpoint: Checkpoint, beginning: str) -> dict[str, Tensor]:
    found = checkpoint.tensors.items()
    return {name.removeprefix(beginning): tensor for name, tensor in found if name.startswith(beginning)}


def _read(folder: Path, step: int) -> Checkpoint:
    weights, index = _files(folder, step)
    try:
        record = json.loads(index.read_text(encoding="utf-8"))
        content = weights.read_bytes()
        if record["format"] != FORMAT or record["step"] != step:
            raise ValueError("another version")
        if hashlib.sha256(content).hexdigest() != record["sha256"]:
            raise ValueError("its checksum differs")
        return Checkpoint(step, load(content), record["numbers"])
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise BadInput(f"The checkpoint of step {step} is damaged: {error}.") from error


def _files(folder: Path, step: int) -> tuple[Path, Path]:
    return folder / f"{step:08d}.safetensors", folder / f"{step:08d}.json"


def _steps(folder: Path) -> list[int]:
    return sorted(int(file.stem) for file in folder.glob("*.json") if file.stem.isdigit())


def _orphans(folder: Path) -> Iterator[Path]:
    known = set(_steps(folder))
    for file in folder.glob("*.safetensors"):
        if file.stem.isdigit() and int(file.stem) not in known:
            yield file


def _remove_orphans(folder: Path) -> None:
    """Tensors whose index is gone: left by a kill between two files."""
    for file in list(_orphans(folder)):
        with contextlib.suppress(OSError):
            file.unlink()


def full_disk(problem: OutputProblem, step: int | None) -> OutputProblem:
    """The error for a run whose state cannot be written; ``step`` is the last one that was."""
    kept = "there is no state yet" if step is None else f"the state of step {step} is kept"
    return OutputProblem(
        f"The run had to stop: {problem} Nothing is lost but what came after; {kept}.",
        "Make room on the disk, then resume the run.",
    )
