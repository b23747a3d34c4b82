"""Small pictures of scans, for the list of what was found in a folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from DeepRegLib.images.coarse import averaged
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.images.read import read_volume
from DeepRegLib.images.volume import Volume

from .pairs.scan_preparation import upright
from .pictures import WINDOW_HU, write_pictures

THUMBNAIL_PIXELS = 96
"""The longer side: enough to see lungs, and cut or upside down ones."""
SLAB_MM = 4.0
"""Thickness of what is shown: noise of a single line of voxels would hide the lungs."""


def write_thumbnail(scan: Path, picture: Path) -> None:
    """The coronal slice through the middle of ``scan``, head up, patient's right on the left, as the PNG file
    ``picture``. Raises :class:`~DeepRegLib.errors.BadInput` and :class:`~DeepRegLib.errors.OutputProblem`."""
    write_pictures(picture, [coronal_picture(read_volume(scan))])


def coronal_picture(volume: Volume) -> np.ndarray:
    """Grey values (rows, columns; 0 to 255) of the slice through the middle."""
    volume = upright(volume)
    x_mm, y_mm, z_mm = volume.geometry.spacing
    depth = volume.array.shape[1]
    half = max(0, round(SLAB_MM / y_mm / 2))
    middle = depth // 2
    slab = volume.array[:, max(0, middle - half) : middle + half + 1].astype(np.float32).mean(1)
    rows, columns = slab.shape
    pixel_mm = max(rows * z_mm, columns * x_mm) / THUMBNAIL_PIXELS
    geometry = Geometry((columns, 1, rows), (x_mm, y_mm, z_mm))
    coarse = averaged(Volume(slab[:, None], geometry), pixel_mm).array[:, 0]
    wanted = (max(1, round(rows * z_mm / pixel_mm)), max(1, round(columns * x_mm / pixel_mm)))
    down, across = (np.arange(n) * length // n for n, length in zip(wanted, coarse.shape, strict=True))
    low, high = WINDOW_HU
    grey = np.clip((coarse[down][:, across] - low) / (high - low), 0, 1)
    return (255 * grey[::-1]).astype(np.uint8)
