"""The resting patient, rendered once on a fine grid, from which both images are taken."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..images.geometry import Geometry
from ..parallel import in_parallel, slabs
from . import skeleton, tissues, vessels
from .anatomy import Anatomy
from .lattice import Lattice, Spline
from .painting import Painter, Tube, blend, cover

TEXTURE = ((3.5, 16.0), (7.0, 14.0), (18.0, 14.0))
"""Parenchyma texture: (size in mm, strength in HU) from lobules to regions; of the body, so it moves with it."""
SLAB = 12
"""Slices that are rendered together; they stay in the cache of a core."""
HALF_EXTENT = (170.0, 132.0, 180.0)
"""The rendering reaches this far (mm) from the centre: beyond the view of both images."""


@dataclass(frozen=True)
class Rendering:
    """The resting patient on a fine grid: ``channels`` (3, z, y, x), float32, are

    * ``hu``: what a noiseless scanner would show;
    * ``tissue``: the part of HU + 1000 that is lung parenchyma and thins out when the lung expands;
    * ``lung``: the share of each voxel that belongs to a lung.
    """

    geometry: Geometry
    channels: np.ndarray

    @property
    def hu(self) -> np.ndarray:
        return self.channels[0]

    @property
    def tissue(self) -> np.ndarray:
        return self.channels[1]

    @property
    def lung(self) -> np.ndarray:
        return self.channels[2]

    @classmethod
    def of(cls, anatomy: Anatomy, voxel_mm: float) -> Rendering:
        """Renders an anatomy with cubic voxels: large structures first, trees and ribs on top."""
        size = np.ceil(2 * np.array(HALF_EXTENT) / voxel_mm).astype(int)
        geometry = Geometry(tuple(size), (voxel_mm,) * 3, tuple(-(size - 1) / 2 * voxel_mm))
        rendering = cls(geometry, np.empty((3, *geometry.shape), np.float32))
        textures = _textures(geometry, np.random.default_rng(anatomy.texture_seed))
        in_parallel(lambda slices: rendering._slab(anatomy, textures, slices), slabs(geometry.shape[0], SLAB))
        rendering._tubes(anatomy)
        return rendering

    def _slab(self, anatomy: Anatomy, textures: list[Spline], slices: slice) -> None:
        """Body wall, organs, lungs, flat bones, spine and table in some slices."""
        voxel = self.geometry.spacing[0]
        x, y, z = self._coordinates(slices)
        hu = self.hu[slices]
        depth = anatomy.cavity.depth_at(x, y, z)
        tissues.body_wall(hu, x, y, z, depth, voxel)
        tissues.cavity_content(hu, anatomy, x, y, z, depth, voxel)
        lung = cover(anatomy.lung_depth_at(x, y, z, depth), voxel)
        parenchyma = tissues.parenchyma(x, y, z, voxel)
        for texture in textures:
            parenchyma += texture.at(slices)
        blend(hu, lung, parenchyma)
        self.lung[slices] = lung
        self.tissue[slices] = lung * (parenchyma - tissues.AIR_HU)
        for flat_bone in (skeleton.breast_bone, skeleton.shoulder_blades):
            blend(hu, cover(flat_bone(depth, x, y, z), voxel), skeleton.FLAT_BONE_HU)
        self._spine(hu, anatomy.cavity.spine_y, x, y, z)
        tissues.table(hu, y, voxel)

    def _spine(self, hu: np.ndarray, spine_y: float, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> None:
        rows = slice(*np.searchsorted(y.ravel(), [spine_y - 20, tissues.TABLE_TOP_Y]))
        columns = slice(*np.searchsorted(x.ravel(), [-40, 40]))
        box = hu[:, rows, columns]
        skeleton.spine(box, x[:, :, columns], y[:, rows], z, spine_y, self.geometry.spacing[0])

    def _coordinates(self, slices: slice) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        pairs = zip(self.geometry.size, self.geometry.origin, strict=True)
        x, y, z = (np.arange(n, dtype=np.float32) * self.geometry.spacing[0] + first for n, first in pairs)
        return x[None, None, :], y[None, :, None], z[slices][:, None, None]

    def _tubes(self, anatomy: Anatomy) -> None:
        """Great vessels, airways with their walls, the vessels of the lungs, ribs."""
        painter = Painter(self.geometry)
        central = Tube.joined(vessels.central_airways())
        branches = Tube.joined([tree.tube() for tree in anatomy.airways])
        trees = Tube.joined([tree.tube() for tree in anatomy.arteries_and_veins])
        self._paint(painter.cover(vessels.oesophagus()), tissues.BLOOD_HU - 10)
        self._paint(painter.cover(Tube.joined(vessels.great_vessels())), tissues.BLOOD_HU + 5)
        self._paint_in_lungs(painter.cover(branches.widened(1.0)), -60.0)
        self._paint(painter.cover(central.widened(1.6)), 30.0)
        self._paint_in_lungs(painter.cover(trees), tissues.BLOOD_HU)
        self._paint_in_lungs(painter.cover(branches.widened(-0.2)), -960.0)
        self._paint(painter.cover(central), -990.0)
        bone, cartilage = skeleton.ribs(anatomy.cavity)
        self._paint(painter.cover(cartilage), skeleton.CARTILAGE_HU)
        for tube in (bone, skeleton.collar_bones()):
            self._paint(painter.cover(tube), skeleton.CORTEX_HU)
            self._paint(painter.cover(tube.widened(-1.9)), skeleton.MARROW_HU)

    def _paint(self, covered: tuple[np.ndarray, np.ndarray], value: float) -> None:
        """Replaces whatever is there; the voxels no longer belong to a lung."""
        voxels, share = covered
        flat = self.channels.reshape(3, -1)
        flat[0, voxels] += share * (value - flat[0, voxels])
        flat[1:, voxels] *= 1 - share

    def _paint_in_lungs(self, covered: tuple[np.ndarray, np.ndarray], value: float) -> None:
        """Replaces parenchyma only; a vessel of the lung belongs to the lung."""
        voxels, share = covered
        flat = self.channels.reshape(3, -1)
        share = share * flat[2, voxels]
        flat[0, voxels] += share * (value - flat[0, voxels])
        flat[1, voxels] *= 1 - share


def _textures(geometry: Geometry, rng: np.random.Generator) -> list[Spline]:
    lattices = [(Lattice.over(geometry, size), strength) for size, strength in TEXTURE]
    return [lat.spline(strength * rng.standard_normal(lat.shape, dtype=np.float32)) for lat, strength in lattices]
