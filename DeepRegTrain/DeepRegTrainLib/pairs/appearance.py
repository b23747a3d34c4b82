"""What breathing and scanners do to grey values: density, opacities, blur, thick slices, noise, cut fields of view."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from DeepRegLib.refinement.separable import apply, gaussian_matrix, linear_matrix
from torch import Tensor
from torch.nn.functional import avg_pool3d

from .draws import Draws
from .ranges import Range
from .settings import Appearance
from .splines import random_field
from .working_grid import WorkingGrid

AIR_HU = -1000.0
HU_LIMITS = (-1024.0, 3071.0)
"""What a 12-bit scanner stores."""
VOLUME_LIMITS = (0.55, 1.7)
"""Change of volume that density follows: lungs empty and fill by no more from one breath to another."""
LUNG_TISSUE_HU = (-600.0, -200.0)
"""Below the first all is lung tissue, whose density follows its volume; above the second it is vessel or wall, whose
density does not."""
REGIONAL_SPACING_MM = 60.0
LARGEST_REGIONAL = 0.3
OPACITIES, OPACITY_HU, OPACITY_MM = (1, 5), Range(200.0, 700.0), Range(3.0, 12.0)
"""How many an image has, how dense they are in the middle, and their standard deviation."""
GRAIN = 3
"""Grained noise is averaged over so many voxels along each axis."""
DENSE_NOISE = Range(0.6, 2.0)
"""Noise behind soft tissue relative to that in the lungs; bone and low dose make streaks, lungs do not."""


@dataclass
class Shot:
    """One image of a pair on its way through the scanner: ``hu`` and ``lungs`` (1, 1, z, y, x), ``seen`` where it was
    scanned."""

    hu: Tensor
    lungs: Tensor
    seen: Tensor

    def limit_along_x(self, first: int, end: int) -> None:
        """Voxels before ``first`` and from ``end`` on are not seen."""
        self.hu, self.seen = beyond_repeated(self.hu, 4, first, end), _only(self.seen, 4, first, end)


def density_factor(volume_change: Tensor, exponent: float) -> Tensor:
    """By how much the lung of the fixed image is denser than that of the moving one, to keep its mass (exponent 1):
    tissue that takes twice the room in the moving image (``volume_change`` 2) is twice as dense in the fixed one."""
    return volume_change.clamp(*VOLUME_LIMITS) ** exponent


def changed_density(hu: Tensor, lungs: Tensor, factor: Tensor) -> Tensor:
    """``hu`` with the density (HU + 1000) of lung tissue multiplied by ``factor``."""
    low, high = LUNG_TISSUE_HU
    tissue = lungs * ((high - hu) / (high - low)).clamp(0, 1)
    return (hu - AIR_HU) * (1 + tissue * (factor - 1)) + AIR_HU


def scanned(shot: Shot, name: str, grid: WorkingGrid, settings: Appearance, draws: Draws) -> Shot:
    """The image called ``name`` as a scanner of its own shows it."""
    hu = _regional_density(shot, name, grid, settings, draws)
    hu = hu + draws.uniform(f"{name}_shift_hu", settings.shift_hu)
    hu = _blurred(hu, name, grid, settings, draws)
    gather, spread = _slices(name, grid, settings, draws)
    hu = _noisy(_along_z(gather, hu), name, settings, draws)
    hu = _along_z(spread, hu)
    hu, seen = _cut(hu, shot.seen, name, grid, settings, draws)
    return Shot(hu.clamp(*HU_LIMITS), shot.lungs, seen)


def with_opacities(hu: Tensor, lungs: Tensor, grid: WorkingGrid, draws: Draws) -> Tensor:
    """``hu`` with some dense spots in the lungs, which the other image does not have."""
    candidates = torch.nonzero(lungs[0, 0] > 0.5)
    count = draws.integer("opacities_count", *OPACITIES)
    x, y, z = grid.axes()
    for k in range(count if len(candidates) else 0):
        at = candidates[int(draws.rng.integers(len(candidates)))].tolist()
        sigma, height = draws.uniform(f"opacity_{k}_mm", OPACITY_MM), draws.uniform(f"opacity_{k}_hu", OPACITY_HU)
        draws.note(f"opacity_{k}_voxel", at[::-1])
        gz, gy, gx = (torch.exp(-0.5 * ((a - a[i]) / sigma) ** 2) for a, i in zip((z, y, x), at, strict=True))
        hu = hu + height * gz[:, None, None] * gy[:, None] * gx
    return hu


def _regional_density(shot: Shot, name: str, grid: WorkingGrid, settings: Appearance, draws: Draws) -> Tensor:
    sd = draws.uniform(f"{name}_regional_density", settings.regional_density)
    overall = float(draws.normals(f"{name}_overall_density", settings.overall_density, 1)[0])
    if sd == 0 and overall == 0:
        return shot.hu
    regional = random_field(grid, REGIONAL_SPACING_MM, sd, draws.rng, 1).clamp(-LARGEST_REGIONAL, LARGEST_REGIONAL)
    return changed_density(shot.hu, shot.lungs, 1 + regional + overall)


def _blurred(hu: Tensor, name: str, grid: WorkingGrid, settings: Appearance, draws: Draws) -> Tensor:
    if not draws.happens(f"{name}_blurred", settings.blurred):
        return hu
    sigma = draws.uniform(f"{name}_blur_mm", settings.blur_mm)
    if sigma == 0:
        return hu
    x, y, z = (gaussian_matrix(axis, axis, sigma) for axis in grid.axes())
    return apply((z, y, x), hu)


def _slices(name: str, grid: WorkingGrid, settings: Appearance, draws: Draws) -> tuple[Tensor | None, Tensor | None]:
    """Matrices along z from voxels to thick slices and back by linear interpolation; None for thin ones."""
    if not draws.happens(f"{name}_thick_slices", settings.thick_slices):
        return None, None
    thickness = draws.uniform(f"{name}_slice_mm", settings.slice_mm)
    z = grid.axes()[2]
    length = float(z[-1] - z[0])
    if length <= thickness:
        return None, None
    first = float(z[0]) - draws.uniform(f"{name}_first_slice", Range(0.0, 1.0)) * thickness
    centres = first + thickness * torch.arange(int(length / thickness) + 3, device=z.device)
    voxel = grid.spacing[2]
    # How much of each voxel lies within each slice.
    overlap = (0.5 * (thickness + voxel) - (centres[:, None] - z).abs()).clamp(0, min(thickness, voxel))
    gather = overlap / overlap.sum(1, keepdim=True).clamp(min=1e-6)
    full = overlap.sum(1) > 0.5 * thickness
    return gather[full], linear_matrix(centres[full], z)


def _along_z(matrix: Tensor | None, volume: Tensor) -> Tensor:
    if matrix is None:
        return volume
    depth, height, width = volume.shape[2:]
    return torch.matmul(matrix, volume.reshape(depth, -1)).reshape(1, 1, -1, height, width)


def _noisy(hu: Tensor, name: str, settings: Appearance, draws: Draws) -> Tensor:
    sd = draws.uniform(f"{name}_noise_hu", settings.noise_hu)
    grained = draws.happens(f"{name}_grained_noise", settings.grained_noise)
    seed = draws.seed()
    if sd == 0:
        return hu
    generator = torch.Generator(hu.device).manual_seed(seed)
    noise = torch.randn(hu.shape, generator=generator, device=hu.device)
    if grained:
        noise = GRAIN**1.5 * avg_pool3d(noise, GRAIN, 1, GRAIN // 2, count_include_pad=False)
    behind = draws.uniform(f"{name}_dense_noise", DENSE_NOISE)
    share = ((hu - AIR_HU) / -AIR_HU).clamp(0, 1)
    return hu + sd * noise * (1 + (behind - 1) * share)


def _cut(
    hu: Tensor, seen: Tensor, name: str, grid: WorkingGrid, settings: Appearance, draws: Draws
) -> tuple[Tensor, Tensor]:
    """Faces of the field of view moved inwards; beyond them the image repeats its border."""
    if not draws.happens(f"{name}_cut", settings.cut):
        return hu, seen
    for axis, length in enumerate(grid.size):  # x, y, z
        kept = [0, length]
        for side in (0, 1):
            depth = draws.uniform(f"{name}_cut_{'xyz'[axis]}{side}_mm", settings.cut_mm)
            if draws.rng.random() < settings.cut_face:
                kept[side] += (1 - 2 * side) * min(round(depth / grid.spacing[axis]), length // 4)
            else:
                draws.note(f"{name}_cut_{'xyz'[axis]}{side}_mm", 0.0)
        hu, seen = beyond_repeated(hu, 4 - axis, *kept), _only(seen, 4 - axis, *kept)
    return hu, seen


def beyond_repeated(volume: Tensor, dim: int, first: int, end: int) -> Tensor:
    """``volume`` with what lies before ``first`` and from ``end`` on along ``dim`` replaced by its border."""
    if first <= 0 and end >= volume.shape[dim]:
        return volume
    return volume.index_select(dim, torch.arange(volume.shape[dim], device=volume.device).clamp(first, end - 1))


def _only(volume: Tensor, dim: int, first: int, end: int) -> Tensor:
    place = torch.arange(volume.shape[dim], device=volume.device)
    inside = ((place >= first) & (place < end)).to(volume.dtype)
    return volume * inside.reshape([-1 if k == dim else 1 for k in range(volume.ndim)])


def view_along_x(limits_mm: tuple[float, float], grid: WorkingGrid) -> tuple[int, int]:
    """First and end voxel of the view from right to left; a view that would be empty is whole."""
    x = grid.axes()[0].cpu().numpy()
    inside = np.flatnonzero((x >= limits_mm[0]) & (x <= limits_mm[1]))
    return (int(inside[0]), int(inside[-1]) + 1) if inside.size else (0, len(x))
