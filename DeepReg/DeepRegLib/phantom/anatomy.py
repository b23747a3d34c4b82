"""The shapes of the resting patient, as signed distances in mm (negative inside), and the trees in the lungs."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from . import vessels
from .cavity import ThoracicCavity
from .vessels import Tree

PLEURA_MM = 1.5
"""The lungs end this much before the wall of the cavity."""

ARTERY_ENDS, VEIN_ENDS, AIRWAY_ENDS = 560, 500, 26
"""End points of each tree in one lung."""
VESSEL_END_MM, AIRWAY_END_MM = 0.7, 1.2
"""Radius of the finest branches: what a scan of 1 to 2 mm still shows."""
END_DEPTH_MM, AIRWAY_END_DEPTH_MM = 2.5, 18.0
"""How far from the surface of the lung the trees end."""


@dataclass(frozen=True)
class Anatomy:
    """One patient: the cavity, the trees in the lungs and small individual differences."""

    cavity: ThoracicCavity
    arteries_and_veins: list[Tree]
    airways: list[Tree]
    domes: tuple[float, float]
    """Heights (mm) of the right and left dome of the diaphragm."""
    heart_size: float
    texture_seed: int

    @classmethod
    def random(cls, rng: np.random.Generator) -> Anatomy:
        cavity = ThoracicCavity(half_width=114 + rng.uniform(-4, 3), half_depth=77 + rng.uniform(-4, 2))
        domes = (-36 + rng.uniform(-5, 4), -47 + rng.uniform(-5, 4))
        bare = cls(cavity, [], [], domes, rng.uniform(0.88, 1.06), int(rng.integers(2**31)))
        trees, airways = [], []
        for side, bronchus_ends in zip((-1, 1), vessels.BRONCHUS_ENDS, strict=True):
            for hilum, count in ((vessels.ARTERY_HILUM, ARTERY_ENDS), (vessels.VEIN_HILUM, VEIN_ENDS)):
                ends = bare.points_in_lung(side, count, END_DEPTH_MM, rng)
                trees.append(vessels.grow(np.array(hilum) * [side, 1, 1], ends, VESSEL_END_MM, rng))
            ends = bare.points_in_lung(side, AIRWAY_ENDS, AIRWAY_END_DEPTH_MM, rng)
            airways.append(vessels.grow(np.array(bronchus_ends), ends, AIRWAY_END_MM, rng))
        return dataclasses.replace(bare, arteries_and_veins=trees, airways=airways)

    def points_in_lung(self, side: int, count: int, deeper_mm: float, rng: np.random.Generator) -> np.ndarray:
        """Random points (count, 3), spread evenly in the right (-1) or left (1) lung, ``deeper_mm`` from its wall."""
        low, high = np.array([2.0, -95, -140]), np.array([120.0, 70, 115])
        candidates = rng.uniform(low, high, (count * 12, 3)) * [side, 1, 1]
        return candidates[self.lung_depth(candidates) < -deeper_mm][:count]

    def lung_depth(self, points: np.ndarray) -> np.ndarray:
        """Signed, roughly Euclidean distance (mm) of points (..., 3) to the surface of the lungs; negative inside."""
        x, y, z = np.moveaxis(np.asarray(points, dtype=float), -1, 0)
        return self.lung_depth_at(x, y, z, self.cavity.depth_at(x, y, z))

    def lung_depth_at(self, x: np.ndarray, y: np.ndarray, z: np.ndarray, depth: np.ndarray) -> np.ndarray:
        """The same for coordinates (mm) that are broadcast against each other, and their ``depth`` in the cavity."""
        free = np.maximum(depth + PLEURA_MM, 0.85 * (self.diaphragm(x, y) - z))
        return np.maximum(free, -self.mediastinum(x, y, z))

    def diaphragm(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Height (mm) of the diaphragm: two domes that fall off steeply to the back."""
        right = self.domes[0] - 13 * ((x + 56) / 42) ** 2
        left = self.domes[1] - 13 * ((x - 58) / 42) ** 2
        return 0.5 * (right + left + np.sqrt((right - left) ** 2 + 64)) - 30 * ((y + 18) / 55) ** 2

    def heart(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Signed distance (mm): an egg that points to the left, front and down."""
        u, v, w = x - 14, y + 30, z + 30
        along, across = 0.8 * u - 0.35 * v - 0.45 * w, 0.45 * u + 0.85 * w + 0.1 * v
        depth = 0.92 * v + 0.35 * u
        return (np.sqrt((along / 56) ** 2 + (across / 43) ** 2 + (depth / 45) ** 2) - self.heart_size) * 46

    def mediastinum(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Signed distance (mm) to what separates the lungs, heart included."""
        half_width = 17 + 9 / (1 + np.exp(-(z - 2) / 10)) + 2.5 * np.sin(z / 13)
        column = (np.sqrt(((x - 2) / half_width) ** 2 + ((y + 4 - 0.05 * z) / 54) ** 2) - 1) * half_width
        aorta = np.sqrt((x - 17) ** 2 + (y - 33) ** 2) - 14
        aorta = np.where(z < 45, aorta, column)
        septum = np.abs(x - 2) - 2.5
        return np.minimum(np.minimum(self.heart(x, y, z) - 3.5, column), np.minimum(aorta, septum))
