"""The grid on which a volume node lies in the world, with right angles whatever transforms it hangs under."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import slicer
from DeepRegLib.errors import BadInput
from DeepRegLib.images.geometry import ORTHONORMAL_TOLERANCE, Geometry

from .nodes import LPS_TO_RAS, to_ras
from .resampling import ijk_to_local
from .steps import Steps
from .transform_chain import TransformNodes, as_matrix, local_to_world, map_points, world_to_local

SAMPLES_PER_EDGE = 24
"""Points along each edge of the image that are followed through a transform to see how far the image then reaches."""
SPARE_VOXELS = 2
"""The image may bulge a little between those points."""
RETURN_TOLERANCE_MM = 1.0
"""A point that does not come back to its place through the inverse was never where the transform said it was."""
SOUND_SHARE = 0.5
"""Deformations with a few folds have some such points; when they are most, the transform has no inverse at all."""
LARGEST_GROWTH = 8.0
"""No sensible transform makes an image need more than this many times its voxels."""


@dataclass(frozen=True)
class WorldGrid:
    """``keeps_voxels`` says whether the voxels of the node are those of ``geometry``, one by one."""

    geometry: Geometry
    keeps_voxels: bool


def world_grid_in_steps(node: slicer.vtkMRMLVolumeNode, without: TransformNodes = ()) -> Steps[WorldGrid]:
    """Where the image lies, LPS mm; transforms of ``without`` are passed over.

    Raises :class:`~DeepRegLib.errors.BadInput` when the transforms cannot be inverted over the image or blow it up.
    """
    to_world = local_to_world(node, without)
    ijk_to_ras = ijk_to_local(node)
    linear = as_matrix(to_world)
    if linear is not None:
        ijk_to_world = linear @ ijk_to_ras
        size, first = _extent(node)
        if _has_right_angles(ijk_to_world[:3, :3]):
            return WorldGrid(_geometry(ijk_to_world, size, first), keeps_voxels=True)
    if node.GetImageData().GetDimensions()[2] == 1:
        raise BadInput(
            f"'{node.GetName()}' is a single slice under a transform that bends it.",
            "Take it out of the transform, or harden the transform.",
        )
    indices, world = [], []
    for face in _faces(*_extent(node)):
        local = face @ ijk_to_ras[:3, :3].T + ijk_to_ras[:3, 3]
        there = map_points(to_world, local)
        yield
        back = map_points(world_to_local(node, without), there)
        sound = np.linalg.norm(back - local, axis=-1) < RETURN_TOLERANCE_MM  # False for what is not a number
        indices.append(face[sound])
        world.append(there[sound])
        yield
    return WorldGrid(_covering(node, np.concatenate(indices), np.concatenate(world)), keeps_voxels=False)


def _extent(node: slicer.vtkMRMLVolumeNode) -> tuple[np.ndarray, np.ndarray]:
    """Size and first index of the voxels, each (x, y, z)."""
    extent = np.array(node.GetImageData().GetExtent()).reshape(3, 2)
    return extent[:, 1] - extent[:, 0] + 1, extent[:, 0]


def _has_right_angles(axes: np.ndarray) -> bool:
    direction = axes / np.linalg.norm(axes, axis=0)
    return bool(np.abs(direction @ direction.T - np.eye(3)).max() <= ORTHONORMAL_TOLERANCE)


def _geometry(ijk_to_ras: np.ndarray, size: np.ndarray, first: np.ndarray) -> Geometry:
    spacing = np.linalg.norm(ijk_to_ras[:3, :3], axis=0)
    direction = LPS_TO_RAS[:, None] * ijk_to_ras[:3, :3] / spacing
    origin = to_ras(ijk_to_ras[:3, 3] + ijk_to_ras[:3, :3] @ first)
    return Geometry(tuple(size), tuple(spacing), tuple(origin), tuple(direction.ravel()))


def _faces(size: np.ndarray, first: np.ndarray) -> list[np.ndarray]:
    """Voxel indices (n, 3) on each of the six outer faces of the image."""
    low, high = first - 0.5, first + size - 0.5
    faces = []
    for axis in range(3):
        a, b = (k for k in range(3) if k != axis)
        across = np.linspace(low[a], high[a], SAMPLES_PER_EDGE)
        along = np.linspace(low[b], high[b], SAMPLES_PER_EDGE)
        for place in (low[axis], high[axis]):
            face = np.empty((SAMPLES_PER_EDGE, SAMPLES_PER_EDGE, 3))
            face[..., axis] = place
            face[..., a], face[..., b] = np.meshgrid(across, along)
            faces.append(face.reshape(-1, 3))
    return faces


def _covering(node: slicer.vtkMRMLVolumeNode, indices: np.ndarray, world: np.ndarray) -> Geometry:
    """A grid that holds all ``world`` points (n, 3), RAS, with the mean spacing and direction that the voxel axes have
    there; ``indices`` (n, 3) are the voxel indices of the points."""
    name = node.GetName()
    if len(indices) < SOUND_SHARE * 6 * SAMPLES_PER_EDGE**2:
        raise BadInput(
            f"A transform above '{name}' has no inverse.", "Take the image out of the transform, or choose another one."
        )
    design = np.column_stack([indices, np.ones(len(indices))])
    axes = np.linalg.lstsq(design, world, rcond=None)[0][:3].T
    spacing = np.linalg.norm(axes, axis=0)
    left, _, right = np.linalg.svd(axes / spacing)
    direction = left @ right  # the nearest one with right angles; a mirrored image stays mirrored
    places = world @ direction / spacing
    low, high = places.min(0), places.max(0)
    size = np.ceil(high - low - 1e-6).astype(int) + 2 * SPARE_VOXELS
    if size.prod() > LARGEST_GROWTH * node.GetImageData().GetNumberOfPoints():
        raise BadInput(
            f"A transform above '{name}' stretches it far beyond its size.",
            "Take the image out of the transform, or choose another one.",
        )
    matrix = np.eye(4)
    matrix[:3, :3] = direction * spacing
    centre = (low + high) / 2
    matrix[:3, 3] = matrix[:3, :3] @ (centre - (size - 1) / 2)
    return _geometry(matrix, size, np.zeros(3))
