"""A preset as a form: which numbers it has, what they are called, and from where to where each makes sense."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from DeepRegLib.errors import BadInput

from .pairs.presets import PRESETS, Preset
from .pairs.ranges import Range

PARTS = ("framing", "motion", "appearance")
"""Of a preset, in the order of a form."""
RANGE, THREE, NUMBER, WHOLE, YES_NO = "range", "three", "number", "whole", "yes or no"
SHARE, SCALE, LENGTH_MM, REACH_VOXELS = (0.0, 1.0), (0.2, 5.0), (0.0, 150.0), (0.0, 64.0)
LIMITS: dict[str, tuple[float, float]] = {
    "margin_percent": (0.0, 100.0),
    "zoom": SCALE,
    "stretch": SCALE,
    "rotation_degrees": (0.0, 90.0),
    "shape_mm": LENGTH_MM,
    "mirrored": SHARE,
    "one_lung": SHARE,
    "x": (-48.0, 48.0),
    "y": (-48.0, 48.0),
    "z": (-48.0, 48.0),
    "nodes": (2, 10),
    "offset_sd": (0.0, 1.0),
    "smallest_jacobian": (0.0, 0.9),
    "placing_nodes": (2, 16),
    "placing_reach": REACH_VOXELS,
    "coarse_nodes": (2, 16),
    "coarse_reach": REACH_VOXELS,
    "fine_nodes": (2, 16),
    "fine_reach": REACH_VOXELS,
    "still": SHARE,
    "large": SHARE,
    "extreme": SHARE,
    "usual_mm": LENGTH_MM,
    "large_mm": LENGTH_MM,
    "extreme_mm": LENGTH_MM,
    "profile": (0.1, 10.0),
    "front_back": (-2.0, 2.0),
    "left_right": (-2.0, 2.0),
    "chest_front": (-1.0, 1.0),
    "chest_front_limit_mm": LENGTH_MM,
    "chest_front_mm": (-50.0, 50.0),
    "chest_side": (-1.0, 1.0),
    "sliding": SHARE,
    "attachment_mm": (1.0, 200.0),
    "uneven_spacing_mm": (8.0, 300.0),
    "uneven_mm": LENGTH_MM,
    "chest_uneven_mm": LENGTH_MM,
    "prealigned": SHARE,
    "table_mm": LENGTH_MM,
    "table_degrees": (0.0, 90.0),
    "table_scale": SCALE,
    "reduced": SHARE,
    "mass_exponent": (0.0, 3.0),
    "regional_density": (0.0, 1.0),
    "overall_density": (0.0, 1.0),
    "opacities": SHARE,
    "shift_hu": (-1000.0, 1000.0),
    "noise_hu": (0.0, 1000.0),
    "grained_noise": SHARE,
    "blurred": SHARE,
    "blur_mm": (0.0, 20.0),
    "thick_slices": SHARE,
    "slice_mm": (0.5, 20.0),
    "cut": SHARE,
    "cut_face": SHARE,
    "cut_mm": (0.0, 300.0),
}
"""Beyond them a number is a slip of the hand: a share above all, a negative width, nodes that fill the memory."""


@dataclass(frozen=True)
class Row:
    """A number of a preset: where it is (``part``, ``name``), what people call it, its ``kind`` (one of the words
    above) and the limits of what may be entered."""

    part: str
    name: str
    label: str
    unit: str
    kind: str
    lowest: float
    highest: float


def rows_of(preset: Preset) -> list[Row]:
    """All numbers of a preset, in the order of a form."""
    rows = []
    for part in PARTS:
        settings = getattr(preset, part)
        for field in dataclasses.fields(settings):
            kind = _kind(getattr(settings, field.name))
            lowest, highest = LIMITS.get(field.name, (0, 1))
            about = field.metadata
            rows.append(Row(part, field.name, about["label"], about["unit"], kind, lowest, highest))
    return rows


def catalogue() -> dict[str, Any]:
    """All presets with the rows of their forms, ready for JSON."""
    return {
        name: {"preset": preset.to_dict(), "rows": [dataclasses.asdict(row) for row in rows_of(preset)]}
        for name, preset in PRESETS.items()
    }


def checked_preset(content: dict[str, Any]) -> Preset:
    """The preset of ``content`` (as :meth:`~.pairs.presets.Preset.to_dict` gives it, with changes).

    Raises :class:`~DeepRegLib.errors.BadInput` when it is damaged, and for numbers that make no sense.
    """
    preset = Preset.from_dict(content)
    for row in rows_of(preset):
        for value in _numbers(getattr(getattr(preset, row.part), row.name)):
            if not (math.isfinite(value) and row.lowest <= value <= row.highest):
                raise BadInput(f"'{row.label}' goes from {row.lowest:g} to {row.highest:g}, not to {value:g}.")
    return preset


def _kind(value: Any) -> str:
    kinds = {Range: RANGE, tuple: THREE, bool: YES_NO, int: WHOLE, float: NUMBER}
    return kinds[type(value)]


def _numbers(value: Any) -> Iterator[float]:
    if isinstance(value, Range):
        yield from (value.low, value.high)
    elif isinstance(value, tuple):
        yield from value
    else:
        yield float(value)
