"""Motion and volume change inside each segment of the fixed image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import slicer
from DeepRegLib.errors import BadMask
from DeepRegLib.images.geometry import Geometry

from .region_nodes import mask_in_steps
from .review_pair import ReviewPair
from .steps import Steps

ML_PER_MM3 = 1e-3


@dataclass(frozen=True)
class SegmentMeasures:
    """``volume_ml`` as the grid of the field sees it; displacements in mm without the rigid motion; ``mean_jacobian``
    is the volume in the moving image divided by that in the fixed one; ``folded_voxels`` have det(dT/dx) <= 0."""

    name: str
    volume_ml: float
    mean_displacement_mm: float
    largest_displacement_mm: float
    mean_jacobian: float
    folded_voxels: int

    @property
    def volume_change_percent(self) -> float:
        """How much larger the structure is in the moving image."""
        return 100 * (self.mean_jacobian - 1)


def measure(
    name: str, mask: np.ndarray, displacement: np.ndarray, determinant: np.ndarray, geometry: Geometry
) -> SegmentMeasures:
    """Inside ``mask`` (z, y, x, bool, not empty); ``displacement`` (mm) and ``determinant`` have its shape."""
    moved, stretched = displacement[mask], determinant[mask]
    return SegmentMeasures(
        name=name,
        volume_ml=float(mask.sum() * geometry.voxel_volume_mm3 * ML_PER_MM3),
        mean_displacement_mm=float(moved.mean(dtype=float)),
        largest_displacement_mm=float(moved.max()),
        mean_jacobian=float(stretched.mean(dtype=float)),
        folded_voxels=int((stretched <= 0).sum()),
    )


def segment_measures_in_steps(
    pair: ReviewPair,
    segmentation: slicer.vtkMRMLSegmentationNode,
    reference: slicer.vtkMRMLScalarVolumeNode,
    displacement: np.ndarray,
    determinant: np.ndarray,
    geometry: Geometry,
) -> Steps[list[SegmentMeasures]]:
    """One row for each segment that meets the field. ``reference`` is a volume node on the grid of the field,
    ``geometry``."""
    rows = []
    segments = segmentation.GetSegmentation()
    for segment_id in segments.GetSegmentIDs():
        try:
            region = yield from mask_in_steps(segmentation, segment_id, reference, pair.passed_over)
        except BadMask:  # an empty segment, or one that lies elsewhere, has nothing to measure
            continue
        name = segments.GetSegment(segment_id).GetName()
        rows.append(measure(name, region.array, displacement, determinant, geometry))
        yield
    return rows
