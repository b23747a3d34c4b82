"""What a registration is given, read and checked before any work starts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import BadInput, BadLandmarks, OutOfMemory
from .evidence.landmarks import Landmarks, check_landmark_pair, read_landmarks
from .images.check import check_pair
from .images.memory import available_memory_bytes
from .images.read import read_mask, read_volume
from .images.volume import Volume

if TYPE_CHECKING:
    import SimpleITK as sitk

LandmarkSource = str | Path | Landmarks

BYTES_FOR_SOLVER = 1_600_000_000
"""Peak of the solver on its largest grid, with torch itself."""
BYTES_PER_FIXED_VOXEL = 4
"""Beside the scans: the warped image, and room for the conversion of slabs."""


@dataclass(frozen=True)
class Inputs:
    """Images, masks on their grids, and landmarks of both images or none."""

    fixed: Volume
    moving: Volume
    fixed_mask: Volume | None
    moving_mask: Volume | None
    fixed_landmarks: Landmarks | None
    moving_landmarks: Landmarks | None


def read_inputs(
    fixed: str | Path | sitk.Image | Volume,
    moving: str | Path | sitk.Image | Volume,
    fixed_mask: str | Path | sitk.Image | Volume | None = None,
    moving_mask: str | Path | sitk.Image | Volume | None = None,
    fixed_landmarks: LandmarkSource | None = None,
    moving_landmarks: LandmarkSource | None = None,
    dimensions: tuple[int, ...] = (3,),
) -> Inputs:
    """Read and check everything; raises the typed errors of :mod:`~DeepRegLib.errors`, before any work."""
    if (fixed_landmarks is None) != (moving_landmarks is None):
        missing = "fixed" if fixed_landmarks is None else "moving"
        raise BadLandmarks(f"Landmarks are needed in both images; those of the {missing} image are missing.")
    fixed_volume, moving_volume = read_volume(fixed), read_volume(moving)
    check_pair(fixed_volume, moving_volume, dimensions)
    fixed_points = moving_points = None
    if fixed_landmarks is not None and moving_landmarks is not None:
        fixed_points = landmarks_from(fixed_landmarks, fixed_volume)
        moving_points = landmarks_from(moving_landmarks, moving_volume)
        check_landmark_pair(fixed_points, moving_points, fixed_volume.geometry, moving_volume.geometry)
    return Inputs(
        fixed_volume,
        moving_volume,
        None if fixed_mask is None else read_mask(fixed_mask, fixed_volume.geometry),
        None if moving_mask is None else read_mask(moving_mask, moving_volume.geometry),
        fixed_points,
        moving_points,
    )


def check_memory(fixed: Volume) -> None:
    """Raises :class:`~DeepRegLib.errors.OutOfMemory` when the work would not fit into the memory that is free."""
    free = available_memory_bytes()
    needed = BYTES_FOR_SOLVER + BYTES_PER_FIXED_VOXEL * fixed.geometry.voxel_count
    if free is not None and free < needed:
        raise OutOfMemory(
            f"The registration needs about {needed / 1e9:.1f} GB of memory; {free / 1e9:.1f} GB are free.",
            "Close other programs, or resample the images to larger voxels.",
        )


def landmarks_from(source: LandmarkSource, image: Volume) -> Landmarks:
    """The landmarks in a file, or those that were given as such; ``image`` is what lists of voxels are of.

    Raises :class:`~DeepRegLib.errors.BadLandmarks`, and :class:`~DeepRegLib.errors.BadInput` for anything else.
    """
    if isinstance(source, Landmarks):
        return source
    if not isinstance(source, str | Path):
        raise BadInput("Landmarks are given as a file or as Landmarks.")
    return read_landmarks(source, image)
