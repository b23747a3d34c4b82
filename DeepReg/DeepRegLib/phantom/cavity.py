"""The wall of the thoracic cavity, along which its content slides.

The cavity is a barrel that is closed by a dome at the top (the apex of the lungs), open towards the abdomen, and
indented by the spine at the back. Everything about it is a closed formula, so that the breathing motion can be made
exactly tangential to the wall.

Frame of the whole phantom: LPS mm, the centre of the thorax at zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

POWER = 2.5
"""Exponent of the super-ellipses: between an ellipse (2) and the more box-like section of a real chest (3)."""
CORNER_MM = 12.0
"""Rounding where the indentation of the spine meets the barrel; keeps the normal of the wall smooth."""


def power_of(ratio: np.ndarray) -> np.ndarray:
    """|ratio| ** 2.5, without the slow general power."""
    magnitude = np.abs(ratio)
    return magnitude * magnitude * np.sqrt(magnitude)


def power_slope(ratio: np.ndarray) -> np.ndarray:
    """The derivative of :func:`power_of` divided by ``POWER``: sign(ratio) |ratio| ** 1.5."""
    return ratio * np.sqrt(np.abs(ratio))


@dataclass(frozen=True)
class ThoracicCavity:
    """Half axes and centre of the barrel, and the spine, in mm.

    >>> cavity = ThoracicCavity()
    >>> bool(cavity.depth(np.array([60.0, 0.0, 0.0])) < 0), bool(cavity.depth(np.array([0.0, 50.0, 0.0])) > 0)
    (True, True)
    """

    half_width: float = 114.0
    half_depth: float = 77.0
    centre_y: float = -13.0
    lean: float = 0.05
    """mm that the section moves backwards per mm towards the head: the sternum is sloped."""
    apex_z: float = 114.0
    dome_starts_z: float = -70.0
    spine_y: float = 52.0
    spine_radius: float = 23.0

    @property
    def scale_mm(self) -> float:
        """Turns the dimensionless gauge of the barrel into mm, correct on average near the wall."""
        return 0.5 * (self.half_width + self.half_depth)

    def depth(self, points: np.ndarray) -> np.ndarray:
        """Signed, roughly Euclidean distance (mm) of points (..., 3) to the wall; negative inside."""
        return self.depth_at(*np.moveaxis(points, -1, 0))

    def depth_at(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """The same for coordinates (mm) that are broadcast against each other."""
        a, b, c = self.ratios(x, y, z)
        barrel = ((power_of(a) + (power_of(b) + power_of(c)) + 1e-6) ** (1 / POWER) - 1) * self.scale_mm
        spine = self.spine_radius - np.sqrt(x * x + (y - self.spine_y) ** 2 + 1e-6)
        return 0.5 * (barrel + spine + np.sqrt((barrel - spine) ** 2 + CORNER_MM**2))

    def depth_and_normal(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Signed distance (...) and the outward unit normal (..., 3) of the level surface through each point."""
        x, y, z = np.moveaxis(points, -1, 0)
        a, b, c = self.ratios(x, y, z)
        total = power_of(a) + power_of(b) + power_of(c) + 1e-6
        gauge = total ** (1 / POWER)
        barrel = (gauge - 1) * self.scale_mm
        slope = self.scale_mm * gauge / total
        gradient_y = slope * power_slope(b) / self.half_depth
        barrel_gradient = (
            slope * power_slope(a) / self.half_width,
            gradient_y,
            slope * power_slope(c) / self._dome_height - self.lean * gradient_y,
        )
        to_spine_y = y - self.spine_y
        radius = np.sqrt(x * x + to_spine_y * to_spine_y + 1e-6)
        difference = barrel - (self.spine_radius - radius)
        root = np.sqrt(difference * difference + CORNER_MM**2)
        share = 0.5 * (1 + difference / root)
        depth = 0.5 * (barrel + self.spine_radius - radius + root)
        towards_spine = (1 - share) / radius
        normal = np.stack(
            [
                share * barrel_gradient[0] - towards_spine * x,
                share * barrel_gradient[1] - towards_spine * to_spine_y,
                share * barrel_gradient[2],
            ],
            -1,
        )
        length = np.sqrt((normal * normal).sum(-1, keepdims=True)) + 1e-9
        return depth, normal / length

    def ratios(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Coordinates (mm) relative to the half axes of the barrel; the third is zero below the dome."""
        a = x / self.half_width
        b = (y - self.centre_y - self.lean * z) / self.half_depth
        c = np.maximum((z - self.dome_starts_z) / self._dome_height, 0)
        return a, b, c

    def wall_point(self, angle: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Points (..., 3) of the barrel at height ``z``, seen from its axis under ``angle`` (radians; zero towards the
        left of the patient, a quarter turn towards the back). The indentation of the spine is left out."""
        c = np.clip((z - self.dome_starts_z) / self._dome_height, 0, 1)
        room = (1 - power_of(c)) ** (1 / POWER)
        a, b = np.cos(angle), np.sin(angle)
        reach = room / (power_of(a / self.half_width) + power_of(b / self.half_depth)) ** (1 / POWER)
        return np.stack([reach * a, reach * b + self.centre_y + self.lean * z, z + 0 * a], -1)

    @property
    def _dome_height(self) -> float:
        return self.apex_z - self.dome_starts_z
