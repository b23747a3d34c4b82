"""Breathing, from the fixed image (breathed in) to the moving image (breathed out), as an exactly known map.

T = table o chest o cavity, each of which has an exact inverse:

* *cavity*: the flow of a stationary velocity that lives inside the thoracic cavity and is tangential to its wall.
  Outside it is zero, so the content slides along the ribs without gap or overlap.
* *chest*: the flow of a smooth velocity everywhere: the front of the chest sinks, a little uneven motion.
* *table*: a small rotation and a shift of the patient together with the table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..parallel import in_parallel
from ..transforms.linear import LinearTransform
from .cavity import ThoracicCavity

EXACT_STEPS = 16
"""Runge-Kutta steps of a flow for single points: the error is below a micrometre."""
LATTICE_STEPS = 5
"""Runge-Kutta steps of a flow on a lattice: the error is a few micrometres, at a third of the cost."""
WALL_LAYER_MM = 24.0
"""Depth over which the normal component of the motion fades towards the wall."""
APEX_Z, DOME_Z = 114.0, -45.0
"""Heights between which the motion of the diaphragm fades to nothing."""
SPINE_CORE_MM = 10.0
"""The velocity is continued smoothly beyond the wall, so that it can be interpolated up to it, but not to the axis of
the spine, where the normal has no direction: it fades within this radius."""
POINTS_PER_CHUNK = 8192
"""Points that flow together: their working arrays stay in the cache of a core, four times faster than all at once."""
DOME_POINTS = np.array([[-55.0, 15.0, -50.0], [58.0, 15.0, -55.0]])
"""Where the motion of the diaphragm is measured: near the top of both domes."""

Velocity = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Waves:
    """A smooth vector field: a sum of plane waves with ``numbers`` (k, 3) in radians per mm, ``phases`` (k,) and
    vector ``amplitudes`` (k, 3) in mm."""

    numbers: np.ndarray
    phases: np.ndarray
    amplitudes: np.ndarray

    def __call__(self, points: np.ndarray) -> np.ndarray:
        numbers, phases, amplitudes = (a.astype(points.dtype) for a in (self.numbers, self.phases, self.amplitudes))
        return np.sin(points @ numbers.T + phases) @ amplitudes

    @classmethod
    def random(cls, rng: np.random.Generator, sizes: list[tuple[float, float, int]]) -> Waves:
        """``sizes`` lists (wavelength mm, root mean square mm per component, number of waves)."""
        numbers, amplitudes = [], []
        for wavelength, strength, count in sizes:
            direction = rng.normal(size=(count, 3))
            direction /= np.linalg.norm(direction, axis=1, keepdims=True)
            numbers.append(2 * np.pi / wavelength * direction)
            amplitudes.append(strength * np.sqrt(2 / count) * rng.normal(size=(count, 3)).clip(-1.5, 1.5))
        phases = rng.uniform(0, 2 * np.pi, sum(len(n) for n in numbers))
        return cls(np.concatenate(numbers), phases, np.concatenate(amplitudes))


@dataclass(frozen=True)
class CavityVelocity:
    """Motion of the content of the cavity: up with the diaphragm, fading to the apex, stronger at the back, weaker
    below the heart, and uneven; tangential at the wall. ``diaphragm_mm`` scales the cranio-caudal part."""

    cavity: ThoracicCavity
    diaphragm_mm: float
    left_right: float
    waves: Waves

    def __call__(self, points: np.ndarray) -> np.ndarray:
        x, y, z = np.moveaxis(points, -1, 0)
        share = np.clip((APEX_Z - z) / (APEX_Z - DOME_Z), 0, 1)
        height = 0.5 - 0.5 * np.cos(np.pi * share)
        back = 1 + 0.3 * np.tanh((y - 5) / 50)
        heart = 1 - 0.3 * np.exp(-((x - 10) ** 2 + (y + 25) ** 2) / (2 * 40.0**2))
        side = 1 + self.left_right * np.tanh(x / 60)
        velocity = self.waves(points)
        velocity[..., 2] += self.diaphragm_mm * height * back * heart * side
        depth, normal = self.cavity.depth_and_normal(points)
        towards_wall = np.exp(-((depth / WALL_LAYER_MM) ** 2)) * (velocity * normal).sum(-1)
        from_spine = (x * x + (y - self.cavity.spine_y) ** 2) / SPINE_CORE_MM**2
        return (velocity - towards_wall[..., None] * normal) * (1 - np.exp(-from_spine))[..., None]


@dataclass(frozen=True)
class ChestVelocity:
    """Motion of everything: the front of the chest sinks by ``front_mm``; the back lies still on the table."""

    front_mm: float
    waves: Waves

    def __call__(self, points: np.ndarray) -> np.ndarray:
        y, z = points[..., 1], points[..., 2]
        share = np.clip((75 - y) / 180, 0, 1)
        front = share * share * (3 - 2 * share)
        velocity = self.waves(points) * front[..., None]
        velocity[..., 1] += self.front_mm * front * np.exp(-((z + 30) ** 2) / (2 * 80.0**2))
        return velocity


def flow(velocity: Velocity, points: np.ndarray, time: float, steps: int) -> np.ndarray:
    """Where points (..., 3) are after ``time`` in a stationary velocity (classical fourth-order Runge-Kutta).

    A negative time gives the inverse map. Works in the precision of ``points``.
    """
    flat = points.reshape(-1, 3)
    chunks = [flat[i : i + POINTS_PER_CHUNK] for i in range(0, len(flat), POINTS_PER_CHUNK)]
    moved = in_parallel(lambda chunk: _flow_together(velocity, chunk, time / steps, steps), chunks)
    return np.concatenate(moved).reshape(points.shape)


def _flow_together(velocity: Velocity, points: np.ndarray, h: float, steps: int) -> np.ndarray:
    for _ in range(steps):
        k1 = velocity(points)
        k2 = velocity(points + h / 2 * k1)
        k3 = velocity(points + h / 2 * k2)
        k4 = velocity(points + h * k3)
        points = points + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return points


@dataclass(frozen=True)
class BreathingMap:
    """The exact map T from fixed to moving points (LPS mm) and its exact inverse.

    ``inside`` and ``outside`` are the smooth halves of the map, each defined everywhere: the first holds within the
    thoracic cavity, the second for the rest of the body. T itself chooses by the wall.
    """

    cavity: ThoracicCavity
    content: CavityVelocity
    chest: ChestVelocity
    table: LinearTransform

    def map_points(self, points: np.ndarray) -> np.ndarray:
        """T(x) for fixed points (..., 3)."""
        points = np.asarray(points, dtype=float)
        within = (self.cavity.depth(points) < 0)[..., None]
        return np.where(within, self.inside(points, EXACT_STEPS), self.outside(points, EXACT_STEPS))

    def map_back(self, points: np.ndarray) -> np.ndarray:
        """The inverse of T for moving points (..., 3)."""
        resting = self.outside_back(np.asarray(points, dtype=float), EXACT_STEPS)
        within = (self.cavity.depth(resting) < 0)[..., None]
        return np.where(within, self.content_back(resting, EXACT_STEPS), resting)

    def inside(self, points: np.ndarray, steps: int) -> np.ndarray:
        return self.outside(flow(self.content, points, 1.0, steps), steps)

    def outside(self, points: np.ndarray, steps: int) -> np.ndarray:
        return self.table.map_points(flow(self.chest, points, 1.0, steps))

    def outside_back(self, points: np.ndarray, steps: int) -> np.ndarray:
        on_table = self.table.inverse().map_points(points).astype(points.dtype)
        return flow(self.chest, on_table, -1.0, steps)

    def content_back(self, points: np.ndarray, steps: int) -> np.ndarray:
        """Undoes the motion of the content alone, for points where chest and table are undone already."""
        return flow(self.content, points, -1.0, steps)


def calibrated(content: CavityVelocity, target_mm: float) -> CavityVelocity:
    """The same motion, scaled so that the domes of the diaphragm rise by ``target_mm`` on average."""
    scale = target_mm
    for _ in range(4):  # nearly linear: four rounds leave less than 0.1 mm
        trial = CavityVelocity(content.cavity, scale, content.left_right, content.waves)
        risen = (flow(trial, DOME_POINTS, 1.0, LATTICE_STEPS) - DOME_POINTS)[:, 2].mean()
        scale *= target_mm / risen
    return CavityVelocity(content.cavity, scale, content.left_right, content.waves)


def rotation(degrees: np.ndarray) -> np.ndarray:
    """Rotation matrix (3, 3) about the x, then y, then z axis by three small angles."""
    (cx, cy, cz), (sx, sy, sz) = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return about_z @ about_y @ about_x
