"""Pairs with a known answer for the tests of the registration: an analytic one and breathing phantoms.

Each is made once for all test files; nobody changes them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import torch
from DeepRegLib.evidence.landmarks import Landmarks
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.images.region import Region, find_region
from DeepRegLib.images.volume import Volume
from DeepRegLib.phantom import PhantomPair, make_phantom
from DeepRegLib.refinement.intensity import lung_intensity
from DeepRegLib.refinement.problem import Problem
from DeepRegLib.registration import register
from DeepRegLib.result import Registration
from DeepRegLib.transforms.linear import LinearTransform
from scipy.spatial.transform import Rotation

SIZE = (72, 64, 56)
QUICKLY = {"method": "lucas-kanade", "quality": "fast", "threads": 1}
"""One thread: other work on the same processors then makes a test slow, but not ten times as slow."""
CENTRE = np.array([30.0, -20.0, 140.0])
PointMapping = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class AnalyticPair:
    """``fixed`` shows at x what ``moving`` shows at ``truth`` (x); ``mask`` lies where both show something."""

    fixed: Volume
    moving: Volume
    mask: Volume
    truth: PointMapping

    def points_inside(self) -> np.ndarray:
        """Voxel centres of the mask, (n, 3) LPS mm."""
        return self.mask.geometry.points()[self.mask.array]

    def landmarks(self) -> tuple[Landmarks, Landmarks]:
        points = self.points_inside()[::97]
        return Landmarks(points), Landmarks(self.truth(points))


def texture(points: np.ndarray) -> np.ndarray:
    """Something like vessels in lung: -900 to -200, waves of 9 to 35 mm in all directions."""
    rng = np.random.default_rng(7)
    directions = rng.normal(size=(50, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    numbers = directions * (2 * np.pi / rng.uniform(9, 35, 50))[:, None]
    phases = rng.uniform(0, 2 * np.pi, 50)
    return -550 + 28 * np.cos(points @ numbers.T + phases).sum(-1)


def bending(amplitude_mm: float) -> PointMapping:
    """A smooth map without a linear part to speak of."""
    k = 2 * np.pi / 90.0

    def truth(points: np.ndarray) -> np.ndarray:
        x, y, z = np.moveaxis(points - CENTRE, -1, 0)
        return points + amplitude_mm * np.stack([np.sin(k * y), np.sin(k * z + 1), np.cos(k * x + 0.5)], -1)

    return truth


def grid_around(size: tuple, spacing: tuple, axes: np.ndarray, centre: np.ndarray = CENTRE) -> Geometry:
    origin = centre - axes @ ((np.array(size) - 1) / 2 * spacing)
    return Geometry(size, spacing, tuple(origin), tuple(np.asarray(axes).ravel()))


OBLIQUE_LEFT_HANDED = Rotation.from_euler("xyz", [17, -11, 8], degrees=True).as_matrix() @ np.diag([1.0, 1.0, -1.0])
OTHER_AXES = Rotation.from_euler("xyz", [-6, 14, 21], degrees=True).as_matrix()[:, [1, 2, 0]] @ np.diag([-1.0, 1, 1])
"""Axes in another order, one of them backwards: also left-handed."""


@cache
def analytic_pair(amplitude_mm: float = 3.0) -> AnalyticPair:
    """Oblique, anisotropic and left-handed, with different axes, sizes and spacings of both images; int16."""
    fixed = grid_around((42, 34, 30), (1.5, 1.9, 2.3), OBLIQUE_LEFT_HANDED)
    moving = grid_around((56, 58, 48), (1.7, 1.8, 2.2), OTHER_AXES, CENTRE + np.array([1.0, 2.0, -1.0]))
    truth = bending(amplitude_mm)
    inside = np.linalg.norm((fixed.points() - CENTRE) / [25, 24, 25], axis=-1) < 1
    return AnalyticPair(
        Volume(np.rint(texture(truth(fixed.points()))).astype(np.int16), fixed, "fixed"),
        Volume(np.rint(texture(moving.points())).astype(np.int16), moving, "moving"),
        Volume(inside, fixed, "mask"),
        truth,
    )


def problem_of(
    fixed: Volume, moving: Volume, mask: Volume | None = None, linear: LinearTransform | None = None
) -> Problem:
    """Two scans of lungs as the solver gets them."""
    region = find_region(fixed) if mask is None else Region.given(mask)
    return Problem(
        fixed,
        moving,
        region,
        linear or LinearTransform(),
        lung_intensity,
        lung_intensity,
        torch.device("cpu"),
        find_organs=lambda: (region, find_region(moving)),
    )


def turned(geometry: Geometry, rotation: np.ndarray, about: np.ndarray, shift: np.ndarray) -> Geometry:
    """The same voxels elsewhere: x -> R (x - about) + about + shift."""
    origin = rotation @ (np.array(geometry.origin) - about) + about + shift
    return Geometry(geometry.size, geometry.spacing, tuple(origin), tuple((rotation @ geometry.axes).ravel()))


def stored_otherwise(volume: Volume, order: tuple[int, int, int], backwards: tuple[int, ...] = ()) -> Volume:
    """The same voxels at the same places, stored with the grid axes (x, y, z) in another ``order`` and some of them
    ``backwards``."""
    geometry, array = volume.geometry, volume.array
    array = np.transpose(array, [2 - order[2], 2 - order[1], 2 - order[0]])
    axes, spacing = geometry.axes[:, order], np.array(geometry.spacing)[list(order)]
    size, origin = np.array(geometry.size)[list(order)], np.array(geometry.origin)
    for axis in backwards:
        array = np.flip(array, 2 - axis)
        origin = origin + axes[:, axis] * spacing[axis] * (size[axis] - 1)
        axes = axes * np.where(np.arange(3) == axis, -1.0, 1.0)
    new = Geometry(tuple(size), tuple(spacing), tuple(origin), tuple(axes.ravel()))
    return Volume(np.ascontiguousarray(array), new, volume.name)


@cache
def phantom(oblique_degrees: float = 15.0, seed: int = 2, difficulty: str = "easy") -> PhantomPair:
    return make_phantom(SIZE, seed=seed, oblique_degrees=oblique_degrees, difficulty=difficulty)


def phantom_landmarks(pair: PhantomPair) -> dict[str, Landmarks]:
    return {
        "fixed_landmarks": Landmarks(pair.fixed_landmarks, name="fixed.csv"),
        "moving_landmarks": Landmarks(pair.moving_landmarks, name="moving.csv"),
    }


@cache
def phantom_registration() -> Registration:
    """The oblique, anisotropic phantom, registered fast; nobody changes it."""
    pair = phantom()
    return register(pair.fixed, pair.moving, **QUICKLY, **phantom_landmarks(pair))  # type: ignore[arg-type]


def analytic_registration(**options: object) -> Registration:
    """The analytic pair with its mask, registered in a few tenths of a second."""
    pair = analytic_pair()
    sources = {"fixed": pair.fixed, "moving": pair.moving, "fixed_mask": pair.mask}
    return register(**{**sources, **QUICKLY, **options})  # type: ignore[arg-type]


def fresh(registration: Registration) -> Registration:
    """A copy that may be saved: saving writes the times into the evidence."""
    return replace(registration, evidence={**registration.evidence, "seconds": dict(registration.evidence["seconds"])})
