"""How the solver works at each quality, for lungs and for everything else.

The values were measured on lung CT pairs with known motion and on brains of two people; see ``Testing/benchmark``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

Quality = Literal["fast", "balanced", "accurate"]
QUALITIES: tuple[Quality, ...] = ("fast", "balanced", "accurate")


@dataclass(frozen=True)
class Level:
    """One step of the pyramid.

    ``spacing`` of the images (mm); at most ``updates`` of the field; ``smoothing``: standard deviation of the Gaussian
    on the field, in units of the lattice spacing / 1.5; ``shape_weight`` of the distance to the organ's border beside
    the grey values (0: not used); ``inside_weight`` of the grey values normalised within the region alone, likewise;
    ``smallest_step``: mean update in samples at which the level is finished.
    """

    spacing: float
    updates: int
    smoothing: float
    shape_weight: float = 0.0
    inside_weight: float = 0.0
    smallest_step: float = 0.003


@dataclass(frozen=True)
class Settings:
    """Levels from coarse to fine and what they share.

    ``rescue``: the levels of a second start for what the first one lost, in place of ``levels``;
    ``compose``: updates are composed with the field rather than added to it;
    ``normalisation`` (mm): window of the local normalisation, at least 1.5 samples; ``contrast_floor``: intensity units
    below which a local contrast is noise; ``outside_weight`` of voxels around the region within ``margin`` (mm);
    ``lattice``: spacing of the control lattice in samples; ``window``: averaging window of the normal equations in
    lattice spacings / 1.5; ``damping`` relative to the mean trace of the normal equations; ``robust``: residual at
    which a voxel loses half its weight; ``step_limit``: largest update in samples.
    """

    levels: tuple[Level, ...]
    rescue: tuple[Level, ...] = ()
    normalisation: float = 3.0
    contrast_floor: float = 60.0
    outside_weight: float = 0.1
    margin: float = 2.0
    lattice: int = 2
    window: float = 1.2
    damping: float = 0.05
    robust: float = 1.5
    step_limit: float = 0.8
    compose: bool = False


_LUNG_COARSE = Level(8, 20, 1.6)
_LUNG_FINEST = Level(1.8, 16, 1.4, inside_weight=1.0, smallest_step=0.005)
"""Ends early where little is left to gain (0.002 to 0.007 mm for a third of its time)."""
_LUNGS: dict[Quality, Settings] = {
    "fast": Settings((Level(8, 12, 1.6), Level(4, 8, 1.4), Level(3, 8, 1.2))),
    "balanced": Settings((_LUNG_COARSE, Level(4, 20, 1.4), Level(2.5, 12, 1.2))),
    "accurate": Settings((_LUNG_COARSE, Level(4, 20, 1.4), Level(2.5, 10, 1.4), _LUNG_FINEST), damping=0.02),
}
_LUNG_RESCUE = (Level(8, 15, 1.6, 3.0, smallest_step=0.0), Level(4, 20, 1.4, 1.0, smallest_step=0.0))
"""A second start for large motion: the border of the lung leads, then fades (see :mod:`solver`). What is still on its
way are small wedges at the wall, which a mean update does not show: all updates are made."""
_LUNG_RESCUE_FINE = Level(2.5, 40, 1.4, shape_weight=0.3, smallest_step=0.0)
"""Replaces the level of 2.5 mm after such a start: the grey values need more updates to finish the work."""


def _led_by_grey_values(level: Level) -> Level:
    return _LUNG_RESCUE_FINE if level.spacing == _LUNG_RESCUE_FINE.spacing else level


_BODY: dict[Quality, Settings] = {
    "fast": Settings((Level(8, 12, 1.6), Level(4, 10, 1.2), Level(2.5, 8, 1.0))),
    "balanced": Settings((Level(8, 20, 1.4), Level(4, 20, 1.1), Level(2, 12, 0.9))),
    "accurate": Settings((Level(8, 20, 1.4), Level(4, 20, 1.1), Level(2, 12, 0.9), Level(1.2, 8, 0.7))),
}
"""Two brains differ more than one lung does from itself: less smoothing, more levels, and updates that are composed
and not added, so that hardly anything folds."""


def settings_for(quality: Quality, lungs: bool) -> Settings:
    """The settings of a quality, for lung CT or for other anatomy."""
    if lungs:
        chosen = _LUNGS[quality]
        finest = replace(chosen.levels[-1], smallest_step=0.0)
        return replace(chosen, rescue=(*_LUNG_RESCUE, _led_by_grey_values(chosen.levels[2]), finest))
    body = _BODY[quality]
    return replace(body, normalisation=10.0, contrast_floor=40.0, outside_weight=0.5, compose=True)
