"""Both images of one level of the pyramid, ready to be compared."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from .features import RegionNormalisation, gradient, local_normalisation, self_similarity
from .frame_grid import FrameGrid
from .frame_sampling import sample_frame
from .lattice import Lattice
from .problem import Problem
from .separable import apply
from .settings import Level, Settings

FINEST_MOVING_SHARE = 0.9
"""The moving image is never sampled finer than this share of its in-plane voxels: there is nothing more to see."""
NORMALISATION_SAMPLES = 1.5
"""Smallest window of the local normalisation, in samples."""
NEAR_REGION = 0.12
"""A voxel counts when at least this share of its blurred surroundings lies in the region."""
SHAPE_MARGIN_MM = 10.0
"""How far around the region the border of the organ counts."""
SHAPE_NEAR = 0.05
SHAPE_ROBUST = 0.5
"""Difference of saturated distances at which the border of the organ loses half its say."""
DESCRIPTOR_ROBUST = 0.5
"""The same for descriptors, which lie between 0 and 1."""
WALL_VOXELS = 0.4
"""Blur of the region, in the largest voxel of either image, before its inside is cut at ``WELL_INSIDE``: the voxels
that show some of the wall lie beyond."""
THICKEST_SAMPLES = 2.5
"""Voxels larger than this many samples show the wall so far into the organ that its inside says less than the whole."""
WELL_INSIDE = (0.8, 0.9)
"""Blurred share of the region at which its inside begins, and from which it counts fully."""


@dataclass(frozen=True)
class LevelImages:
    """``fixed`` (C, z, y, x) on ``grid``, ``moving`` (C, z, y, x) on ``moving_grid``, ``weights`` (C, z, y, x), the
    residual ``robust`` of each channel at which a sample loses half its weight, and ``base`` (3, z, y, x): where each
    sample lies in the moving frame under the linear map alone.

    With ``normalised_inside`` the last channel of ``moving`` holds plain grey values, which are normalised where they
    meet the fixed image: by the same tissue in both, however it was stretched.
    """

    fixed: torch.Tensor
    moving: torch.Tensor
    weights: torch.Tensor
    robust: tuple[float, ...]
    base: torch.Tensor
    grid: FrameGrid
    moving_grid: FrameGrid
    moving_last: torch.Tensor
    normalised_inside: RegionNormalisation | None = None

    def warped(self, lattice: Lattice) -> tuple[torch.Tensor, torch.Tensor]:
        """The moving channels on the fixed grid, and which samples (z, y, x) lie inside the moving image."""
        return self.pulled(self.base + lattice.on(self.grid))

    def pulled(self, points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        inside = ((points >= 0) & (points <= self.moving_last)).all(0)
        warped = sample_frame(self.moving, self.moving_grid, points)
        if self.normalised_inside is not None:
            warped[-1] = self.normalised_inside(warped[-1])
        return warped, inside

    def fixed_gradients(self, to_moving: torch.Tensor) -> list[torch.Tensor]:
        """Gradients of the fixed channels, each (3, z, y, x), in the moving frame."""
        return [torch.einsum("ji,jzyx->izyx", to_moving, gradient(image, self.grid.spacing)) for image in self.fixed]


@dataclass(frozen=True)
class Channel:
    """What is compared: ``fixed`` and ``moving``, each (z, y, x) on its grid, the ``weight`` (z, y, x) of each sample
    of the fixed grid, and the residual ``robust`` at which a sample loses half of it."""

    fixed: torch.Tensor
    moving: torch.Tensor
    weight: torch.Tensor
    robust: float


def level_images(problem: Problem, settings: Settings, level: Level) -> LevelImages:
    """Resample, normalise and weigh both images for one level."""
    device, spacing = problem.device, level.spacing
    grid = problem.box.covering(spacing)
    in_plane = sorted(problem.moving.geometry.spacing)[1]
    moving_grid = problem.moving_box.covering(max(spacing, FINEST_MOVING_SHARE * in_plane))
    fixed, moving = problem.fixed_source.on(grid, device), problem.moving_source.on(moving_grid, device)
    share = problem.region_on(grid)
    normalised = _inside_normalisation(problem, settings, level, share, grid)
    channels = _value_channels(problem, settings, (fixed, grid), (moving, moving_grid), share)
    if level.shape_weight:
        near = apply(grid.blur(SHAPE_MARGIN_MM / 2, device), share) > SHAPE_NEAR
        border = problem.shape_channels(grid, moving_grid)
        channels.append(Channel(*border, level.shape_weight * near.float(), SHAPE_ROBUST))
    if normalised is not None:
        weight = level.inside_weight * normalised.region
        channels.append(Channel(normalised(fixed), moving, weight, settings.robust))
    return LevelImages(
        torch.stack([channel.fixed for channel in channels]),
        torch.stack([channel.moving for channel in channels]),
        torch.stack([channel.weight for channel in channels]),
        tuple(channel.robust for channel in channels),
        linear_positions(problem, grid),
        grid,
        moving_grid,
        torch.tensor(problem.moving_grid.last, dtype=torch.float32, device=device).view(3, 1, 1, 1),
        normalised,
    )


def _value_channels(
    problem: Problem,
    settings: Settings,
    fixed: tuple[torch.Tensor, FrameGrid],
    moving: tuple[torch.Tensor, FrameGrid],
    share: torch.Tensor,
) -> list[Channel]:
    """Locally normalised grey values, or descriptors of the structure for another contrast.

    Windows follow the spacing of the level and the descriptors the axes of the fixed frame, for both images: one that
    is sampled more coarsely or lies otherwise would else never equal the other.
    """
    grid = fixed[1]
    spacing, weight = grid.spacing[0], _grey_weight(share, grid, settings)
    if problem.contrast == "same":
        window = _window(settings, spacing)
        values, others = (local_normalisation(*image, window, settings.contrast_floor) for image in (fixed, moving))
        return [Channel(values, others, weight, settings.robust)]
    to_moving = torch.as_tensor(problem.affine[0], dtype=torch.float32, device=problem.device)
    of_fixed = self_similarity(*fixed, spacing, torch.eye(3, device=problem.device))
    of_moving = self_similarity(*moving, spacing, to_moving / to_moving.norm(dim=0))
    return [Channel(a, b, weight, DESCRIPTOR_ROBUST) for a, b in zip(of_fixed, of_moving, strict=True)]


def _inside_normalisation(
    problem: Problem, settings: Settings, level: Level, share: torch.Tensor, grid: FrameGrid
) -> RegionNormalisation | None:
    """What normalises within the region alone; None where the level does not ask for it, for another contrast, and
    where the voxels are too large for it."""
    largest = max(*problem.fixed.geometry.spacing, *problem.moving.geometry.spacing)
    if not level.inside_weight or problem.contrast == "other" or largest > THICKEST_SAMPLES * level.spacing:
        return None
    window = _window(settings, level.spacing)
    return RegionNormalisation(_well_inside(share, grid, largest), grid, window, settings.contrast_floor)


def _window(settings: Settings, spacing: float) -> float:
    return max(settings.normalisation, NORMALISATION_SAMPLES * spacing)


def linear_positions(problem: Problem, grid: FrameGrid) -> torch.Tensor:
    """A s + b for every sample s of a grid: (3, z, y, x), moving frame."""
    a, b = (torch.as_tensor(part, dtype=torch.float32, device=problem.device) for part in problem.affine)
    return torch.einsum("ij,jzyx->izyx", a, grid.points(problem.device)) + b.view(3, 1, 1, 1)


def _grey_weight(share: torch.Tensor, grid: FrameGrid, settings: Settings) -> torch.Tensor:
    """1 in the region, ``outside_weight`` within the margin around it, 0 beyond."""
    blur = grid.blur(max(settings.margin / 2, 0.6 * grid.spacing[0]), share.device)
    near = apply(blur, share) > NEAR_REGION
    return near.float() * (settings.outside_weight + (1 - settings.outside_weight) * share.clamp(0, 1))


def _well_inside(share: torch.Tensor, grid: FrameGrid, voxel: float) -> torch.Tensor:
    """1 in the region, 0 where a ``voxel`` (mm) may show some of its surroundings; (z, y, x)."""
    begin, full = WELL_INSIDE
    return ((apply(grid.blur(WALL_VOXELS * voxel, share.device), share) - begin) / (full - begin)).clamp_(0, 1)
