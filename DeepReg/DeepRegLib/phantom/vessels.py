"""Branching trees that fill the lungs: arteries, veins and airways, and the great vessels of the mediastinum.

A tree is grown by splitting a cloud of end points again and again along its longest direction; each branch leads part
of the way to the middle of its share. Radii follow Murray's law (C. D. Murray, Proc. Natl. Acad. Sci. 12, 1926,
207-214): the cube of the radius is shared among the branches.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .painting import Tube, hermite, step_along

MURRAY_EXPONENT = 3.0
ARTERY_HILUM, VEIN_HILUM = (38.0, 8.0, 10.0), (38.0, 14.0, -12.0)
"""Where the trees of the left lung start (LPS mm); those of the right are their mirror image."""
BRONCHUS_ENDS = ((-30.0, 14.0, 8.0), (36.0, 18.0, 5.0))
"""Where the right and the left main bronchus divide."""
REACH = 0.42
"""Share of the way to the middle of its end points that a branch covers before it divides."""


@dataclass(frozen=True)
class Tree:
    """Nodes of a branching tree: ``positions`` (n, 3) LPS mm, ``parents`` (n,) (-1 for the root), ``radii`` (n,) in mm
    of the branch that leads to the node, and ``divides`` (n,): whether the node is a branch point."""

    positions: np.ndarray
    parents: np.ndarray
    radii: np.ndarray
    divides: np.ndarray

    def tube(self) -> Tube:
        """The whole tree as smooth curves through its nodes; a branch leaves in the direction of the one before."""
        node = np.arange(1, len(self.positions))
        parent = self.parents[node]
        start, end = self.positions[parent], self.positions[node]
        chord = end - start
        length = np.linalg.norm(chord, axis=1, keepdims=True) + 1e-6
        arriving = start - self.positions[np.maximum(self.parents[parent], 0)]
        arriving = arriving / (np.linalg.norm(arriving, axis=1, keepdims=True) + 1e-6)
        first = (self.parents[parent] < 0)[:, None]
        leave = np.where(first, chord, 0.5 * chord + 0.5 * length * arriving)
        own = self.radii[node]
        extra = np.minimum(self.radii[parent], 1.5 * own) - own
        counts = 2 + (length[:, 0] / step_along(own)).astype(int)
        branch = np.repeat(np.arange(len(node)), counts)
        before = np.repeat(np.cumsum(counts) - counts, counts)
        t = (np.arange(len(branch)) - before) / (counts[branch] - 1)
        centres = hermite(start[branch], end[branch], leave[branch], chord[branch], t)
        return Tube(centres, own[branch] + extra[branch] * np.clip(1 - 4 * t, 0, 1))


def grow(root: np.ndarray, end_points: np.ndarray, end_radius_mm: float, rng: np.random.Generator) -> Tree:
    """A tree from ``root`` (3,) to every one of ``end_points`` (n, 3), whose finest branches have ``end_radius_mm``."""
    positions, parents, counts = [np.asarray(root, dtype=float)], [-1], [len(end_points)]
    divides = [len(end_points) > 1]
    waiting = [(0, end_points)]
    while waiting:
        parent, cloud = waiting.pop()
        if len(cloud) < 2:
            continue
        for part in _split(cloud, rng):
            middle = part.mean(0)
            reach = 1.0 if len(part) == 1 else REACH + rng.uniform(-0.08, 0.08)
            positions.append(positions[parent] + reach * (middle - positions[parent]))
            parents.append(parent)
            counts.append(len(part))
            divides.append(len(part) > 1)
            waiting.append((len(positions) - 1, part))
    radii = end_radius_mm * np.array(counts, dtype=float) ** (1 / MURRAY_EXPONENT)
    return Tree(np.array(positions), np.array(parents), radii, np.array(divides))


def _split(cloud: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    centred = cloud - cloud.mean(0)
    longest = np.linalg.eigh(centred.T @ centred)[1][:, -1]
    along = centred @ (longest + rng.normal(scale=0.25, size=3))
    order = np.argsort(along)
    at = int(np.clip(round(len(cloud) * rng.uniform(0.3, 0.7)), 1, len(cloud) - 1))
    return cloud[order[:at]], cloud[order[at:]]


def spread(points: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Indices of up to ``count`` of ``points`` (n, 3), each as far as possible from those before it."""
    if not len(points):
        return np.zeros(0, int)
    chosen = [int(rng.integers(len(points)))]
    nearest = np.linalg.norm(points - points[chosen[0]], axis=1)
    while len(chosen) < min(count, len(points)):
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, np.linalg.norm(points - points[chosen[-1]], axis=1))
    return np.array(chosen)


def central_airways() -> list[Tube]:
    """Trachea and main bronchi, lumen."""
    carina = (0, 14, 34)
    return [
        Tube.through([[0, 2, 190], [0, 4, 120], [0, 9, 75], carina], [8.5, 8.5, 8.5, 8.0]),
        Tube.through([carina, [-14, 16, 20], BRONCHUS_ENDS[0]], [7.0, 6.5, 6.0]),
        Tube.through([carina, [16, 18, 20], BRONCHUS_ENDS[1]], [6.5, 6.0, 5.5]),
    ]


def great_vessels() -> list[Tube]:
    """Aorta, upper caval vein, pulmonary trunk with its main branches, left atrium with pulmonary veins."""
    return [
        Tube.through(
            [[6, -18, -5], [-6, -22, 25], [-2, -16, 46], [14, 6, 54], [19, 28, 44], [19, 34, 15], [17, 32, -80]],
            [14, 15, 14, 13, 12, 11.5, 11],
        ),
        Tube.through([[17, 32, -80], [10, 28, -190]], [11, 10]),
        Tube.through([[-16, -8, -10], [-15, -10, 30], [-14, -12, 70], [-18, -10, 130]], [10, 9, 8, 7]),
        Tube.through([[12, -10, 75], [9, -6, 105], [14, 2, 150]], [5, 4.5, 4]),
        Tube.through([[18, -36, 0], [14, -24, 22], [22, -4, 22], [38, 8, 14]], [14, 13, 11, 8]),
        Tube.through([[14, -20, 20], [-8, 0, 18], [-32, 4, 6]], [12, 10, 8]),
        Tube.through([[-34, 10, -14], [-8, 12, -12], [14, 14, -12], [38, 14, -12]], [7, 14, 14, 7]),
    ]


def oesophagus() -> Tube:
    return Tube.through([[3, 20, 190], [2, 24, 60], [3, 30, 0], [12, 18, -70], [30, 0, -90]], [7, 7, 7, 7, 8])


def to_great_tubes(points: np.ndarray) -> np.ndarray:
    """Distance (n,) in mm of ``points`` (n, 3) to the surface of the great vessels and central airways."""
    tube = Tube.joined(great_vessels() + central_airways())
    return (np.linalg.norm(points[:, None] - tube.centres, axis=-1) - tube.radii).min(1)
