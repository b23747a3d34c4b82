"""The part of an image where the match counts: lungs, body or head, or a mask given by the user.

Outside it the table, the air and the arms would pull the registration their own way. A region is found in about a
tenth of a second, on voxels of about 2.5 mm, which is as exact as a region has to be: the solver weighs with it, and
the evidence reads in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..errors import BadMask
from .body import SKIN_HU, find_ct_body, find_foreground, looks_like_head
from .coarse import averaged, interpolated
from .geometry import Geometry
from .lungs import find_lungs
from .morphology import bounding_slices
from .volume import Volume

Kind = Literal["lungs", "body", "head", "given"]

COARSE_MM = 2.5
"""Finer voxels follow the lung border better: Dice with masks on the fine grid 0.972 at 3 mm, 0.981 here."""
MOST_COARSE_VOXELS = 1_200_000
"""Keeps the search for a region near a tenth of a second."""
LUNG_HU = (-1100.0, -500.0)
SOFT_TISSUE_HU = (-150.0, 250.0)
SMALLEST_CT_SHARE = 0.02
"""Share of the voxels in each of the two windows that makes an image a CT with air in it."""
SMALLEST_LUNGS = 0.04
"""Lungs smaller than this share of the rest of the body are the bases seen in a scan of the abdomen."""


@dataclass(frozen=True)
class Region:
    """``mask`` (bool) on a grid of its own, and its ``kind``."""

    mask: Volume
    kind: Kind

    @classmethod
    def given(cls, mask: Volume) -> Region:
        """The region that a user drew, at its full resolution: nonzero voxels are inside.

        Raises :class:`~DeepRegLib.errors.BadMask` when it is empty.
        """
        if not mask.array.any():
            raise BadMask(f"The mask{f' {mask.name!r}' if mask.name else ''} is empty: no voxel is inside.")
        array = mask.array if mask.array.dtype == bool else mask.array != 0
        return cls(Volume(array, mask.geometry, mask.name), "given")

    @property
    def volume_ml(self) -> float:
        return float(np.count_nonzero(self.mask.array)) * self.mask.geometry.voxel_volume_mm3 / 1000.0

    def on(self, geometry: Geometry) -> np.ndarray:
        """The share of each voxel of ``geometry`` that is inside, float32 (z, y, x) from 0 to 1; 0 beyond the mask."""
        finest = min(geometry.spacing)
        # Averaging makes floats of the mask; where nothing would be averaged a large mask is spared that.
        coarser = finest >= 1.5 * min(self.mask.geometry.spacing)
        return interpolated(averaged(self.mask, finest) if coarser else self.mask, geometry)

    def box(self, margin_mm: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper corner (x, y, z) of the box around the region, in mm along the axes of the mask's own grid
        from its first voxel centre; edges of voxels included, grown by ``margin_mm`` but not beyond the grid.

        A corner c lies at ``geometry.origin + geometry.axes @ c`` (LPS mm) with ``geometry = region.mask.geometry``.
        """
        geometry = self.mask.geometry
        spacing = np.array(geometry.spacing)
        found = bounding_slices(self.mask.array)[::-1]
        lower = (np.array([part.start for part in found]) - 0.5) * spacing - margin_mm
        upper = (np.array([part.stop for part in found]) - 0.5) * spacing + margin_mm
        return np.maximum(lower, -0.5 * spacing), np.minimum(upper, (np.array(geometry.size) - 0.5) * spacing)


def find_region(volume: Volume) -> Region:
    """Lungs where a CT shows them, otherwise the body or the head; the whole image where nothing stands out."""
    coarse = _coarse(volume)
    kind: Kind
    if _is_ct(coarse.array):
        lungs = find_lungs(coarse)
        if lungs is not None and lungs.sum() >= SMALLEST_LUNGS * np.count_nonzero(coarse.array > SKIN_HU):
            return Region(Volume(lungs, coarse.geometry, volume.name), "lungs")
        mask = find_ct_body(coarse)
    else:
        mask = find_foreground(coarse)
    if not mask.any():
        mask = np.ones(mask.shape, bool)
    kind = "head" if looks_like_head(mask, coarse) else "body"
    return Region(Volume(mask, coarse.geometry, volume.name), kind)


def _coarse(volume: Volume) -> Volume:
    """``volume`` on voxels of about ``COARSE_MM``, coarser where that would be too many."""
    volume_mm3 = volume.geometry.voxel_count * volume.geometry.voxel_volume_mm3
    spacing = max(COARSE_MM, (volume_mm3 / MOST_COARSE_VOXELS) ** (1 / 3))
    return averaged(volume, spacing)


def _is_ct(array: np.ndarray) -> bool:
    """Whether the values are Hounsfield units with air and soft tissue."""
    windows = (LUNG_HU, SOFT_TISSUE_HU)
    return all(np.mean((array > low) & (array < high)) >= SMALLEST_CT_SHARE for low, high in windows)
