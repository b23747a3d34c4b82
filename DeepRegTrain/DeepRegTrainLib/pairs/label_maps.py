"""Shapes instead of scans: each pair gets contrasts of its own, so that a network cannot rely on any
(SynthMorph; Hoffmann et al., IEEE Transactions on Medical Imaging 41, 2022, 543-558)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from DeepRegLib.errors import BadInput
from DeepRegLib.images.read import read_volume
from DeepRegLib.images.volume import Volume
from DeepRegLib.refinement.separable import apply, gaussian_matrix
from torch import Tensor

from .anatomy import Anatomy, boxes_of
from .draws import Draws
from .ranges import Range
from .scan_preparation import cubic_geometry, cubic_grid, upright
from .sources import SOURCE_SPACING_MM, Kept
from .splines import random_field
from .working_grid import WorkingGrid

MEAN_HU = Range(-1000.0, 400.0)
"""Grey values of a label: anything between air and bone."""
TEXTURE_HU, TEXTURE_MM = Range(0.0, 80.0), 6.0
BIAS_HU, BIAS_MM = Range(0.0, 120.0), 60.0
BLUR_VOXELS = Range(0.4, 1.0)
"""Labels have hard edges, scans have not."""
SAME_CONTRAST = 0.3
"""Share of pairs whose two images have the same contrast."""
SHAPES = 16
"""Labels of a made-up map."""
SHAPE_MM = (24.0, 60.0)
"""Sizes of made-up shapes: control spacings of the two scales they are drawn on."""


class LabelMaps:
    """Label maps in ``files``: whole numbers, 0 is the background, the rest is the organ that counts."""

    def __init__(self, files: Sequence[Path], spacing_mm: float = SOURCE_SPACING_MM) -> None:
        if not files:
            raise BadInput("There are no label maps to train on.")
        self.files = [Path(f) for f in files]
        self.spacing_mm = spacing_mm
        self._kept = Kept(self._read)

    def draw(self, rng: np.random.Generator, device: torch.device) -> Anatomy:
        return with_random_contrasts(self._kept.get(int(rng.integers(len(self.files))), device), rng)

    def record(self) -> list[dict[str, object]]:
        return [{"label map": str(file), "bytes": file.stat().st_size} for file in self.files]

    def _read(self, number: int, device: torch.device) -> Anatomy:
        volume = read_volume(self.files[number])
        if volume.array.dtype.kind == "f" and (volume.array != np.rint(volume.array)).any():
            raise BadInput(f"'{volume.name}' is no label map: it holds values between whole numbers.")
        labels = _on_cubic_voxels(upright(volume), self.spacing_mm)
        return _anatomy(labels, cubic_grid(labels.shape, self.spacing_mm, device), volume.name)


class RandomShapes:
    """``count`` made-up label maps of ``size`` voxels (a cube); number k is always the same one."""

    def __init__(
        self, count: int = 32, size: int = 112, spacing_mm: float = SOURCE_SPACING_MM, first_seed: int = 0
    ) -> None:
        self.count, self.size, self.spacing_mm, self.first_seed = count, size, spacing_mm, first_seed
        self._kept = Kept(self._make)

    def draw(self, rng: np.random.Generator, device: torch.device) -> Anatomy:
        return with_random_contrasts(self._kept.get(int(rng.integers(self.count)), device), rng)

    def record(self) -> list[dict[str, object]]:
        return [{"random shapes": self.count, "size": self.size, "first_seed": self.first_seed}]

    def _make(self, number: int, device: torch.device) -> Anatomy:
        rng = np.random.default_rng([self.first_seed, number])
        grid = cubic_grid((self.size,) * 3, self.spacing_mm, torch.device("cpu"))
        heights = sum(random_field(grid, mm, 1.0, rng, SHAPES) for mm in SHAPE_MM)
        labels = heights[0].argmax(0) + 1  # type: ignore[index]
        # A ball of shapes in a background, so that there is an organ with an outside.
        radius = grid.points().norm(dim=1)[0] / (0.5 * self.size * self.spacing_mm)
        labels[radius + 0.08 * random_field(grid, SHAPE_MM[1], 1.0, rng, 1)[0, 0] > 0.85] = 0
        return _anatomy(labels.numpy(), dataclasses.replace(grid, device=device), f"shapes {self.first_seed}/{number}")


def with_random_contrasts(labels: Anatomy, rng: np.random.Generator) -> Anatomy:
    """The same shapes as two scanners with contrasts of their own see them. The looks of ``labels`` are the labels."""
    same = rng.random() < SAME_CONTRAST
    moving = _painted(labels.moving_look, labels.grid, rng)
    fixed = moving if same else _painted(labels.fixed_look, labels.grid, rng)
    return dataclasses.replace(labels, moving_look=moving, fixed_look=fixed, _smoothed={})


def _painted(labels: Tensor, grid: WorkingGrid, rng: np.random.Generator) -> Tensor:
    """HU (1, 1, z, y, x) of ``labels`` (whole numbers): a mean for each label, texture, bias, soft edges."""
    draws = Draws(rng)
    count = int(labels.max()) + 1
    means, textures = draws.uniforms("means", MEAN_HU, count), draws.uniforms("textures", TEXTURE_HU, count)
    where = labels.long()
    tables = [torch.as_tensor(t.astype(np.float32), device=grid.device) for t in (means, textures)]
    mean, texture = (table[where] for table in tables)
    hu = mean + texture * random_field(grid, TEXTURE_MM, 1.0, rng, 1)
    hu = hu + random_field(grid, BIAS_MM, draws.uniform("bias", BIAS_HU), rng, 1)
    sigma = draws.uniform("blur", BLUR_VOXELS) * grid.spacing[0]
    x, y, z = (gaussian_matrix(axis, axis, sigma) for axis in grid.axes())
    return apply((z, y, x), hu).clamp(-1024.0, 3071.0)


def _anatomy(labels: np.ndarray, grid: WorkingGrid, name: str) -> Anatomy:
    """An anatomy whose looks are the labels themselves, numbered without gaps."""
    if not labels.any():
        raise BadInput(f"The label map '{name}' is empty.")
    _, numbered = np.unique(np.concatenate([[0], labels.ravel()]), return_inverse=True)
    numbered = numbered[1:].reshape(labels.shape)
    look = torch.as_tensor(numbered.astype(np.float32), device=grid.device)[None, None]
    box, trunk = boxes_of(numbered > 0, grid)
    region = (look > 0).to(torch.float32)
    return Anatomy(name, grid, look, look, region, box, trunk, is_lungs=False)


def _on_cubic_voxels(volume: Volume, spacing_mm: float) -> np.ndarray:
    import SimpleITK as sitk

    geometry = cubic_geometry(volume.geometry, spacing_mm)
    reference = geometry.apply_to(sitk.Image(geometry.size, sitk.sitkUInt8))
    image = sitk.Resample(volume.to_sitk(), reference, sitk.Transform(), sitk.sitkNearestNeighbor, 0.0)
    return sitk.GetArrayFromImage(image)
