"""The last validation pair of a run with what the network made of it, as a folder that programs without torch can read.

``samples/00000500`` holds the pair as in :mod:`.preview_files` and ``predicted.npy``, (z, y, x, 3), float32, mm. Its
``pair.json`` is written last, and the sample before is removed after that: a folder with one is whole.
"""

from __future__ import annotations

import contextlib
import shutil

import numpy as np
from DeepRegLib.array_files import write_array_in_steps
from DeepRegLib.errors import OutputProblem
from DeepRegLib.steps import finish
from torch import Tensor

from .pairs.training_pair import TrainingPair
from .preview_files import write_pair_folder
from .run_folder.layout import RunFolder
from .run_folder.samples import PREDICTED, sample_folders


def write_sample(run: RunFolder, step: int, pair: TrainingPair, field: Tensor) -> None:
    """Keep ``pair`` and the ``field`` (1, 3, z, y, x; voxels) that the network gave after ``step`` steps. Raises
    :class:`~DeepRegLib.errors.OutputProblem`."""
    folder = run.samples / f"{step:08d}"
    predicted = field.float() * field.new_tensor(pair.spacing_mm).float().reshape(1, 3, 1, 1, 1)
    array = np.ascontiguousarray(predicted[0].movedim(0, -1).cpu().numpy())
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputProblem(f"The folder '{folder}' cannot be made: {error.strerror}.") from error
    finish(write_array_in_steps(folder / PREDICTED, array))
    write_pair_folder(folder, pair)
    for former in sample_folders(run):
        if former != folder:
            with contextlib.suppress(OSError):
                shutil.rmtree(former)
