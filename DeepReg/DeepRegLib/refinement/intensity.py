"""Brings the grey values of any image to the scale that the solver's constants are made for."""

from __future__ import annotations

import numpy as np
import torch

from ..images.volume import Volume
from .image_source import Intensity

LUNG_WINDOW_HU = (-1000.0, 200.0)
"""Padding below and bone above carry no lung; without them nothing pulls at the ribs."""
TISSUE_SCALE = (-1000.0, -100.0)
"""Where the low and the high end of the tissue of other images are put."""
TISSUE_PERCENTILES = (0.5, 98.0)
LUNG_MEDIAN_HU = -400.0
"""A region of a CT whose median is lower holds air."""
MOST_VALUES = 500_000
"""Voxels looked at for percentiles."""


def lung_intensity(values: torch.Tensor) -> torch.Tensor:
    """Hounsfield units, clipped to the window of the lungs."""
    return values.clamp(*LUNG_WINDOW_HU)


def tissue_intensity(values_inside: np.ndarray) -> Intensity:
    """Maps the range of the region's values onto ``TISSUE_SCALE``: units of MR are arbitrary."""
    low, high = (float(v) for v in np.percentile(values_inside, TISSUE_PERCENTILES))
    gain = (TISSUE_SCALE[1] - TISSUE_SCALE[0]) / max(high - low, 1e-6)

    def intensity(values: torch.Tensor) -> torch.Tensor:
        return values.sub(low).mul_(gain).add_(TISSUE_SCALE[0]).clamp_(TISSUE_SCALE[0], -2 * TISSUE_SCALE[1])

    return intensity


def values_inside(volume: Volume, mask: Volume) -> np.ndarray:
    """A sample of the voxel values inside a mask that has the axes of the image, at most ``MOST_VALUES``."""
    indices = np.argwhere(mask.array)
    indices = indices[:: max(1, -(-len(indices) // MOST_VALUES))]
    points = mask.geometry.to_physical(indices[:, ::-1])
    voxels = np.rint(volume.geometry.to_index(points)).astype(int)
    inside = ((voxels >= 0) & (voxels < np.array(volume.geometry.size))).all(1)
    x, y, z = voxels[inside].T
    return volume.array[z, y, x].astype(np.float32)


def shows_lungs(values: np.ndarray) -> bool:
    """Whether values inside a region are those of aerated lung in Hounsfield units."""
    return bool(len(values)) and float(np.median(values)) < LUNG_MEDIAN_HU
