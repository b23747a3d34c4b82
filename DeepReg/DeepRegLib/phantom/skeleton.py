"""Ribs, collar bones, breast bone, spine and shoulder blades."""

from __future__ import annotations

import numpy as np

from .cavity import ThoracicCavity
from .painting import Tube, blend, cover

RIB_OFFSET_MM = 7.5
"""From the wall of the cavity to the middle of a rib."""
RIB_RADIUS_MM = 4.2
RIB_HEIGHTS = np.arange(104.0, -150.0, -23.0)
"""Where the ribs leave the spine, from the first downwards."""
BREAST_BONE_Z = (-55.0, 72.0)
VERTEBRA_MM = 23.0
"""Height of a vertebra with its disc: one for each rib."""
CANAL_BEHIND_MM = 24.0
"""From the middle of a vertebral body to that of the spinal canal."""
CORTEX_HU, FLAT_BONE_HU, MARROW_HU, CARTILAGE_HU, DISC_HU = 480.0, 330.0, 190.0, 95.0, 85.0


def ribs(cavity: ThoracicCavity) -> tuple[Tube, Tube]:
    """Bone and cartilage of all ribs, both sides. Each runs around the wall from the spine and slopes to the front."""
    bone, cartilage = [], []
    for number, height in enumerate(RIB_HEIGHTS):
        ends = 0.97 if number < 7 else 0.97 - 0.13 * (number - 6)
        for side in (-1, 1):
            path = _rib_path(cavity, height, side, ends, first=number == 0)
            bony = int(len(path) * 0.82)
            bone.append(Tube.through(path[: bony + 1], RIB_RADIUS_MM))
            if number < 8:
                cartilage.append(Tube.through(path[bony:], RIB_RADIUS_MM))
    return Tube.joined(bone), Tube.joined(cartilage)


def _rib_path(cavity: ThoracicCavity, height: float, side: int, ends: float, first: bool) -> np.ndarray:
    turn = np.linspace(0.06, max(ends, 0.3), 26)
    angle = np.pi / 2 - side * np.pi * turn
    drop = 20.0 if first else 48.0
    z = height + 8 * np.sin(2 * np.pi * np.minimum(turn, 0.25)) - drop * np.sin(np.pi / 2 * turn) ** 2
    on_wall = cavity.wall_point(angle, np.minimum(z, cavity.apex_z - 12))
    on_wall[:, 2] = z
    return on_wall + RIB_OFFSET_MM * cavity.depth_and_normal(on_wall)[1] * [1, 1, 0.3]


def collar_bones() -> Tube:
    path = np.array([[16, -78, 84], [50, -84, 98], [80, -66, 108], [104, -40, 112]], dtype=float)
    return Tube.joined([Tube.through(path * [side, 1, 1], 5.5) for side in (-1, 1)])


def breast_bone(depth: np.ndarray, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Signed distance (mm): a plate on the front of the wall, wider at the top."""
    half_width = 13 + 9 * np.clip((z - 40) / 30, 0, 1)
    ends = np.maximum(BREAST_BONE_Z[0] - z, z - BREAST_BONE_Z[1])
    return np.maximum.reduce(np.broadcast_arrays(np.abs(x) - half_width, np.abs(depth - 8) - 4.5, ends, y + 40))


def shoulder_blades(depth: np.ndarray, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Signed distance (mm): triangular plates behind the ribs, with a ridge."""
    across = np.abs(x)
    inner = 58 + 0.25 * (85 - z)
    outer = 70 + 0.62 * np.clip(z - 5, 0, 80)
    plate = np.abs(depth - 17 - 4 * np.exp(-(((z - 75) / 6) ** 2))) - 2.2
    limits = np.maximum(np.maximum(inner - across, across - outer), np.maximum(2 - z, z - 96))
    return np.maximum.reduce(np.broadcast_arrays(plate, limits, 12 - y))


def spine(hu: np.ndarray, x: np.ndarray, y: np.ndarray, z: np.ndarray, middle_y: float, voxel_mm: float) -> None:
    """Paints vertebral bodies, discs, canal, arch and processes into ``hu`` (z, y, x), in place."""
    phase = np.mod(z - RIB_HEIGHTS[0], VERTEBRA_MM) / VERTEBRA_MM
    from_disc = np.abs(phase - 0.5) * VERTEBRA_MM  # 0 at the middle of a disc
    body = (np.sqrt((x / 17) ** 2 + ((y - middle_y) / 14.5) ** 2) - 1) * 15.5 + 1.2 * np.cos(2 * np.pi * phase)
    end_plate = 2.8 - from_disc
    bone = np.maximum(body, end_plate)
    blend(hu, cover(body, voxel_mm), DISC_HU)
    blend(hu, cover(bone, voxel_mm), CORTEX_HU - 130)
    blend(hu, cover(bone + 1.8, voxel_mm), MARROW_HU)
    behind = y - middle_y - CANAL_BEHIND_MM
    canal = np.sqrt(x * x + behind * behind)
    at_level = from_disc - 8.5
    arch = np.abs(canal - 11.5) - 2.5
    across = np.abs(np.abs(x) - 20) - 14
    transverse = np.maximum.reduce(
        np.broadcast_arrays(across, np.abs(behind - 6 - 0.25 * np.abs(x)) - 4, 4 - from_disc)
    )
    tip = np.maximum.reduce(np.broadcast_arrays(np.abs(x) - 2.6, np.abs(behind - 20) - 9, at_level))
    for shape, value in ((transverse, 330.0), (tip, 380.0), (arch + 0 * z, CORTEX_HU - 60)):
        blend(hu, cover(shape, voxel_mm), value)
    blend(hu, cover(canal - 9.0, voxel_mm), 25.0)
