"""What the solver is given: two images in their own frames, where the match counts, and the linear map."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import torch

from ..images.coarse import averaged
from ..images.geometry import Geometry
from ..images.region import Region
from ..images.volume import Volume
from ..transforms.linear import LinearTransform
from .features import edge_strength
from .frame_grid import FrameGrid, triple
from .image_source import ImageSource, Intensity
from .separable import apply
from .slice_profile import missing_blur

BOX_MARGIN_MM = 12.0
"""Tissue around the region that the solver sees."""
MOVING_MARGIN_MM = 90.0
"""How far around the pre-aligned box the moving image is kept: the largest breathing seen, 75 mm, and some slack."""
SHAPE_GRID_MM = 4.0
"""Spacing on which distances to the border of the organ are computed."""
MOST_VOXELS_AS_THEY_ARE = 40_000_000
"""Larger scans are averaged once before the pyramid is built."""
REDUCED_MM = 1.4
"""Voxels of a reduced scan, about; the finest level of the lungs has 1.8 mm."""
SHAPE_SCALE_MM = 10.0
"""Distance at which the shape channel saturates; beyond it the grey values alone decide."""


Contrast = Literal["same", "other"]


@dataclass(frozen=True)
class Problem:
    """``linear`` maps fixed to moving LPS points. ``region`` is where the match counts. ``find_organs`` gives the whole
    organ as each image shows it (both lungs, say), whose border leads the rescue start; it is asked only when needed
    and answers None where there is no such organ. ``contrast`` is "other" where tissues that are bright in one image
    need not be bright in the other (CT and MR, two MR sequences)."""

    fixed: Volume
    moving: Volume
    region: Region
    linear: LinearTransform
    fixed_intensity: Intensity
    moving_intensity: Intensity
    device: torch.device
    contrast: Contrast = "same"
    find_organs: Callable[[], tuple[Region, Region] | None] = lambda: None

    @cached_property
    def organs(self) -> tuple[Region, Region] | None:
        """The organ in the fixed and in the moving image, if both show one."""
        return self.find_organs()

    @cached_property
    def fixed_source(self) -> FrameImage:
        """The fixed image, as soft as the moving one."""
        fixed, moving = self._reduced
        blur = missing_blur(fixed.geometry, moving.geometry)
        return FrameImage(fixed, self.fixed.geometry, self.fixed_intensity, blur)

    @cached_property
    def moving_source(self) -> FrameImage:
        """The moving image, as soft as the fixed one."""
        fixed, moving = self._reduced
        blur = missing_blur(moving.geometry, fixed.geometry)
        return FrameImage(moving, self.moving.geometry, self.moving_intensity, blur)

    @cached_property
    def _reduced(self) -> tuple[Volume, Volume]:
        return reduced(self.fixed), reduced(self.moving)

    @property
    def fixed_grid(self) -> FrameGrid:
        """All voxels of the fixed image in its frame."""
        return FrameGrid.of(self.fixed.geometry)

    @property
    def moving_grid(self) -> FrameGrid:
        """All voxels of the moving image in its frame."""
        return FrameGrid.of(self.moving.geometry)

    @cached_property
    def box(self) -> FrameGrid:
        """The fixed image's grid, reduced to the surroundings of the region."""
        lower, upper = self.region.box()
        shift = _offset(self.region.mask.geometry, self.fixed.geometry)
        grid = self.fixed_grid
        last = np.array(grid.last)
        lower = np.clip(lower + shift - BOX_MARGIN_MM, 0, last)
        return grid.box(lower, np.clip(upper + shift + BOX_MARGIN_MM, 0, last))

    @cached_property
    def moving_box(self) -> FrameGrid:
        """The part of the moving image that can meet the box."""
        a, b = self.affine
        corners = np.array(np.meshgrid(*zip(self.box.origin, self.box.last, strict=True))).reshape(3, -1).T @ a.T + b
        grid = self.moving_grid
        last = np.array(grid.last)
        lower = np.clip(corners.min(0) - MOVING_MARGIN_MM, 0, last)
        upper = np.clip(corners.max(0) + MOVING_MARGIN_MM, 0, last)
        return grid.box(lower, upper)

    @cached_property
    def affine(self) -> tuple[np.ndarray, np.ndarray]:
        """(A, b): a point s in the fixed frame lies at q = A s + b in the moving frame."""
        fixed, moving = self.fixed.geometry, self.moving.geometry
        a = moving.axes.T @ self.linear.matrix @ fixed.axes
        b = self.linear.map_points(np.array(fixed.origin)) - np.array(moving.origin)
        return a, moving.axes.T @ b

    def fixed_view(self, grid: FrameGrid) -> torch.Tensor:
        """The fixed image (z, y, x) as the pre-alignment compares it: grey values, or edges for another contrast."""
        return self._view(self.fixed_source, grid)

    def moving_view(self, grid: FrameGrid) -> torch.Tensor:
        """The same of the moving image."""
        return self._view(self.moving_source, grid)

    def _view(self, source: FrameImage, grid: FrameGrid) -> torch.Tensor:
        image = source.on(grid, self.device)
        return image if self.contrast == "same" else edge_strength(image, grid)

    def region_on(self, grid: FrameGrid) -> torch.Tensor:
        """Share of each sample that lies in the region, (z, y, x), 0 to 1."""
        return _seen_from(self.fixed.geometry, self.region.mask, _unchanged).on(grid, self.device)

    def shape_channels(self, fixed_grid: FrameGrid, moving_grid: FrameGrid) -> tuple[torch.Tensor, torch.Tensor]:
        """Saturated signed distance to the border of the organ, on both grids: -1 outside, 0 on it, 1 inside."""
        of_fixed, of_moving = self._distances
        return (
            _seen_from(self.fixed.geometry, of_fixed, _saturated).on(fixed_grid, self.device),
            _seen_from(self.moving.geometry, of_moving, _saturated).on(moving_grid, self.device),
        )

    @cached_property
    def _distances(self) -> tuple[Volume, Volume]:
        if self.organs is None:
            raise ValueError("A level with a shape channel needs the organ in both images.")
        fixed, moving = self.organs
        return signed_distance(fixed), signed_distance(moving)


def signed_distance(region: Region) -> Volume:
    """Distance (mm, positive inside) to the border of the region, on voxels of about ``SHAPE_GRID_MM``.

    The end of the image is no border: where a scan is cut, the organ is taken to go on.
    """
    import SimpleITK as sitk

    geometry = region.mask.geometry
    if min(geometry.spacing) < SHAPE_GRID_MM:
        geometry = geometry.with_spacing((SHAPE_GRID_MM,) * 3)
    inside = geometry.apply_to(sitk.GetImageFromArray((region.on(geometry) > 0.5).astype(np.uint8)))
    distance = sitk.SignedMaurerDistanceMap(inside, insideIsPositive=True, squaredDistance=False, useImageSpacing=True)
    return Volume.from_sitk(distance)


def _seen_from(frame: Geometry, volume: Volume, intensity: Intensity) -> FrameImage:
    array = volume.array.view(np.uint8) if volume.array.dtype == bool else volume.array
    return FrameImage(Volume(array, volume.geometry), frame, intensity)


def _unchanged(values: torch.Tensor) -> torch.Tensor:
    return values


def _saturated(distance: torch.Tensor) -> torch.Tensor:
    return torch.tanh(distance / SHAPE_SCALE_MM)


def _offset(inner: Geometry, outer: Geometry) -> np.ndarray:
    """Where the frame of ``inner`` begins in the frame of ``outer``; both have the same axes."""
    return outer.axes.T @ (np.array(inner.origin) - np.array(outer.origin))


@dataclass(frozen=True)
class FrameImage:
    """``volume``, on a grid of its own, seen from the frame of ``frame``, which has the same axes, and blurred by
    Gaussians of ``blur`` mm along x, y, z."""

    volume: Volume
    frame: Geometry
    intensity: Intensity
    blur: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def on(self, grid: FrameGrid, device: torch.device) -> torch.Tensor:
        """Anti-aliased values (z, y, x) on a grid in the frame of ``frame``."""
        origin = np.array(grid.origin) - _offset(self.volume.geometry, self.frame)
        values = ImageSource(self.volume, self.intensity).on(FrameGrid(triple(origin), grid.spacing, grid.size), device)
        return apply(grid.blur_along(self.blur, device), values) if any(self.blur) else values


def reduced(volume: Volume) -> Volume:
    """The volume itself, or one of coarser voxels where it is so large that no level would see its finest ones."""
    if volume.geometry.voxel_count <= MOST_VOXELS_AS_THEY_ARE:
        return volume
    return averaged(volume, REDUCED_MM)
