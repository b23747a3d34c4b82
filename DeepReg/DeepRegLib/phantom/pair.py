"""Makes a pair of scans of the breathing phantom, with everything that is known about it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import BadInput
from ..images.geometry import Geometry
from ..images.volume import Volume
from ..transforms.displacement_field import DisplacementField
from ..transforms.linear import LinearTransform
from . import scanner
from .anatomy import Anatomy
from .motion import BreathingMap, CavityVelocity, ChestVelocity, Waves, calibrated, rotation
from .rendering import Rendering
from .vessels import spread, to_great_tubes

EXTENT_MM = (300.0, 230.0, 280.0)
"""What the fixed scan covers along x, y, z."""
SMALLEST_EXTENT_MM = 120.0
"""A smaller view holds too little of the lungs to find landmarks in."""
LANDMARKS = 100
LANDMARK_DEPTH_MM = 4.0
"""Landmarks lie at least this deep in the lung: nearer to the wall the motion jumps."""
LANDMARK_RADIUS_MM = 1.3
"""The thinnest vessel whose branching a reader would mark."""
FINEST_RENDERING_MM, RENDERING_SHARE = 1.25, 0.75
"""The patient is rendered with voxels of this share of the mean spacing of the fixed scan, but not finer."""


@dataclass(frozen=True)
class Difficulty:
    """How far the patient breathes and how well the scans are made; ranges are (lowest, highest)."""

    diaphragm_mm: tuple[float, float]
    front_mm: float
    uneven: float
    """Strength of the uneven motion, relative to the hard one."""
    table_shift_mm: tuple[float, float]
    table_turn_degrees: float
    noise_hu: tuple[float, float]
    """Of the fixed and of the moving scan."""
    slice_parts: int
    """How many thin slices the moving scan averages."""
    slice_thicker: float
    """Slice distance of the moving scan relative to the fixed one."""


DIFFICULTIES = {
    "easy": Difficulty((12.0, 18.0), 2.5, 0.5, (3.0, 8.0), 1.0, (12.0, 14.0), 1, 1.1),
    "hard": Difficulty((30.0, 40.0), 5.0, 1.0, (18.0, 30.0), 3.0, (22.0, 38.0), 2, 1.6),
}


@dataclass(frozen=True)
class PhantomPair:
    """Two scans of one breathing patient and the exact map between them.

    ``fixed`` (breathed in) and ``moving`` (breathed out, on another table position) are int16 HU on different grids,
    the masks are uint8 lungs, row n of both landmark arrays (n, 3), LPS mm, is the same vessel branching.
    ``field`` is the whole map from fixed to moving points on the fixed grid, table shift included, and ``motion`` the
    same map as closed formulas, with its inverse. ``info`` holds plain numbers and words for a report.
    """

    fixed: Volume
    moving: Volume
    fixed_mask: Volume
    moving_mask: Volume
    fixed_landmarks: np.ndarray
    moving_landmarks: np.ndarray
    field: DisplacementField
    motion: BreathingMap = dataclasses.field(repr=False)
    info: dict[str, Any] = dataclasses.field(default_factory=dict, repr=False)


def make_phantom(
    size: tuple[int, int, int] = (160, 128, 128),
    spacing: tuple[float, float, float] | None = None,
    seed: int = 0,
    difficulty: str = "easy",
    oblique_degrees: float = 0.0,
) -> PhantomPair:
    """A breathing thorax phantom on a fixed grid of ``size`` voxels (x, y, z).

    Without ``spacing`` (mm) the view is 300 x 230 x 280 mm, so that the whole chest is seen whatever the size; a given
    spacing may cut the body. ``difficulty`` is ``"easy"`` (diaphragm 12-18 mm) or ``"hard"`` (30-40 mm, more noise,
    thicker moving slices, the table elsewhere). ``oblique_degrees`` turns the voxel grids, not the patient; the fixed
    one about one axis, the moving one about another. The same arguments give the same bits.

    Raises :class:`BadInput` for an unknown difficulty and a view that is too small.

    >>> pair = make_phantom(size=(40, 32, 36))
    >>> pair.fixed.geometry.size, pair.fixed.array.dtype.name, pair.fixed_landmarks.shape[1]
    ((40, 32, 36), 'int16', 3)
    """
    if difficulty not in DIFFICULTIES:
        raise BadInput(f"There is no phantom difficulty '{difficulty}'; choose one of {', '.join(DIFFICULTIES)}.")
    level = DIFFICULTIES[difficulty]
    fixed_grid = _fixed_grid(size, spacing, oblique_degrees)
    streams = [np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(5)]
    for_anatomy, for_motion, for_grid, for_landmarks, for_noise = streams
    anatomy = Anatomy.random(for_anatomy)
    motion = _motion(anatomy, level, for_motion)
    moving_grid = _moving_grid(fixed_grid, level, motion, oblique_degrees, for_grid)

    rendering = Rendering.of(anatomy, max(FINEST_RENDERING_MM, RENDERING_SHARE * float(np.mean(fixed_grid.spacing))))
    fixed_noise, moving_noise = level.noise_hu
    at_rest = scanner.AtRest(fixed_grid)
    fixed, fixed_mask = scanner.acquire(rendering, at_rest, 1, fixed_noise, for_noise, "fixed")
    breathed_out = scanner.BreathedOut(motion, scanner.thin(moving_grid, level.slice_parts))
    moving, moving_mask = scanner.acquire(rendering, breathed_out, level.slice_parts, moving_noise, for_noise, "moving")
    landmarks, moved = _landmarks(anatomy, motion, fixed_grid, moving_grid, for_landmarks)
    truth = scanner.true_field(motion, fixed_grid)
    info = {"seed": seed, "difficulty": difficulty, "noise_hu": {"fixed": fixed_noise, "moving": moving_noise}}
    info |= _statistics(motion, truth, fixed_mask, landmarks, moved)
    return PhantomPair(fixed, moving, fixed_mask, moving_mask, landmarks, moved, truth, motion, info)


def _fixed_grid(
    size: tuple[int, int, int], spacing: tuple[float, float, float] | None, oblique_degrees: float
) -> Geometry:
    voxel = np.array(EXTENT_MM) / size if spacing is None else np.array(spacing)
    if min(voxel * size) < SMALLEST_EXTENT_MM:
        raise BadInput(
            f"A phantom of {size} voxels of {spacing} mm is too small; let it cover {SMALLEST_EXTENT_MM:g} mm at least."
        )
    return _around(np.zeros(3), np.array(size), voxel, rotation(np.array([oblique_degrees, 0, 0])))


def _moving_grid(
    fixed: Geometry, level: Difficulty, motion: BreathingMap, oblique_degrees: float, rng: np.random.Generator
) -> Geometry:
    """Another size, spacing and origin; the patient is a little off its middle, wherever the table is."""
    extent = np.array(fixed.size) * np.array(fixed.spacing) * [1.06, 1.08, 1.04]
    spacing = np.array(fixed.spacing) * [rng.uniform(1.03, 1.12), rng.uniform(1.03, 1.12), level.slice_thicker]
    size = np.maximum(np.rint(extent / spacing), 2).astype(int)
    middle = motion.table.map_points(np.zeros(3)) + rng.uniform(-4, 4, 3)
    turn = rotation(np.array([0, 0.5 * oblique_degrees, -oblique_degrees]))
    return _around(middle, size, spacing, turn)


def _around(middle: np.ndarray, size: np.ndarray, spacing: np.ndarray, axes: np.ndarray) -> Geometry:
    origin = middle - axes @ ((size - 1) / 2 * spacing)
    return Geometry(tuple(size), tuple(spacing), tuple(origin), tuple(axes.ravel()))


def _motion(anatomy: Anatomy, level: Difficulty, rng: np.random.Generator) -> BreathingMap:
    uneven = [(150.0, 1.8 * level.uneven, 3), (90.0, 0.9 * level.uneven, 4), (60.0, 0.4 * level.uneven, 4)]
    content = CavityVelocity(anatomy.cavity, 1.0, rng.uniform(-0.15, 0.15), Waves.random(rng, uneven))
    content = calibrated(content, rng.uniform(*level.diaphragm_mm))
    chest = ChestVelocity(level.front_mm * rng.uniform(0.8, 1.2), Waves.random(rng, [(140.0, 0.6 * level.uneven, 4)]))
    direction = rng.normal(size=3) * [0.5, 0.5, 1.0]
    shift = direction / np.linalg.norm(direction) * rng.uniform(*level.table_shift_mm)
    turn = rotation(rng.uniform(-1, 1, 3) * level.table_turn_degrees)
    return BreathingMap(anatomy.cavity, content, chest, LinearTransform(turn, shift))


def _landmarks(
    anatomy: Anatomy, motion: BreathingMap, fixed: Geometry, moving: Geometry, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Branch points of vessels well inside the lungs and both views, spread out; and where T takes them."""
    nodes = [t.positions[t.divides & (t.radii > LANDMARK_RADIUS_MM)][1:] for t in anatomy.arteries_and_veins]
    points = np.concatenate(nodes)
    points = points[np.maximum(anatomy.lung_depth(points), -to_great_tubes(points)) < -LANDMARK_DEPTH_MM]
    moved = motion.map_points(points)
    seen = fixed.contains(points) & moving.contains(moved)
    points, moved = points[seen], moved[seen]
    chosen = spread(points, LANDMARKS, rng)
    return points[chosen], moved[chosen]


def _statistics(
    motion: BreathingMap, truth: DisplacementField, mask: Volume, landmarks: np.ndarray, moved: np.ndarray
) -> dict[str, Any]:
    """Plain numbers about the motion: inside the lungs, at the landmarks, of the table."""
    lengths = np.linalg.norm(truth.array[mask.array > 0], axis=1)
    breathing = np.linalg.norm(motion.table.inverse().map_points(moved) - landmarks, axis=1)
    turn = np.degrees(np.arccos(np.clip((np.trace(motion.table.matrix) - 1) / 2, -1, 1)))
    return {
        "displacement_in_lungs_mm": _summary(lengths),
        "landmark_distance_mm": _summary(np.linalg.norm(moved - landmarks, axis=1)),
        "landmark_breathing_mm": _summary(breathing),
        "landmark_count": len(landmarks),
        "table_shift_mm": [round(float(v), 3) for v in motion.table.translation],
        "table_turn_degrees": round(float(turn), 3),
    }


def _summary(values: np.ndarray) -> dict[str, float]:
    percentile_95 = np.percentile(values, 95)
    named = {"mean": values.mean(), "sd": values.std(), "p95": percentile_95, "max": values.max()}
    return {name: round(float(value), 3) for name, value in named.items()}
