"""A training pair as a folder that a program without torch can read: arrays as .npy, everything else as JSON.

* ``fixed.npy``, ``moving.npy``: (z, y, x), float32, HU
* ``displacement.npy``: (z, y, x, 3), float32, mm; T(x) = x + u(x) from fixed to moving points, LPS
* ``region.npy``: (z, y, x), uint8: the lungs (or the organ) of the fixed image
* ``pair.json``: geometry (LPS mm), statistics, everything that was drawn; written last, so a pair is whole or not there
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
from DeepRegLib.array_files import write_array_in_steps, write_text
from DeepRegLib.errors import OutputProblem
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.steps import finish
from torch import Tensor

from .pairs import TrainingPair, pair_statistics

PAIR_FILE = "pair.json"
FORMAT = 1
SEEN = 0.5
"""A voxel counts as seen by both from this weight on."""


def write_pair_folder(folder: Path, pair: TrainingPair) -> None:
    """Write ``pair`` into ``folder``, which is made. Raises :class:`~DeepRegLib.errors.OutputProblem`."""
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / PAIR_FILE).unlink(missing_ok=True)
    except OSError as error:
        raise OutputProblem(f"The folder '{folder}' cannot be used: {error.strerror}.") from error
    arrays = {
        "fixed": _voxels(pair.fixed),
        "moving": _voxels(pair.moving),
        "displacement": np.ascontiguousarray(pair.displacement_mm[0].movedim(0, -1).float().cpu().numpy()),
        "region": (_voxels(pair.region) > SEEN).astype(np.uint8),
    }
    for name, array in arrays.items():
        finish(write_array_in_steps(folder / f"{name}.npy", array))
    record = {
        "format": FORMAT,
        "geometry": dataclasses.asdict(geometry_of(pair)),
        "statistics": dataclasses.asdict(pair_statistics(pair)),
        "seen_by_both_percent": seen_by_both_percent(pair),
        "parameters": pair.parameters,
    }
    write_text(folder / PAIR_FILE, json.dumps(record, allow_nan=False))


def geometry_of(pair: TrainingPair) -> Geometry:
    """The grid of a pair, LPS mm, about the origin: pairs are upright, whatever the scan was."""
    size = tuple(reversed(pair.fixed.shape[2:]))
    origin = tuple(-(n - 1) / 2 * s for n, s in zip(size, pair.spacing_mm, strict=True))
    return Geometry(size, pair.spacing_mm, origin)  # type: ignore[arg-type]


def seen_by_both_percent(pair: TrainingPair) -> float:
    """How much of the region of the fixed image the moving one shows too; of all voxels where there is no region."""
    region = pair.region > SEEN
    counted = pair.weight[region] if bool(region.any()) else pair.weight
    return float(100 * (counted > SEEN).float().mean())


def _voxels(tensor: Tensor) -> np.ndarray:
    return tensor[0, 0].float().cpu().numpy()
