"""Sample pairs in a run folder, for whoever watches; without torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from DeepRegLib.errors import BadInput

from .layout import RunFolder, read_json

PREDICTED = "predicted.npy"
"""The field that the network gave, beside the arrays of the pair."""
LEVELS = "levels.json"
"""Names and weights of the network's levels; samples of older versions have none."""
COMPLETE = "pair.json"
"""Written last."""


@dataclass(frozen=True)
class SampleLevel:
    """A level of the network, as in :class:`~DeepRegTrainLib.trainable.interface.LevelEstimate`; ``field`` is the file
    of its displacements, (z, y, x, 3), float32, mm."""

    name: str
    alpha: float | None
    field: Path


def sample_folders(run: RunFolder) -> list[Path]:
    """All samples, whole or not, by their steps."""
    try:
        return sorted(folder for folder in run.samples.iterdir() if folder.name.isdigit())
    except OSError:
        return []


def last_sample(run: RunFolder) -> Path | None:
    """The folder of the last sample that is whole; its name is the step."""
    return next((folder for folder in reversed(sample_folders(run)) if (folder / COMPLETE).is_file()), None)


def level_file(folder: Path, number: int) -> Path:
    """Where a sample keeps the field of a level; the coarsest is number 1."""
    return folder / f"level-{number}.npy"


def levels_of(folder: Path) -> list[SampleLevel]:
    """The levels in a sample, coarse to fine; none where the network has none, and in samples of older versions.

    Raises :class:`~DeepRegLib.errors.BadInput` when the list is damaged.
    """
    if not (folder / LEVELS).exists():
        return []
    try:
        told = [(str(level["name"]), level["alpha"]) for level in read_json(folder / LEVELS)["levels"]]
        return [
            SampleLevel(name, None if alpha is None else float(alpha), level_file(folder, number))
            for number, (name, alpha) in enumerate(told, start=1)
        ]
    except (KeyError, TypeError, ValueError) as problem:
        raise BadInput(f"'{folder / LEVELS}' is damaged.", "The next validation writes a new sample.") from problem
