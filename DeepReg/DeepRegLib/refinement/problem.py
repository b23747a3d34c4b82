"""What the solver is given: two images in their own frames, where the match counts, and the linear map."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from ..images.geometry import Geometry
from ..images.region import Region
from ..images.volume import Volume
from ..transforms.linear import LinearTransform
from .frame_grid import FrameGrid
from .image_source import ImageSource, Intensity

BOX_MARGIN_MM = 12.0
"""Tissue around the region that the solver sees."""
MOVING_MARGIN_MM = 90.0
"""How far around the pre-aligned box the moving image is kept: the largest breathing seen, 75 mm, and some slack."""
SHAPE_GRID_MM = 4.0
"""Spacing on which distances to the border of the organ are computed."""
SHAPE_SCALE_MM = 10.0
"""Distance at which the shape channel saturates; beyond it the grey values alone decide."""


@dataclass(frozen=True)
class Problem:
    """``linear`` maps fixed to moving LPS points. ``region`` is where the match counts. ``find_organs`` gives the whole
    organ as each image shows it (both lungs, say), whose border leads the rescue start; it is asked only when needed
    and answers None where there is no such organ."""

    fixed: Volume
    moving: Volume
    region: Region
    linear: LinearTransform
    fixed_intensity: Intensity
    moving_intensity: Intensity
    device: torch.device
    find_organs: Callable[[], tuple[Region, Region] | None] = lambda: None

    @cached_property
    def organs(self) -> tuple[Region, Region] | None:
        """The organ in the fixed and in the moving image, if both show one."""
        return self.find_organs()

    @cached_property
    def fixed_source(self) -> ImageSource:
        return ImageSource(self.fixed, self.fixed_intensity)

    @cached_property
    def moving_source(self) -> ImageSource:
        return ImageSource(self.moving, self.moving_intensity)

    @cached_property
    def box(self) -> FrameGrid:
        """The fixed image's grid, reduced to the surroundings of the region."""
        lower, upper = self.region.box()
        shift = _offset(self.region.mask.geometry, self.fixed.geometry)
        grid = FrameGrid.of(self.fixed.geometry)
        last = np.array(grid.last)
        lower = np.clip(lower + shift - BOX_MARGIN_MM, 0, last)
        return grid.box(lower, np.clip(upper + shift + BOX_MARGIN_MM, 0, last))

    @cached_property
    def moving_box(self) -> FrameGrid:
        """The part of the moving image that can meet the box."""
        a, b = self.affine
        corners = np.array(np.meshgrid(*zip(self.box.origin, self.box.last, strict=True))).reshape(3, -1).T @ a.T + b
        grid = FrameGrid.of(self.moving.geometry)
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

    def region_on(self, grid: FrameGrid) -> torch.Tensor:
        """Share of each sample that lies in the region, (z, y, x), 0 to 1."""
        return _source_on(self.region.mask, self.fixed.geometry, grid, self.device, lambda values: values)

    def shape_channels(self, fixed_grid: FrameGrid, moving_grid: FrameGrid) -> tuple[torch.Tensor, torch.Tensor]:
        """Saturated signed distance to the border of the organ, on both grids: -1 outside, 0 on it, 1 inside."""
        of_fixed, of_moving = self._distances
        return (
            _source_on(of_fixed, self.fixed.geometry, fixed_grid, self.device, _saturated),
            _source_on(of_moving, self.moving.geometry, moving_grid, self.device, _saturated),
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


def _saturated(distance: torch.Tensor) -> torch.Tensor:
    return torch.tanh(distance / SHAPE_SCALE_MM)


def _offset(inner: Geometry, outer: Geometry) -> np.ndarray:
    """Where the frame of ``inner`` begins in the frame of ``outer``; both have the same axes."""
    return outer.axes.T @ (np.array(inner.origin) - np.array(outer.origin))


def _source_on(
    volume: Volume, frame: Geometry, grid: FrameGrid, device: torch.device, intensity: Intensity
) -> torch.Tensor:
    """``volume``, on a grid with the axes of ``frame``, resampled onto a grid in the frame of ``frame``."""
    shift = _offset(volume.geometry, frame)
    origin = np.array(grid.origin) - shift
    target = FrameGrid((float(origin[0]), float(origin[1]), float(origin[2])), grid.spacing, grid.size)
    array = volume.array.view(np.uint8) if volume.array.dtype == bool else volume.array
    return ImageSource(Volume(array, volume.geometry), intensity).on(target, device)
