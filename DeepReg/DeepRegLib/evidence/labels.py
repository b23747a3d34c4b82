"""How well anatomical structures overlap: Dice's coefficient, label by label."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import BadInput
from ..images.volume import Volume

MINIMUM_VOXELS = 300
"""Structures below this size in either image do not enter the mean: a shift of one voxel decides their overlap."""
LARGEST_LABEL = 65_535
"""Larger values are not the labels of a segmentation but intensities."""


@dataclass(frozen=True)
class LabelOverlap:
    """``dice`` of each label (background 0 left out) that occurs in either image, and the smaller of its two sizes in
    voxels."""

    dice: dict[int, float]
    voxels: dict[int, int]

    def counted(self, minimum_voxels: int = MINIMUM_VOXELS) -> tuple[int, ...]:
        """Labels with at least ``minimum_voxels`` in both images."""
        return tuple(label for label, count in self.voxels.items() if count >= minimum_voxels)

    def mean(self, minimum_voxels: int = MINIMUM_VOXELS) -> float:
        """Mean Dice of the labels that count; not a number (NaN) when none is large enough."""
        labels = self.counted(minimum_voxels)
        return float(np.mean([self.dice[label] for label in labels])) if labels else float("nan")


def label_overlap(fixed: Volume, warped: Volume) -> LabelOverlap:
    """Dice's coefficient 2 |A n B| / (|A| + |B|) of every label of two label maps on one grid.

    Works slice by slice: little memory beside the images. Raises :class:`BadInput` when the grids differ or the values
    are not labels (whole numbers from 0 to ``LARGEST_LABEL``).

    >>> from DeepRegLib.images.geometry import Geometry
    >>> grid = Geometry((4, 1, 1))
    >>> a, b = Volume(np.array([[[0, 7, 7, 7]]]), grid), Volume(np.array([[[7, 7, 0, 0]]]), grid)
    >>> label_overlap(a, b).dice
    {7: 0.4}
    """
    if not fixed.geometry.matches(warped.geometry):
        raise BadInput("The two label maps lie on different grids; warp the moving one onto the fixed grid first.")
    count = 1 + max(_largest(fixed), _largest(warped))
    in_fixed, in_warped, in_both = (np.zeros(count, np.int64) for _ in range(3))
    for f, w in zip(fixed.array, warped.array, strict=True):
        f, w = (_as_labels(part).ravel() for part in (f, w))
        in_fixed += np.bincount(f, minlength=count)
        in_warped += np.bincount(w, minlength=count)
        in_both += np.bincount(f[f == w], minlength=count)
    present = [int(label) for label in np.flatnonzero(in_fixed + in_warped) if label > 0]
    dice = {label: float(2 * in_both[label] / (in_fixed[label] + in_warped[label])) for label in present}
    return LabelOverlap(dice, {label: int(min(in_fixed[label], in_warped[label])) for label in present})


def _largest(labels: Volume) -> int:
    low, high = labels.array.min(), labels.array.max()
    if not (low >= 0 and high <= LARGEST_LABEL):
        raise BadInput(f"'{labels.name or 'The label map'}' holds values from {low} to {high}, which are not labels.")
    return int(high)


def _as_labels(part: np.ndarray) -> np.ndarray:
    if np.issubdtype(part.dtype, np.floating) and not (part == np.rint(part)).all():
        raise BadInput("The label map holds values that are not whole numbers; it must not be interpolated linearly.")
    return part.astype(np.intp)
