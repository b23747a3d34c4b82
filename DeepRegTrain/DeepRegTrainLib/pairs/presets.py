"""What training pairs look like, as plain numbers that a form can show and edit.

A preset says how a scan is laid into the grid (:class:`~.settings.Framing`), how the content moves (one of the motions
of :mod:`.settings`) and what the scanner does to the grey values (:class:`~.settings.Appearance`).
``preset("breathing")`` gives one, ``dataclasses.replace`` changes it, ``to_dict`` and ``from_dict`` keep it as JSON.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from DeepRegLib.errors import BadInput

from .ranges import Range
from .settings import Appearance, BreathingMotion, Framing, SplineMotion, ThinPlateMotion

Motion = ThinPlateMotion | SplineMotion | BreathingMotion
MOTIONS: dict[str, type] = {kind.__name__: kind for kind in (ThinPlateMotion, SplineMotion, BreathingMotion)}


@dataclass(frozen=True)
class Preset:
    """A named recipe for training pairs; ``size`` (x, y, z) and ``spacing_mm`` are what it was made for."""

    name: str
    description: str
    framing: Framing
    motion: Motion
    appearance: Appearance
    size: tuple[int, int, int]
    spacing_mm: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain types, ready for JSON."""
        return {**dataclasses.asdict(self), "motion": _named(self.motion)}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Preset:
        """The preset that :meth:`to_dict` gave. Raises :class:`~DeepRegLib.errors.BadInput` for anything else.

        >>> Preset.from_dict(PRESETS["breathing"].to_dict()) == PRESETS["breathing"]
        True
        """
        try:
            motion = dict(content["motion"])
            kind = MOTIONS[motion.pop("kind")]
            return cls(
                name=str(content["name"]),
                description=str(content["description"]),
                framing=_settings(Framing, content["framing"]),
                motion=_settings(kind, motion),
                appearance=_settings(Appearance, content["appearance"]),
                size=tuple(int(n) for n in content["size"]),  # type: ignore[arg-type]
                spacing_mm=content["spacing_mm"],
            )
        except (AttributeError, KeyError, TypeError, ValueError) as problem:
            raise BadInput(
                f"The settings of the training pairs are damaged or of another version: {problem}."
            ) from problem


RESPIRATORY = Appearance(
    mass_exponent=Range(0.4, 1.1),
    regional_density=Range(0.0, 0.08),
    overall_density=0.05,
    opacities=0.4,
    shift_hu=Range(-10.0, 10.0),
    noise_hu=Range(4.0, 45.0),
    grained_noise=0.5,
    blurred=0.6,
    blur_mm=Range(0.0, 2.4),
    thick_slices=0.35,
    cut=0.6,
)
"""Two scans of one person at different breath holds, perhaps from different scanners."""

PRESETS = {
    made.name: made
    for made in (
        Preset(
            "eppenhof2018",
            "Displacements at 6 x 6 x 6 nodes with thin-plate splines, and an affine offset (Eppenhof et al. 2018)",
            Framing(),
            ThinPlateMotion(),
            Appearance(),
            (96, 96, 96),
        ),
        Preset(
            "eppenhof2020",
            "Random B-splines on three scales (Eppenhof et al. 2020, Table I)",
            Framing(),
            SplineMotion(),
            Appearance(),
            (128, 128, 128),
        ),
        Preset(
            "breathing",
            "Breathing with sliding, change of density, noise, cut fields of view and single lungs",
            Framing(
                zoom=Range(0.85, 1.3),
                stretch=Range(0.93, 1.07),
                rotation_degrees=4.0,
                shape_mm=Range(0.0, 4.5),
                mirrored=0.5,
                one_lung=0.12,
            ),
            BreathingMotion(),
            RESPIRATORY,
            (64, 64, 64),
            3.0,
        ),
    )
}
"""The presets by name."""


def preset(name: str) -> Preset:
    """The preset called ``name``. Raises :class:`~DeepRegLib.errors.BadInput` when there is none."""
    if name not in PRESETS:
        raise BadInput(f"There are no training pairs called '{name}'. Available: {', '.join(PRESETS)}.")
    return PRESETS[name]


def _named(settings: Motion) -> dict[str, Any]:
    return {"kind": type(settings).__name__, **dataclasses.asdict(settings)}


def _settings(kind: type, content: dict[str, Any]) -> Any:
    """The dataclass ``kind`` from plain values; each field keeps the type of its default."""
    defaults = kind()
    values: dict[str, Any] = {}
    for name, value in content.items():
        default = getattr(defaults, name)
        if isinstance(default, Range):
            values[name] = Range(float(value["low"]), float(value["high"]))
        elif isinstance(default, tuple):
            values[name] = tuple(float(part) for part in value)
        else:
            values[name] = type(default)(value)
    return kind(**values)
