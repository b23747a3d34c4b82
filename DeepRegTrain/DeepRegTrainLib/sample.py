"""The last validation pair of a run with what the network made of it, as a folder that programs without torch can read.

``samples/00000500`` holds the pair as in :mod:`.preview_files`, ``predicted.npy``, (z, y, x, 3), float32, mm, and for
each level of the network, coarse to fine, ``level-1.npy`` and so on alike, with their names and weights in
``levels.json``. Its ``pair.json`` is written last, and the sample before is removed after that: a folder with one is
whole.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Sequence

import numpy as np
from DeepRegLib.array_files import write_array_in_steps, write_text
from DeepRegLib.errors import OutputProblem
from DeepRegLib.steps import finish
from torch import Tensor

from .pairs.training_pair import TrainingPair
from .preview_files import write_pair_folder
from .run_folder.layout import RunFolder
from .run_folder.samples import LEVELS, PREDICTED, level_file, sample_folders
from .trainable.interface import LevelEstimate


def write_sample(run: RunFolder, step: int, pair: TrainingPair, field: Tensor, levels: Sequence[LevelEstimate]) -> None:
    """Keep ``pair``, the ``field`` (1, 3, z, y, x; voxels) that the network gave after ``step`` steps, and its
    ``levels``. Raises :class:`~DeepRegLib.errors.OutputProblem`."""
    folder = run.samples / f"{step:08d}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputProblem(f"The folder '{folder}' cannot be made: {error.strerror}.") from error
    finish(write_array_in_steps(folder / PREDICTED, _vectors_mm(field, pair)))
    for number, level in enumerate(levels, start=1):
        finish(write_array_in_steps(level_file(folder, number), _vectors_mm(level.field, pair)))
    told = [{"name": level.name, "alpha": level.alpha} for level in levels]
    write_text(folder / LEVELS, json.dumps({"levels": told}, allow_nan=False))
    write_pair_folder(folder, pair)
    for former in sample_folders(run):
        if former != folder:
            with contextlib.suppress(OSError):
                shutil.rmtree(former)


def _vectors_mm(field: Tensor, pair: TrainingPair) -> np.ndarray:
    """A field in voxels of the pair as (z, y, x, 3), float32, mm."""
    scaled = field.float() * field.new_tensor(pair.spacing_mm).float().reshape(1, 3, 1, 1, 1)
    return np.ascontiguousarray(scaled[0].movedim(0, -1).cpu().numpy())
