"""Fast symmetric-forces demons of SimpleITK, coarse to fine, after an affine of SimpleITK."""

from __future__ import annotations

import time
from dataclasses import dataclass

import SimpleITK as sitk
from DeepRegLib.transforms.displacement_field import DisplacementField

from .pairs import ImagePair
from .preparation import AFFINE_MASK_MM, affine_start, after_affine, on_fixed_grid, read_clipped, read_dilated
from .run import Outcome

HIGHEST_HU = 200.0
SHRINK_FACTORS = (4, 2, 1)


@dataclass(frozen=True)
class Setting:
    """Updates per level; how strongly (voxels) the field and its updates are smoothed."""

    iterations: tuple[int, int, int]
    field_sd: float
    update_sd: float = 1.0


SETTINGS = {"dem_fast": Setting((120, 80, 40), 1.5), "dem_s2": Setting((200, 150, 60), 2.0)}


def register(pair: ImagePair, setting_name: str, threads: int) -> Outcome:
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
    fixed, moving = read_clipped(pair.fixed, HIGHEST_HU), read_clipped(pair.moving, HIGHEST_HU)
    mask = read_dilated(pair.mask, AFFINE_MASK_MM)
    start = time.perf_counter()
    affine = affine_start(fixed, moving, mask)
    deformation = _demons(fixed, on_fixed_grid(moving, fixed, affine), SETTINGS[setting_name])
    field = after_affine(DisplacementField.from_sitk(deformation), affine)
    return Outcome(field, time.perf_counter() - start)


def _demons(fixed: sitk.Image, moving: sitk.Image, setting: Setting) -> sitk.Image:
    demons = sitk.FastSymmetricForcesDemonsRegistrationFilter()
    demons.SetSmoothDisplacementField(True)
    demons.SetStandardDeviations(setting.field_sd)
    demons.SetSmoothUpdateField(True)
    demons.SetUpdateFieldStandardDeviations(setting.update_sd)
    field = None
    for factor, iterations in zip(SHRINK_FACTORS, setting.iterations, strict=True):
        coarse_fixed, coarse_moving = _shrink(fixed, factor), _shrink(moving, factor)
        demons.SetNumberOfIterations(iterations)
        if field is None:
            field = demons.Execute(coarse_fixed, coarse_moving)
        else:
            field = demons.Execute(coarse_fixed, coarse_moving, sitk.Resample(field, coarse_fixed))
    assert field is not None
    return field


def _shrink(image: sitk.Image, factor: int) -> sitk.Image:
    if factor == 1:
        return image
    sigma = [0.5 * factor * spacing for spacing in image.GetSpacing()]
    return sitk.Shrink(sitk.SmoothingRecursiveGaussian(image, sigma), [factor] * 3)
