"""convexAdam (H. Siebert, M. Heinrich): a discrete search on MIND features, then Adam; after an affine of SimpleITK."""

from __future__ import annotations

import time

import SimpleITK as sitk
from DeepRegLib.images.geometry import Geometry

from .pairs import ImagePair
from .preparation import (
    AFFINE_MASK_MM,
    affine_start,
    after_affine,
    field_of_voxels,
    on_fixed_grid,
    read_clipped,
    read_dilated,
)
from .run import Outcome

HIGHEST_HU = 300.0
SETTINGS: dict[str, dict[str, float]] = {
    "cvx": {},  # the defaults of the package
    "cvx_l": {"grid_sp": 5, "lambda_weight": 0.65},
}


def register(pair: ImagePair, setting_name: str, threads: int) -> Outcome:
    import torch
    from convexAdam.convex_adam_MIND import convex_adam_pt

    torch.set_num_threads(threads)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
    fixed, moving = read_clipped(pair.fixed, HIGHEST_HU), read_clipped(pair.moving, HIGHEST_HU)
    mask = read_dilated(pair.mask, AFFINE_MASK_MM)
    start = time.perf_counter()
    affine = affine_start(fixed, moving, mask)
    voxels = convex_adam_pt(
        fixed,
        on_fixed_grid(moving, fixed, affine),
        dtype=torch.float32,
        device=torch.device("cpu"),
        **SETTINGS[setting_name],
    )
    field = after_affine(field_of_voxels(voxels, Geometry.of(fixed)), affine)
    return Outcome(field, time.perf_counter() - start)
