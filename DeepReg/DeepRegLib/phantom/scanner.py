"""Two scanners: each looks at the patient on its own grid, with noise and slices of some thickness."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ..images.geometry import Geometry
from ..images.volume import Volume
from ..parallel import in_parallel, slabs
from ..transforms.displacement_field import DisplacementField
from .lattice import Lattice
from .motion import LATTICE_STEPS, BreathingMap
from .rendering import Rendering

SLAB = 8
"""Slices that are computed together; bounds the working memory to some 200 MB at 512 x 512."""
HU_LIMITS = (-1024, 3071)
"""What a 12-bit scanner stores."""
SMOOTH_NOISE = (0.25, 0.5, 0.25)
"""In-plane filter that gives noise the grain of a reconstructed image."""


class Sight(Protocol):
    """Which point of the resting patient is seen at each voxel of a grid, and how dense its parenchyma is there."""

    @property
    def geometry(self) -> Geometry: ...

    def points(self, slices: slice) -> np.ndarray:
        """Points of the resting patient, (slices, y, x, 3) float32, LPS mm."""

    def density(self, slices: slice) -> np.ndarray | float:
        """By how much parenchyma is denser than at rest, (slices, y, x)."""


@dataclass(frozen=True)
class AtRest:
    """The patient as rendered: breathed in."""

    geometry: Geometry

    def points(self, slices: slice) -> np.ndarray:
        return voxel_centres(self.geometry, slices)

    def density(self, slices: slice) -> np.ndarray | float:
        return 1.0


class BreathedOut:
    """The patient after the motion: T pulled back; parenchyma is as much denser as its volume is smaller."""

    def __init__(self, motion: BreathingMap, geometry: Geometry) -> None:
        self.geometry = geometry
        lattice = Lattice.over(geometry)
        points = lattice.points().astype(np.float32)
        rested = motion.outside_back(points, LATTICE_STEPS)
        within = motion.content_back(rested, LATTICE_STEPS)
        self._map = SlidingMap(lattice, within - points, rested - points, motion.cavity.depth(rested))
        self._density = lattice.spline(lattice.jacobian_determinant(within))

    def points(self, slices: slice) -> np.ndarray:
        return voxel_centres(self.geometry, slices) + self._map.displacements(slices)

    def density(self, slices: slice) -> np.ndarray | float:
        return self._density.at(slices)


class SlidingMap:
    """Displacements that jump at the wall of the cavity.

    ``within`` and ``beyond`` (z, y, x, 3), in mm, hold inside and outside the cavity, but are smooth and known on the
    whole lattice; ``depth`` (z, y, x) is the signed distance to the wall.
    """

    def __init__(self, lattice: Lattice, within: np.ndarray, beyond: np.ndarray, depth: np.ndarray) -> None:
        self._sides = list(zip(lattice.splines(within), lattice.splines(beyond), strict=True))
        self._depth = lattice.spline(depth)

    def displacements(self, slices: slice) -> np.ndarray:
        """(slices, y, x, 3) float32, mm."""
        inside = self._depth.at(slices) < 0
        parts = [np.where(inside, within.at(slices), beyond.at(slices)) for within, beyond in self._sides]
        return np.stack(parts, -1)


def true_field(motion: BreathingMap, geometry: Geometry) -> DisplacementField:
    """T(x) - x at every voxel of the fixed grid."""
    lattice = Lattice.over(geometry)
    points = lattice.points().astype(np.float32)
    within, beyond = motion.inside(points, LATTICE_STEPS), motion.outside(points, LATTICE_STEPS)
    sliding = SlidingMap(lattice, within - points, beyond - points, motion.cavity.depth(points))
    array = np.empty((*geometry.shape, 3), np.float32)

    def fill(slices: slice) -> None:
        array[slices] = sliding.displacements(slices)

    in_parallel(fill, slabs(geometry.shape[0], SLAB))
    return DisplacementField(array, geometry)


def acquire(
    rendering: Rendering, sight: Sight, parts: int, noise_hu: float, rng: np.random.Generator, name: str
) -> tuple[Volume, Volume]:
    """Image (int16 HU) and lung mask (uint8) that a scanner makes of the patient.

    ``sight`` lies on a grid that has ``parts`` thin slices for each slice of the image; they are averaged.
    """
    geometry = thick(sight.geometry, parts)
    image, mask = np.empty(geometry.shape, np.int16), np.empty(geometry.shape, np.uint8)
    slabs_of_scan = slabs(geometry.shape[0], SLAB)

    def scan(here: slice, own_rng: np.random.Generator) -> None:
        parted = slice(here.start * parts, here.stop * parts)
        hu, tissue, lung = _look(rendering, sight.points(parted))
        hu += tissue * (sight.density(parted) - 1)
        hu, lung = (a.reshape(-1, parts, *a.shape[1:]).mean(1) for a in (hu, lung))
        hu += noise_hu * _noise(hu.shape, own_rng)
        image[here] = np.rint(np.clip(hu, *HU_LIMITS))
        mask[here] = lung > 0.5

    # each slab has a generator of its own, so that the bits do not depend on which core is first
    in_parallel(lambda job: scan(*job), zip(slabs_of_scan, rng.spawn(len(slabs_of_scan)), strict=True))
    return Volume(image, geometry, name), Volume(mask, geometry, f"{name} lungs")


def thin(geometry: Geometry, parts: int) -> Geometry:
    """The grid with every slice cut into ``parts`` thinner ones."""
    nx, ny, nz = geometry.size
    spacing = np.array(geometry.spacing) / [1, 1, parts]
    origin = geometry.to_physical(np.array([0, 0, (1 / parts - 1) / 2]))
    return Geometry((nx, ny, nz * parts), tuple(spacing), tuple(origin), geometry.direction)


def thick(geometry: Geometry, parts: int) -> Geometry:
    """The grid with every ``parts`` slices joined into one: undoes :func:`thin`."""
    nx, ny, nz = geometry.size
    spacing = np.array(geometry.spacing) * [1, 1, parts]
    origin = geometry.to_physical(np.array([0, 0, (parts - 1) / 2]))
    return Geometry((nx, ny, nz // parts), tuple(spacing), tuple(origin), geometry.direction)


def voxel_centres(geometry: Geometry, slices: slice) -> np.ndarray:
    """Points (slices, y, x, 3) float32, LPS mm, of some slices of a grid."""
    x, y, z = (geometry.axes * np.array(geometry.spacing)).T[:, None, None, None, :]
    nz, ny, nx = geometry.shape
    heights = np.arange(*slices.indices(nz))[:, None, None, None] * z + np.array(geometry.origin)
    rows, columns = np.arange(ny)[:, None, None] * y, np.arange(nx)[:, None] * x
    return heights.astype(np.float32) + (rows + columns).astype(np.float32)


def _look(rendering: Rendering, points: np.ndarray) -> np.ndarray:
    """The channels of the rendering (3, slices, y, x) at ``points`` (slices, y, x, 3), interpolated linearly."""
    import torch
    from torch.nn.functional import grid_sample

    span = rendering.geometry.extent_mm / 2
    grid = (points - rendering.geometry.centre.astype(np.float32)) / span.astype(np.float32)
    volume, where = torch.from_numpy(rendering.channels)[None], torch.from_numpy(grid)[None]
    return grid_sample(volume, where, mode="bilinear", padding_mode="border", align_corners=True)[0].numpy()


def _noise(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Noise of unit strength with a fine grain within each slice."""
    side, middle, _ = SMOOTH_NOISE
    noise = rng.standard_normal((shape[0], shape[1] + 2, shape[2] + 2), dtype=np.float32)
    noise = middle * noise[:, 1:-1] + side * (noise[:, :-2] + noise[:, 2:])
    noise = middle * noise[:, :, 1:-1] + side * (noise[:, :, :-2] + noise[:, :, 2:])
    return noise / float(np.square(SMOOTH_NOISE).sum())
