"""Writes a breathing phantom in the formats of DIR-Lab, by arithmetic of its own: what the readers are held against."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.images.volume import Volume
from DeepRegLib.phantom import PhantomPair, make_phantom

SIZE = (64, 56, 48)
PADDING_RAW = -2000
AIR_HU = -1024


@dataclass(frozen=True)
class Breathing:
    """A phantom on one grid (identity axes), its landmarks as voxels (n, 3) of the image, counted from 0 upwards."""

    phantom: PhantomPair
    fixed: Volume
    moving: Volume
    fixed_voxels: np.ndarray
    moving_voxels: np.ndarray

    @property
    def grid(self) -> Geometry:
        """As a reader must see it: the first voxel in the origin."""
        return Geometry(self.fixed.geometry.size, self.fixed.geometry.spacing)

    def map_points(self, points: np.ndarray) -> np.ndarray:
        """The true map, in the frame of the readers."""
        origin = np.array(self.fixed.geometry.origin)
        return self.phantom.motion.map_points(points + origin) - origin

    def distances(self) -> np.ndarray:
        return np.linalg.norm((self.moving_voxels - self.fixed_voxels) * self.grid.spacing, axis=1)


def breathing() -> Breathing:
    """The phantom with its moving scan on the fixed grid and landmarks on voxels, as an expert clicks them."""
    phantom = make_phantom(SIZE, seed=3)
    grid = phantom.fixed.geometry
    moving = sitk.Resample(
        phantom.moving.to_sitk(), phantom.fixed.to_sitk(), sitk.Transform(), sitk.sitkLinear, AIR_HU, sitk.sitkInt16
    )
    clicked = np.rint(grid.to_index(phantom.fixed_landmarks)).astype(int)
    moved = np.rint(grid.to_index(phantom.motion.map_points(grid.to_physical(clicked)))).astype(int)
    inside = ((moved >= 0) & (moved < np.array(grid.size))).all(1)
    return Breathing(phantom, phantom.fixed, Volume.from_sitk(moving), clicked[inside], moved[inside])


def write_raw(path: Path, scan: Volume, padding: bool = True) -> None:
    """HU + 1024 in 16-bit, the top slice first; a corner outside the field of view holds -2000."""
    path.parent.mkdir(parents=True, exist_ok=True)
    stored = scan.array[::-1].astype(np.int32) + 1024
    if padding:
        stored[:, :3, :3] = PADDING_RAW
    stored.astype("<i2").tofile(path)


def write_list(path: Path, voxels: np.ndarray, slices: int, separator: str = "\t") -> None:
    """x, y, z from 1, slice 1 on top; some files of DIR-Lab end their lines with a tab."""
    path.parent.mkdir(parents=True, exist_ok=True)
    from_one = np.stack([voxels[:, 0] + 1, voxels[:, 1] + 1, slices - voxels[:, 2]], 1)
    path.write_text("".join(separator.join(map(str, row)) + "\t\r\n" for row in from_one.tolist()))
