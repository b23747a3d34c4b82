"""What can be wrong with a pair in practice: no region at hand, a part of the patient missing, a far start."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from DeepRegLib.evidence.landmarks import Landmarks, read_landmarks, write_landmarks
from DeepRegLib.images.geometry import Geometry

from .pairs import ImagePair

CUT_SHARE = 0.35
"""Share of the moving image's height that is missing at its lower (feet) end."""
SHIFT_MM = 25.0
"""How far both usual starts are off: equal positions, and equal centres of the grids."""


def without_mask(pair: ImagePair, scratch: Path) -> ImagePair:
    """The tool gets no region; the Jacobian is measured in it all the same."""
    return dataclasses.replace(pair, mask=None)


def cut(pair: ImagePair, scratch: Path) -> ImagePair:
    """The moving scan ends early. Landmarks whose partner is lost are left out."""
    moving = sitk.ReadImage(str(pair.moving))
    axis, feet_first = _height_axis(moving)
    lost = round(moving.GetSize()[axis] * CUT_SHARE)
    low, high = [0, 0, 0], [0, 0, 0]
    (low if feet_first else high)[axis] = lost
    return _with_moving(pair, sitk.Crop(moving, low, high), np.zeros(3), scratch)


def shift(pair: ImagePair, scratch: Path) -> ImagePair:
    """The patient lies ``SHIFT_MM`` further to the left, and air is added above the head so that the grid's centre
    moves by as much: a tool may not rely on positions nor on centres."""
    moving = sitk.ReadImage(str(pair.moving))
    axis, feet_first = _height_axis(moving)
    air = round(2 * SHIFT_MM / moving.GetSpacing()[axis])
    low, high = [0, 0, 0], [0, 0, 0]
    (high if feet_first else low)[axis] = air
    darkest = float(sitk.GetArrayViewFromImage(moving).min())
    padded = sitk.ConstantPad(moving, low, high, darkest)
    offset = np.array([SHIFT_MM, 0.0, 0.0])
    padded.SetOrigin(np.array(padded.GetOrigin()) + offset)
    return _with_moving(pair, padded, offset, scratch)


VARIANTS: dict[str, Callable[[ImagePair, Path], ImagePair]] = {
    "none": lambda pair, scratch: pair,
    "no-mask": without_mask,
    "cut": cut,
    "shift": shift,
}


def _height_axis(image: sitk.Image) -> tuple[int, bool]:
    """The grid axis nearest to the patient's height, and whether its first voxel is at the feet."""
    along_height = np.array(image.GetDirection()).reshape(3, 3)[2]
    axis = int(np.abs(along_height).argmax())
    return axis, bool(along_height[axis] > 0)


def _with_moving(pair: ImagePair, moving: sitk.Image, offset: np.ndarray, scratch: Path) -> ImagePair:
    """The pair with another moving image, whose anatomy lies ``offset`` (LPS mm) from where it was."""
    if pair.fixed_landmarks is None or pair.moving_landmarks is None:
        raise ValueError(f"{pair.name} has no landmarks; it exists only as it is.")
    files = {name: scratch / name for name in ("moving.nii", "fixed_landmarks.csv", "moving_landmarks.csv")}
    sitk.WriteImage(moving, str(files["moving.nii"]))
    fixed_points, moving_points = read_landmarks(pair.fixed_landmarks).points, read_landmarks(pair.moving_landmarks)
    target = moving_points.points + offset
    kept = Geometry.of(moving).contains(target)
    write_landmarks(files["fixed_landmarks.csv"], Landmarks(fixed_points[kept]))
    write_landmarks(files["moving_landmarks.csv"], Landmarks(target[kept]))
    return dataclasses.replace(
        pair,
        moving=files["moving.nii"],
        fixed_landmarks=files["fixed_landmarks.csv"],
        moving_landmarks=files["moving_landmarks.csv"],
    )
