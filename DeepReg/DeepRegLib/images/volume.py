"""A three-dimensional image: voxels and where they lie."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ..errors import BadInput
from .geometry import Geometry

if TYPE_CHECKING:
    import SimpleITK as sitk


@dataclass(frozen=True)
class Volume:
    """Voxels ``array`` (z, y, x) on ``geometry``. The array keeps a compact type (int16 or float32 for images, integers
    for label maps): large scans are never copied to float as a whole.

    Raises :class:`BadInput` when the array does not have the shape of the geometry.
    """

    array: np.ndarray
    geometry: Geometry
    name: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if self.array.shape != self.geometry.shape:
            raise BadInput(f"The voxels have shape {self.array.shape}, the grid {self.geometry.shape}.")

    def to_sitk(self) -> sitk.Image:
        """A SimpleITK image with a copy of the voxels (booleans as uint8)."""
        import SimpleITK as sitk

        array = self.array.astype(np.uint8) if self.array.dtype == bool else self.array
        return self.geometry.apply_to(sitk.GetImageFromArray(array))

    @classmethod
    def from_sitk(cls, image: sitk.Image, name: str = "") -> Volume:
        """From a scalar SimpleITK image; a 2-D image becomes a single slice. The voxels are copied.

        Raises :class:`BadInput` for colour and four-dimensional images.
        """
        import SimpleITK as sitk

        label = f"'{name}'" if name else "The image"
        if image.GetNumberOfComponentsPerPixel() != 1:
            raise BadInput(
                f"{label} has {image.GetNumberOfComponentsPerPixel()} values per voxel (colour or vectors); "
                "choose a scan with one value per voxel."
            )
        if image.GetDimension() not in (2, 3):
            raise BadInput(
                f"{label} has {image.GetDimension()} dimensions; choose one three-dimensional scan of the series."
            )
        array = sitk.GetArrayFromImage(image)
        return cls(array.reshape((1, *array.shape)) if array.ndim == 2 else array, Geometry.of(image), name)
