"""From the file of a CT scan to an anatomy: upright, cubic voxels, denoised, lungs and cavity found."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from DeepRegLib.errors import BadInput
from DeepRegLib.files import whole_file
from DeepRegLib.images.coarse import averaged
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.images.read import read_volume
from DeepRegLib.images.region import find_region
from DeepRegLib.images.volume import Volume

from .anatomy import SCAN_SIGMA, Anatomy, boxes_of
from .cavity import wall_distance
from .working_grid import WorkingGrid

HU_LIMITS = (-1024.0, 1500.0)
"""Denser than bone is metal, which would dominate every gradient."""
DENOISING_STEPS, DENOISING_TIME, DENOISING_CONDUCTANCE = 3, 0.03, 1.5
"""Curvature diffusion as strong as keeps vessels of two voxels: what is left of the noise is far below the noise that
each image of a pair gets of its own."""
WALL_MM = 4.0
"""Spacing of the distances to the wall."""
ROUND_VIEW = 250 / 512
"""Radius of the reconstructed circle relative to the width of a scan (Eppenhof 2020, section II-F)."""
SQUARE = 0.02
"""A scan whose slices are square to this share was not cropped, and so shows the whole circle."""
ARRAYS = ("image", "region", "wall")
VERSION = 1
"""Goes up when the preparation changes, so that older cached files are not used."""

BeforeReading = Callable[[Path], None]


@dataclass(frozen=True)
class PreparedScan:
    """``image`` (z, y, x) int16 HU and ``region`` (uint8, 0 or 1) on cubic voxels of ``spacing_mm``; ``wall`` (float16,
    mm) on voxels of ``wall_spacing_mm`` about ``wall_centre`` (x, y, z; mm from the middle of the image), empty where
    there are no lungs."""

    name: str
    image: np.ndarray
    region: np.ndarray
    wall: np.ndarray
    spacing_mm: float
    wall_spacing_mm: float
    wall_centre: tuple[float, float, float]
    is_lungs: bool
    bore_radius_mm: float | None

    def anatomy(self, device: torch.device) -> Anatomy:
        """The same as tensors on ``device``."""
        grid = cubic_grid(self.image.shape, self.spacing_mm, device)
        look = _tensor(self.image, device)
        box, trunk = boxes_of(self.region > 0, grid)
        has_wall = self.wall.size > 0
        return Anatomy(
            name=self.name,
            grid=grid,
            moving_look=look,
            fixed_look=look,
            region=_tensor(self.region, device),
            box=box,
            trunk=trunk,
            is_lungs=self.is_lungs,
            wall=_tensor(self.wall, device) if has_wall else None,
            wall_grid=cubic_grid(self.wall.shape, self.wall_spacing_mm, device, self.wall_centre) if has_wall else None,
            bore_radius_mm=self.bore_radius_mm,
        )


def prepare_scan(
    path: Path,
    spacing_mm: float,
    cache: Path | None = None,
    before_reading: BeforeReading = lambda file: None,
) -> PreparedScan:
    """The scan in a file, read from the folder ``cache`` where it was prepared before, else written there.

    ``before_reading`` is called with ``path`` when the cache does not hold it. Raises what that raises, and
    :class:`~DeepRegLib.errors.BadInput` when the file is missing or no scan.
    """
    stored = _stored(path, spacing_mm, cache) if cache else None
    found = _load(stored) if stored and stored.exists() else None
    if found is not None:
        return found
    before_reading(path)
    scan = prepare_volume(read_volume(path), spacing_mm)
    if stored:
        stored.parent.mkdir(parents=True, exist_ok=True)
        _save(scan, stored)
    return scan


def prepare_volume(volume: Volume, spacing_mm: float) -> PreparedScan:
    """A scan in HU on cubic voxels of ``spacing_mm``, denoised, with its lungs (or its body) and its cavity."""
    volume = upright(volume)
    region = find_region(volume)
    grid = cubic_geometry(volume.geometry, spacing_mm)
    image = _denoised(_resampled(volume, grid))
    mask = region.on(grid) > 0.5
    if not mask.any():
        raise BadInput(f"In '{volume.name}' neither lungs nor a body were found.")
    is_lungs = region.kind == "lungs"
    wall, coarse = np.zeros((0, 0, 0), np.float16), averaged(Volume(image, grid), WALL_MM)
    if is_lungs:
        lungs = averaged(Volume(mask, grid), WALL_MM).array > 0.4
        wall = wall_distance(coarse.array, lungs, coarse.geometry.spacing[0]).astype(np.float16)
    middle = grid.to_index(coarse.geometry.centre) - (np.array(grid.size) - 1) / 2
    width = np.array(volume.geometry.size) * np.array(volume.geometry.spacing)
    return PreparedScan(
        name=volume.name,
        image=np.rint(image).astype(np.int16),
        region=mask.astype(np.uint8),
        wall=wall,
        spacing_mm=spacing_mm,
        wall_spacing_mm=coarse.geometry.spacing[0],
        wall_centre=tuple(float(m) * spacing_mm for m in middle),  # type: ignore[arg-type]
        is_lungs=is_lungs,
        bore_radius_mm=ROUND_VIEW * float(width[0]) if abs(width[0] / width[1] - 1) < SQUARE else None,
    )


def upright(volume: Volume) -> Volume:
    """The same voxels with axes that run to the left, to the back and to the head, as far as they can."""
    import SimpleITK as sitk

    return Volume.from_sitk(sitk.DICOMOrient(volume.to_sitk(), "LPS"), volume.name)


def cubic_geometry(geometry: Geometry, spacing_mm: float) -> Geometry:
    extent = np.array(geometry.size) * np.array(geometry.spacing)
    size = np.maximum(np.rint(extent / spacing_mm), 1).astype(int)
    origin = geometry.centre - geometry.axes @ ((size - 1) / 2 * spacing_mm)
    return Geometry(tuple(size), (spacing_mm,) * 3, tuple(origin), geometry.direction)


def cubic_grid(
    shape: tuple[int, ...],
    spacing_mm: float,
    device: torch.device,
    centre: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> WorkingGrid:
    nz, ny, nx = shape
    return WorkingGrid((nx, ny, nz), (spacing_mm,) * 3, device, centre)


def _tensor(array: np.ndarray, device: torch.device) -> torch.Tensor:
    return torch.as_tensor(array.astype(np.float32), device=device)[None, None]


def _resampled(volume: Volume, grid: Geometry) -> np.ndarray:
    """HU (z, y, x; float32) on a grid with the same axes, smoothed to its voxels where they are coarser."""
    import SimpleITK as sitk

    image = sitk.Clamp(sitk.Cast(volume.to_sitk(), sitk.sitkFloat32), sitk.sitkFloat32, *HU_LIMITS)
    for axis, own in enumerate(volume.geometry.spacing):
        sigma = SCAN_SIGMA * math.sqrt(max(grid.spacing[axis] ** 2 - own**2, 0.0))
        if sigma > 0.3 * own:
            image = sitk.RecursiveGaussian(image, sigma=sigma, direction=axis)
    reference = grid.apply_to(sitk.Image(grid.size, sitk.sitkUInt8))
    resample = sitk.ResampleImageFilter()
    resample.SetReferenceImage(reference)
    resample.SetOutputPixelType(sitk.sitkFloat32)
    resample.SetUseNearestNeighborExtrapolator(True)
    return sitk.GetArrayFromImage(resample.Execute(image))


def _denoised(image: np.ndarray) -> np.ndarray:
    import SimpleITK as sitk

    smooth = sitk.CurvatureAnisotropicDiffusion(
        sitk.GetImageFromArray(image),
        timeStep=DENOISING_TIME,
        conductanceParameter=DENOISING_CONDUCTANCE,
        numberOfIterations=DENOISING_STEPS,
    )
    return sitk.GetArrayFromImage(smooth)


def _stored(path: Path, spacing_mm: float, cache: Path) -> Path | None:
    """Where the prepared scan is or will be; None when its file cannot be looked at: who reads it says why."""
    try:
        return cache / f"{_fingerprint(path, spacing_mm)}.npz"
    except OSError:
        return None


def _fingerprint(path: Path, spacing_mm: float) -> str:
    """Changes with the file and with the way it is prepared."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    states = [(f.name, f.stat().st_size, f.stat().st_mtime_ns) for f in files]
    return hashlib.sha256(json.dumps([VERSION, spacing_mm, str(path.resolve()), states]).encode()).hexdigest()[:24]


def _save(scan: PreparedScan, path: Path) -> None:
    arrays = {name: getattr(scan, name) for name in ARRAYS}
    plain = {f.name: getattr(scan, f.name) for f in dataclasses.fields(scan) if f.name not in ARRAYS}
    with whole_file(path) as temporary:
        np.savez_compressed(temporary, plain=np.array(json.dumps(plain)), **arrays)


def _load(path: Path) -> PreparedScan | None:
    """The scan that was saved; None where the file is damaged, so that it is made again."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            plain = json.loads(str(stored["plain"]))
            plain["wall_centre"] = tuple(plain["wall_centre"])
            return PreparedScan(**plain, **{name: stored[name] for name in ARRAYS})
    except (OSError, EOFError, ValueError, KeyError, TypeError, RuntimeError, zipfile.BadZipFile, zlib.error):
        # RuntimeError: bits of a damaged archive may say that it is encrypted, or of a version to come.
        return None
