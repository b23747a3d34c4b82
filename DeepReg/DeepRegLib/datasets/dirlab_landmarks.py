"""The landmarks of DIR-Lab: voxels of the raw scan, counted from 1, slice 1 the most superior one."""

from __future__ import annotations

from pathlib import Path

from ..errors import BadLandmarks
from ..evidence.landmark_formats import read_voxel_list
from ..evidence.landmarks import Landmarks
from ..evidence.voxel_lists import check_voxels, voxel_points
from ..images.geometry import Geometry


def read_dirlab_landmarks(path: Path, geometry: Geometry) -> Landmarks:
    """The points of a list in LPS mm; ``geometry`` is that of the whole raw scan, as it is read.

    Raises :class:`~DeepRegLib.errors.BadLandmarks` for a file that is no list of voxels and for voxels that the scan
    does not have: the list of another case.
    """
    voxels = read_voxel_list(path)
    if not len(voxels):
        raise BadLandmarks(f"The landmark file '{path.name}' holds no landmarks.")
    check_voxels(voxels, geometry, path.name)
    return Landmarks(voxel_points(voxels, geometry, "superior-first"), name=path.name)
