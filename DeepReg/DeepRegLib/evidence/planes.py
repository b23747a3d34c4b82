"""Three slices through the fixed image, laid out as a radiologist expects them, and the values found on them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations

import numpy as np

from ..images.geometry import Geometry
from ..images.volume import Volume
from .region_grid import region_on

LONGEST_SIDE_PIXELS = 256
"""Pictures are sampled on square pixels; more of them would only make the report heavier."""
MARGIN_MM = 20.0
"""What is shown around the region, so that its border can be judged."""
REGION_SAMPLE_MM = 4.0
"""The region is looked at on voxels of this size when slices are chosen."""
OBLIQUE_SHARE = np.sin(np.radians(22.5))
"""An axis gets a second letter (as in 'LA') when it leans by more than this towards another one."""

POSITIVE_LETTERS, NEGATIVE_LETTERS = "LPS", "RAI"
NORMAL_AXIS = {"Axial": 2, "Coronal": 1, "Sagittal": 0}
"""The LPS axis that each plane is across."""
RIGHTWARDS = {"Axial": (0, 1), "Coronal": (0, 1), "Sagittal": (1, 1)}
"""LPS axis and sign that point to the right of the picture: the patient's left, or the back in sagittal slices."""
DOWNWARDS = {"Axial": (1, 1), "Coronal": (2, -1), "Sagittal": (2, -1)}


@dataclass(frozen=True)
class Plane:
    """A slice of the fixed image: ``points`` (h, w, 3), LPS mm, row 0 on top, square pixels of ``pixel_mm``; ``right``
    and ``down`` are unit vectors (LPS) along the picture."""

    name: str
    points: np.ndarray
    pixel_mm: float
    right: np.ndarray
    down: np.ndarray

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.points.shape[1], self.points.shape[0]

    @property
    def letters(self) -> dict[str, str]:
        """What lies at the edges of the picture: L or R, A or P, S or I."""
        return {
            "left": direction_letters(-self.right),
            "right": direction_letters(self.right),
            "top": direction_letters(-self.down),
            "bottom": direction_letters(self.down),
        }


def direction_letters(vector: np.ndarray) -> str:
    """The anatomical direction of an LPS unit vector: one letter, or two when it lies between axes.

    >>> direction_letters(np.array([-1.0, 0.0, 0.0])), direction_letters(np.array([0.8, 0.0, 0.6]))
    ('R', 'LS')
    """
    order = np.argsort(-np.abs(vector), kind="stable")
    named = [order[0], *(k for k in order[1:] if abs(vector[k]) > OBLIQUE_SHARE)][:2]
    return "".join((POSITIVE_LETTERS if vector[k] > 0 else NEGATIVE_LETTERS)[k] for k in named)


def three_planes(geometry: Geometry, region: Volume | None = None) -> list[Plane]:
    """Axial, coronal and sagittal slices along the axes of the grid, each where it cuts most of the region (through the
    middle without one) and cropped to it. An image of one slice gives one plane."""
    low, high, centre = _extent(geometry, region)
    axes = _axes_by_anatomy(geometry)
    planes = []
    for name in NORMAL_AXIS:
        normal = axes[NORMAL_AXIS[name]]
        right, down = axes[RIGHTWARDS[name][0]], axes[DOWNWARDS[name][0]]
        if geometry.size[right] == 1 or geometry.size[down] == 1:
            continue
        at = centre[normal]
        planes.append(
            _plane(name, geometry, (normal, at), (right, RIGHTWARDS[name]), (down, DOWNWARDS[name]), low, high)
        )
    return planes


def values_at(volume: Volume, points: np.ndarray) -> np.ndarray:
    """The image at LPS points (..., 3), linearly interpolated, float32 (...); NaN outside of it."""
    index = volume.geometry.to_index(points)
    last = np.array(volume.geometry.size) - 1
    outside = ((index < -0.5) | (index > last + 0.5)).any(-1)
    index = np.clip(index, 0, last)
    low = np.minimum(index.astype(np.intp), np.maximum(last - 1, 0))
    weight = (index - low).astype(np.float32)
    high = np.minimum(low + 1, last)
    out = np.zeros(index.shape[:-1], np.float32)
    for z, wz in ((low[..., 2], 1 - weight[..., 2]), (high[..., 2], weight[..., 2])):
        for y, wy in ((low[..., 1], 1 - weight[..., 1]), (high[..., 1], weight[..., 1])):
            for x, wx in ((low[..., 0], 1 - weight[..., 0]), (high[..., 0], weight[..., 0])):
                out += wz * wy * wx * volume.array[z, y, x]
    out[outside] = np.nan
    return out


def _axes_by_anatomy(geometry: Geometry) -> tuple[int, ...]:
    """Which grid axis runs along each of the LPS axes, at best."""
    share = np.abs(geometry.axes)
    return max(permutations(range(3)), key=lambda order: sum(share[lps, k] for lps, k in enumerate(order)))


def _extent(geometry: Geometry, region: Volume | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """First and last index to show and the index to cut at, along x, y, z of the grid."""
    last = np.array(geometry.size) - 1.0
    if region is not None:
        coarse = geometry.with_spacing((REGION_SAMPLE_MM,) * 3)
        mask = region_on(region, coarse)
        if mask.any():
            counts = [mask.sum(axis=tuple(a for a in range(3) if a != 2 - k)) for k in range(3)]
            hit = [np.flatnonzero(count) for count in counts]
            ends = [[h[0] for h in hit], [h[-1] for h in hit], [int(np.argmax(count)) for count in counts]]
            first, final, cut = geometry.to_index(coarse.to_physical(np.array(ends, dtype=float)))
            margin = MARGIN_MM / np.array(geometry.spacing)
            # The cut goes through voxel centres: an interpolated slice would look smoother than the scan is.
            return np.clip(first - margin, 0, last), np.clip(final + margin, 0, last), np.clip(np.rint(cut), 0, last)
    return np.zeros(3), last, np.rint(last / 2)


def _plane(
    name: str,
    geometry: Geometry,
    cut: tuple[int, float],
    right: tuple[int, tuple[int, int]],
    down: tuple[int, tuple[int, int]],
    low: np.ndarray,
    high: np.ndarray,
) -> Plane:
    spacing = np.array(geometry.spacing)
    extent = (high - low) * spacing
    finest = min(spacing[right[0]], spacing[down[0]]) / 2
    pixel = max(extent[right[0]], extent[down[0]], finest) / (LONGEST_SIDE_PIXELS - 1)
    pixel = max(pixel, finest)
    (columns, right_vector), (rows, down_vector) = (
        _pixels(geometry, axis, lps, sign, pixel, low[axis], high[axis]) for axis, (lps, sign) in (right, down)
    )
    index = np.empty((len(rows), len(columns), 3))
    index[..., cut[0]] = cut[1]
    index[..., right[0]] = columns
    index[..., down[0]] = rows[:, None]
    return Plane(name, geometry.to_physical(index), float(pixel), right_vector, down_vector)


def _pixels(
    geometry: Geometry, axis: int, lps: int, sign: int, pixel_mm: float, low: float, high: float
) -> tuple[np.ndarray, np.ndarray]:
    """Grid indices of the pixels along one side of the picture, and the unit vector (LPS) they run along."""
    vector = geometry.axes[:, axis]
    count = max(2, int((high - low) * geometry.spacing[axis] / pixel_mm + 1e-6) + 1)
    index = low + np.arange(count) * pixel_mm / geometry.spacing[axis]
    forwards = vector[lps] * sign > 0
    return (index, vector) if forwards else (index[::-1], -vector)
