"""A training pair that ``DeepRegTrainLib.preview`` has written, read without torch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from DeepRegLib.array_files import read_array_in_steps
from DeepRegLib.errors import BadInput
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.images.volume import Volume
from DeepRegLib.transforms.displacement_field import DisplacementField

from ..steps import Steps

PAIR_FILE = "pair.json"


@dataclass(frozen=True)
class PreviewPair:
    """Both images (HU) and T(x) = x + u(x) from fixed to moving points, all LPS mm on one grid; ``statistics`` are
    those of ``DeepRegTrainLib.pairs.FieldStatistics``, in mm; ``parameters`` is everything that was drawn."""

    fixed: Volume
    moving: Volume
    motion: DisplacementField
    statistics: dict[str, Any]
    seen_by_both_percent: float
    parameters: dict[str, Any]


def read_pair_in_steps(folder: Path) -> Steps[PreviewPair]:
    """Raises :class:`~DeepRegLib.errors.BadInput` when the folder holds no whole pair."""
    try:
        record = json.loads((folder / PAIR_FILE).read_text(encoding="utf-8"))
        geometry = Geometry(**record["geometry"])
        numbers = {name: record[name] for name in ("statistics", "seen_by_both_percent", "parameters")}
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise BadInput(f"There is no training pair in '{folder}'.", "Draw it again.") from problem
    arrays = {}
    for name in ("fixed", "moving", "displacement"):
        arrays[name] = yield from read_array_in_steps(folder / f"{name}.npy")
    return PreviewPair(
        Volume(arrays["fixed"], geometry, "fixed"),
        Volume(arrays["moving"], geometry, "moving"),
        DisplacementField(arrays["displacement"], geometry),
        **numbers,
    )
