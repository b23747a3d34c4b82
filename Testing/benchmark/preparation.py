"""What several peers need: images as they like them, an affine start, displacements as ours. Not part of their time,
except the affine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.transforms.displacement_field import DisplacementField

AIR_HU = -1000.0
AFFINE_SAMPLES = 0.02
AFFINE_MASK_MM = 8.0
AFFINE_ITERATIONS = 200
SEED = 1


def read_clipped(path: Path, highest_hu: float) -> sitk.Image:
    """A CT as float, clipped to ``AIR_HU``..``highest_hu``."""
    return sitk.Clamp(sitk.ReadImage(str(path), sitk.sitkFloat32), lowerBound=AIR_HU, upperBound=highest_hu)


def read_dilated(mask: Path | None, distance_mm: float) -> sitk.Image | None:
    """The mask grown by ``distance_mm`` in every direction, uint8 0/1."""
    if mask is None:
        return None
    inside = sitk.ReadImage(str(mask)) != 0
    distance = sitk.SignedMaurerDistanceMap(inside, insideIsPositive=False, squaredDistance=False, useImageSpacing=True)
    return sitk.Cast(distance <= distance_mm, sitk.sitkUInt8)


def affine_start(fixed: sitk.Image, moving: sitk.Image, mask: sitk.Image | None) -> sitk.AffineTransform:
    """Affine map of fixed to moving points by correlation of 2 % random samples, started from the centres."""
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsCorrelation()
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentage(AFFINE_SAMPLES, SEED)
    if mask is not None:
        method.SetMetricFixedMask(mask)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetShrinkFactorsPerLevel([4, 2, 1])
    method.SetSmoothingSigmasPerLevel([4, 2, 1])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    method.SetOptimizerAsRegularStepGradientDescent(1.0, 1e-3, AFFINE_ITERATIONS)
    method.SetOptimizerScalesFromPhysicalShift()
    start = sitk.CenteredTransformInitializer(
        fixed, moving, sitk.AffineTransform(3), sitk.CenteredTransformInitializerFilter.GEOMETRY
    )
    method.SetInitialTransform(start, inPlace=True)
    method.Execute(fixed, moving)
    return sitk.AffineTransform(start)


def on_fixed_grid(moving: sitk.Image, fixed: sitk.Image, start: sitk.AffineTransform) -> sitk.Image:
    return sitk.Resample(moving, fixed, start, sitk.sitkLinear, AIR_HU)


def after_affine(deformation: DisplacementField, start: sitk.AffineTransform) -> DisplacementField:
    """The total map A(x + d(x)) on the grid of ``deformation`` d."""
    matrix, centre = np.array(start.GetMatrix()).reshape(3, 3), np.array(start.GetCenter())
    points = deformation.geometry.points()
    inside = points + deformation.array - centre
    mapped = inside @ matrix.T + centre + np.array(start.GetTranslation())
    return DisplacementField((mapped - points).astype(np.float32), deformation.geometry)


def field_of_voxels(displacement: np.ndarray, geometry: Geometry) -> DisplacementField:
    """From displacements (z, y, x, 3) in voxels along the array axes z, y, x."""
    steps = displacement[..., ::-1] * np.array(geometry.spacing)
    return DisplacementField((steps @ geometry.axes.T).astype(np.float32), geometry)
