"""The larger tissues of the patient and the table, painted into some slices of a rendering.

Coordinates ``x``, ``y``, ``z`` (mm) come as arrays that broadcast to (z, y, x); ``depth`` is the signed distance to the
wall of the cavity; ``hu`` is changed in place.
"""

from __future__ import annotations

import numpy as np

from .anatomy import Anatomy
from .cavity import POWER, power_of
from .painting import blend, cover

AIR_HU, FAT_HU, MUSCLE_HU, BLOOD_HU, LIVER_HU, SKIN_HU = -1000.0, -105.0, 50.0, 45.0, 62.0, 5.0
LUNG_HU = -872.0
"""Parenchyma when breathed in, at the middle height of a lying patient."""
GRAVITY_HU_PER_MM = 0.35
"""Lung tissue is denser towards the table."""
TABLE_TOP_Y, TABLE_MM = 97.0, 16.0


def body_wall(hu: np.ndarray, x: np.ndarray, y: np.ndarray, z: np.ndarray, depth: np.ndarray, voxel: float) -> None:
    """Air, skin, fat, muscle with a sheet of fat between the muscles."""
    narrow = power_of(np.maximum(z - 70, 0) / 100)  # shoulders
    body = ((power_of(x / 141) + (power_of((y + 4) / 101) + narrow)) ** (1 / POWER) - 1) * 118
    hu[...] = AIR_HU
    blend(hu, cover(body, voxel), SKIN_HU)
    blend(hu, cover(body + 2.0, voxel), FAT_HU)
    fat_mm = 5 + 7 * (x / 140) ** 2 + 2 * np.sin(z / 30)
    blend(hu, cover(body + fat_mm, voxel), MUSCLE_HU)
    sheet = np.abs(depth - 14.5 - 2 * np.sin(z / 25 + x / 40)) - 1.0
    blend(hu, cover(np.maximum(np.maximum(sheet, body + fat_mm), z - 60), voxel), -70.0)
    armpit = np.sqrt(((np.abs(x) - 118) / 12) ** 2 + ((y + 15) / 28) ** 2 + ((z - 75) / 40) ** 2) - 1
    blend(hu, cover(armpit * 12, voxel), -95.0)


def cavity_content(
    hu: np.ndarray, anatomy: Anatomy, x: np.ndarray, y: np.ndarray, z: np.ndarray, depth: np.ndarray, voxel: float
) -> None:
    """Mediastinal fat, heart, diaphragm, liver, stomach with gas, spleen, fat of the abdomen."""
    within = depth + 0.8
    under = 0.85 * (z - anatomy.diaphragm(x, y))
    blend(hu, cover(np.maximum(within, -anatomy.mediastinum(x, y, z)), voxel), -85.0)
    blend(hu, cover(np.maximum(within, anatomy.heart(x, y, z)), voxel), BLOOD_HU)
    blend(hu, cover(np.maximum(within, under), voxel), MUSCLE_HU)
    if float(z.min()) > anatomy.domes[0]:
        return
    inside = np.maximum(within, under + 2.5)
    blend(hu, cover(inside, voxel), FAT_HU)
    for centre, radii, value in (
        ((88, 34, -92), (20, 30, 42), 52.0),
        ((56, -8, -98), (36, 46, 40), 28.0),
        ((-36, -12, -92), (92, 84, 68), LIVER_HU),
    ):
        organ = _ellipsoid(x, y, z, centre, radii)
        blend(hu, cover(np.maximum(inside, organ), voxel), value)
    gas = np.maximum(np.maximum(_ellipsoid(x, y, z, (56, -8, -98), (33, 43, 37)), y + 22), inside + 4)
    blend(hu, cover(np.maximum(gas, 30 - x), voxel), -960.0)


def _ellipsoid(x: np.ndarray, y: np.ndarray, z: np.ndarray, centre: tuple, radii: tuple) -> np.ndarray:
    (cx, cy, cz), (rx, ry, rz) = centre, radii
    return (np.sqrt(((x - cx) / rx) ** 2 + (((y - cy) / ry) ** 2 + ((z - cz) / rz) ** 2)) - 1) * min(radii)


def parenchyma(x: np.ndarray, y: np.ndarray, z: np.ndarray, voxel: float) -> np.ndarray:
    """HU of lung tissue at rest, without its texture: denser towards the table, with the fissures between the lobes."""
    return LUNG_HU + GRAVITY_HU_PER_MM * (y + 13) + _fissures(x, y, z, voxel)


def _fissures(x: np.ndarray, y: np.ndarray, z: np.ndarray, voxel: float) -> np.ndarray:
    """Added HU of the thin double pleura between the lobes: oblique on both sides, horizontal on the right."""
    oblique = (z + 8 - 0.9 * y - 5 * np.sin(x / 22)) / 1.35
    horizontal = z - 6 - 4 * np.sin(y / 25) + 0.06 * (x + 60)
    level = np.where((x < 0) & (oblique > 0), np.minimum(np.abs(oblique), np.abs(horizontal)), np.abs(oblique))
    width = max(0.7 * voxel, 0.8)
    return 160 * min(1.0, 0.8 / width) * np.exp(-((level / width) ** 2))


def table(hu: np.ndarray, y: np.ndarray, voxel: float) -> None:
    """A flat table: a thin shell of carbon fibre filled with foam."""
    plate = np.abs(y - TABLE_TOP_Y - TABLE_MM / 2) - TABLE_MM / 2
    blend(hu, np.broadcast_to(cover(plate, voxel), hu.shape), -180.0)
    blend(hu, np.broadcast_to(cover(plate + 2.0, voxel), hu.shape), -940.0)
