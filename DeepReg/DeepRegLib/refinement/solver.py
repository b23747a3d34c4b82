"""Coarse to fine, from one or several starts; the better one by its own evidence is kept.

Every start runs through the coarse levels. When the plain one loses a part of the region there (the local correlation
says so), a rescue start is tried in which the border of the organ leads and the grey values follow: it brings back
lobes that moved further than the grey values can see. Only the winner goes through the finest level, which is undone
where it makes the match worse.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..errors import Cancelled
from ..transforms.displacement_field import DisplacementField
from .lattice import Lattice
from .level_images import level_images
from .lucas_kanade import solve_level
from .match import Match, MatchMap, MatchMeter
from .problem import Problem
from .settings import Level, Settings

RESCUE = "organ border"
"""Name of the rescue start."""
RESCUE_SHARE = 0.025
"""Share of the region that has to be lost before the rescue start is tried: sound pairs lose 0 to 2.2 %, and 3 to 5 %
where a lobe went astray."""
WORTHWHILE_GAIN = 0.0005
"""Mean correlation by which a later start has to be better; less is noise."""
PROPOSAL_LEVEL_MM = 4.0
"""A proposal enters the pyramid here: coarser levels would blur what it knows."""
UNDONE_LOSS = 0.01
"""Mean correlation that the finest level may cost: it sharpens what the meter, on 4 mm, hardly sees, and may lose 0.003
while the landmarks gain. What loses more has fitted noise."""
FINEST_LEVEL_SHARE = 0.6
"""Finest level, as a share of the in-plane voxels of the coarser image."""
MOST_SAMPLES = 8_000_000
"""Samples of the finest level at most: some 1.4 GB of working memory."""


def fitted(settings: Settings, problem: Problem) -> Settings:
    """The settings with levels coarsened where the region is so large that they would not fit into memory, or where the
    voxels of the images are so coarse that finer levels would only fit noise."""
    extent = np.prod([b - a for a, b in zip(problem.box.origin, problem.box.last, strict=True)])
    voxels = max(sorted(volume.geometry.spacing)[1] for volume in (problem.fixed, problem.moving))
    finest = max(float((extent / MOST_SAMPLES) ** (1 / 3)), FINEST_LEVEL_SHARE * voxels)

    def coarsened(levels: tuple[Level, ...]) -> tuple[Level, ...]:
        return tuple(replace(level, spacing=max(level.spacing, finest)) for level in levels)

    return replace(settings, levels=coarsened(settings.levels), rescue=coarsened(settings.rescue))


@dataclass(frozen=True)
class Candidate:
    """A start and how well it matched when the winner was chosen."""

    name: str
    match: Match


@dataclass(frozen=True)
class Solution:
    """The field, the name of the start that won, all that were tried, how well the field matches, and whether the
    finest level made it worse and was therefore undone."""

    lattice: Lattice
    chosen: str
    candidates: tuple[Candidate, ...]
    match: Match
    rolled_back: bool = False


@dataclass(frozen=True)
class Watch:
    """Progress of the solver (0 to 1) and whether to stop."""

    progress: Callable[[float], None] = lambda fraction: None
    cancelled: Callable[[], bool] = lambda: False


UNWATCHED = Watch()


class _Steps:
    """Counts updates, tells the watch and stops the solver when asked to."""

    def __init__(self, watch: Watch, levels: Sequence[Level]) -> None:
        self._watch = watch
        self._total = sum(_cost(level) for level in levels) or 1.0
        self._done = 0.0

    def of(self, level: Level) -> Callable[[], None]:
        def step_done() -> None:
            self._done += _cost(level) / max(level.updates, 1)
            self._watch.progress(min(self._done / self._total, 1.0))
            if self._watch.cancelled():
                raise Cancelled("The registration was cancelled.")

        return step_done


def _cost(level: Level) -> float:
    return level.updates / level.spacing**3


def solve(
    problem: Problem,
    settings: Settings,
    proposals: Sequence[tuple[str, DisplacementField]] = (),
    watch: Watch = UNWATCHED,
) -> Solution:
    """Run the pyramid from zero and from every proposal; raises :class:`~DeepRegLib.errors.Cancelled`."""
    steps = _Steps(watch, settings.levels)
    coarse = settings.levels[:-1]
    meter = MatchMeter(problem, settings)
    zero = Lattice.zero(problem.box.covering(coarse[0].spacing * settings.lattice), problem.device)
    runs = [("zero", _descend(problem, settings, coarse, zero, steps))]
    for name, field in proposals:
        entry = tuple(level for level in coarse if level.spacing <= PROPOSAL_LEVEL_MM) or coarse[-1:]
        start = Lattice.from_field(field, problem, problem.box.covering(entry[0].spacing * settings.lattice))
        runs.append((name, _descend(problem, settings, entry, start, steps)))
    maps = [meter(lattice) for _, lattice in runs]
    # Also where a proposal lost nothing: what a network starts shall never be worse than what the solver does alone.
    if settings.rescue and maps[0].match.lost > RESCUE_SHARE and problem.organs is not None:
        runs.append((RESCUE, _descend(problem, settings, settings.rescue[:-1], zero, steps)))
        maps.append(meter(runs[-1][1]))
    best = best_start(maps)
    name, before = runs[best]
    fine = (settings.rescue if name == RESCUE else settings.levels)[-1:]
    candidates = _candidates(runs, maps)
    after = _descend(problem, settings, fine, before, steps)
    finest = meter(after)
    if finest.gain_over(maps[best]) < -UNDONE_LOSS:
        return Solution(before, name, candidates, maps[best].match, rolled_back=True)
    return Solution(after, name, candidates, finest.match)


def unrefined(problem: Problem, settings: Settings, proposals: Sequence[tuple[str, DisplacementField]]) -> Solution:
    """The proposal that matches best, as it was proposed; zero where there is none. Its lattice is only good for
    judging it: the field itself is that of the method."""
    grid = problem.box.covering(settings.levels[-1].spacing * settings.lattice)
    lattices = [(name, Lattice.from_field(field, problem, grid)) for name, field in proposals]
    lattices = lattices or [("zero", Lattice.zero(grid, problem.device))]
    meter = MatchMeter(problem, settings)
    maps = [meter(lattice) for _, lattice in lattices]
    best = best_start(maps)
    return Solution(lattices[best][1], lattices[best][0], _candidates(lattices, maps), maps[best].match)


def best_start(maps: Sequence[MatchMap]) -> int:
    """The first candidate, unless a later one matches worthwhile better where both see the moving image, and over all
    that it sees itself: what it draws into a cut view shall match as well."""
    best = 0
    for k in range(1, len(maps)):
        better_over_all = maps[k].match.mean > maps[best].match.mean
        if better_over_all and maps[k].gain_over(maps[best]) > WORTHWHILE_GAIN:
            best = k
    return best


def _candidates(runs: Sequence[tuple[str, Lattice]], maps: Sequence[MatchMap]) -> tuple[Candidate, ...]:
    return tuple(Candidate(name, found.match) for (name, _), found in zip(runs, maps, strict=True))


def _descend(problem: Problem, settings: Settings, levels: Sequence[Level], lattice: Lattice, steps: _Steps) -> Lattice:
    for level in levels:
        images = level_images(problem, settings, level)
        lattice = solve_level(problem, settings, level, images, lattice, steps.of(level))
    return lattice
