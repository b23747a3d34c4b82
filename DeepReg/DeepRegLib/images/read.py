"""Images and masks from files, and back to files."""

from __future__ import annotations

import gzip
import math
import os
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import BadInput, BadMask, OutputProblem
from .geometry import Geometry
from .volume import Volume

if TYPE_CHECKING:
    import SimpleITK as sitk

SLICES_OF_A_SCAN = 16
"""A DICOM series of fewer slices is a scout or a single picture and not what a folder was chosen for."""
WRITABLE = (".nii.gz", ".nii", ".mha", ".nrrd")
LARGEST_NIFTI_HEADER = 1 << 20
FAST_COMPRESSION = 1
"""A third larger than the default and twice as quick; ITK heeds it in .mha and .nrrd, not in .nii.gz."""
_SHORT_REASONS = {
    "orthonormal": "the direction matrix in its header is singular or sheared",
    "irection": "the direction matrix in its header is singular or sheared",
    "pacing": "the voxel spacing in its header is zero or negative",
    "determine ImageIO": "it is not an image file, or of a format that is not known here",
}
"""Words in ITK's messages and what they mean to a person."""


def read_volume(source: str | Path | sitk.Image | Volume) -> Volume:
    """The image in a file (NIfTI, MetaImage, NRRD and whatever else ITK reads), a folder with one DICOM series, or a
    SimpleITK image; a :class:`Volume` is passed through.

    Integers that fit become int16 (uint8 stays), everything else float32. Needs the memory of the voxels twice while
    reading.

    Raises :class:`~DeepRegLib.errors.BadInput`: no such file, not an image, damaged, four-dimensional, colour, or a
    header that describes no grid.
    """
    if isinstance(source, Volume):
        return source
    if not isinstance(source, str | Path):
        return _compact(Volume.from_sitk(source))
    path = Path(source).expanduser()
    if not path.exists():
        raise BadInput(f"There is no file '{path}'.")
    try:
        image = _read_folder(path) if path.is_dir() else _read_file(path)
        return _compact(Volume.from_sitk(image, path.name))
    except RuntimeError as error:
        raise BadInput(f"'{path.name}' cannot be read: {_reason(error)}.") from error
    except BadInput as error:
        known = path.name in str(error)
        raise error if known else BadInput(f"'{path.name}' cannot be used. {error}", error.hint) from error


def read_mask(source: str | Path | sitk.Image | Volume, like: Geometry) -> Volume:
    """A mask as booleans on the grid ``like``: nonzero voxels are inside. One that was drawn on another grid is
    resampled to the nearest voxel.

    Raises :class:`~DeepRegLib.errors.BadMask` when nothing is inside, and what :func:`read_volume` raises.
    """
    volume = read_volume(source)
    label = f"The mask '{volume.name}'" if volume.name else "The mask"
    inside = Volume(volume.array != 0, volume.geometry, volume.name)
    if not inside.array.any():
        raise BadMask(f"{label} is empty: no voxel is marked.", "Draw the region again or register without a mask.")
    if volume.geometry.matches(like):
        return inside
    inside = _resampled_nearest(inside, like)
    if not inside.array.any():
        raise BadMask(
            f"{label} does not meet the image: they lie in different places.",
            "Check that the mask was drawn on this scan and not on the other one.",
        )
    return inside


def write_volume(volume: Volume, path: str | Path) -> Path:
    """Write ``volume`` (compressed, booleans as uint8) as .nii.gz, .nii, .mha or .nrrd; the file appears whole or not
    at all. Returns the path.

    Raises :class:`~DeepRegLib.errors.OutputProblem` for another ending and when the file cannot be written.
    """
    import SimpleITK as sitk

    from ..files import whole_file

    path = Path(path)
    if not path.name.lower().endswith(WRITABLE):
        raise OutputProblem(f"'{path.name}' cannot be written: the name must end in {', '.join(WRITABLE)}.")
    image = volume.to_sitk()
    with whole_file(path) as temporary:
        try:
            sitk.WriteImage(image, str(temporary), useCompression=True, compressionLevel=FAST_COMPRESSION)
        except RuntimeError as error:
            raise OutputProblem(f"'{path}' cannot be written: is the disk full, or the folder protected?") from error
    return path


def _read_file(path: Path) -> sitk.Image:
    import SimpleITK as sitk

    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise BadInput(f"'{path.name}' cannot be opened: {error.strerror}.") from error
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    if reader.GetDimension() not in (2, 3):
        raise BadInput(
            f"'{path.name}' has {reader.GetDimension()} dimensions {tuple(reader.GetSize())}; "
            "choose one three-dimensional scan of the series."
        )
    if reader.GetNumberOfComponents() != 1:
        raise BadInput(
            f"'{path.name}' has {reader.GetNumberOfComponents()} values per voxel (colour or vectors); "
            "choose a scan with one value per voxel."
        )
    _refuse_incomplete_nifti(path, reader)
    return reader.Execute()


def _refuse_incomplete_nifti(path: Path, reader: sitk.ImageFileReader) -> None:
    """ITK reads a NIfTI file that ends too early without a word and leaves the rest of the voxels to chance."""
    name = path.name.lower()
    if not name.endswith((".nii", ".nii.gz")) or not reader.HasMetaDataKey("bitpix"):
        return
    needed = math.prod(reader.GetSize()) * int(reader.GetMetaData("bitpix")) // 8
    if not (_gzip_holds(path, needed) if name.endswith(".gz") else path.stat().st_size >= needed):
        raise BadInput(f"'{path.name}' is incomplete: it ends before its last voxel. Copy or download it again.")


def _gzip_holds(path: Path, needed: int) -> bool:
    """Whether a gzip file unpacks to at least ``needed`` bytes."""
    with path.open("rb") as stream:
        stream.seek(-4, os.SEEK_END)
        announced = int.from_bytes(stream.read(4), "little")
    # The count at the end is right in whole files of one part below 4 GB; only the others are read through.
    if needed <= announced <= needed + LARGEST_NIFTI_HEADER:
        return True
    total = 0
    try:
        with gzip.open(path, "rb") as unpacked:
            while part := unpacked.read(1 << 22):
                total += len(part)
    except (EOFError, OSError, zlib.error):
        return False
    return total >= needed


def _read_folder(folder: Path) -> sitk.Image:
    import SimpleITK as sitk

    reader = sitk.ImageSeriesReader()
    found = [reader.GetGDCMSeriesFileNames(str(folder), s) for s in reader.GetGDCMSeriesIDs(str(folder))]
    scans = [names for names in found if len(names) >= SLICES_OF_A_SCAN] or found
    if not scans:
        raise BadInput(f"The folder '{folder.name}' holds no DICOM images.")
    if len(scans) > 1:
        sizes = ", ".join(str(len(names)) for names in scans)
        raise BadInput(
            f"The folder '{folder.name}' holds {len(scans)} DICOM series ({sizes} images); "
            "choose a folder with one, or load the series in Slicer first."
        )
    reader.SetFileNames(scans[0])
    return reader.Execute()


def _compact(volume: Volume) -> Volume:
    """The same voxels as uint8, int16 or float32."""
    array = volume.array
    if array.dtype.kind not in "biuf":
        raise BadInput("The voxels are not plain numbers; choose a scan with one value per voxel.")
    if array.dtype in (np.uint8, np.int16, np.float32, np.bool_):
        return volume
    limits = np.iinfo(np.int16)
    fits = array.dtype.kind in "iu" and array.size and limits.min <= array.min() and array.max() <= limits.max
    return Volume(array.astype(np.int16 if fits else np.float32), volume.geometry, volume.name)


def _resampled_nearest(mask: Volume, like: Geometry) -> Volume:
    import SimpleITK as sitk

    reference = like.apply_to(sitk.Image(like.size, sitk.sitkUInt8))
    image = sitk.Resample(mask.to_sitk(), reference, sitk.Transform(), sitk.sitkNearestNeighbor, 0.0, sitk.sitkUInt8)
    return Volume(sitk.GetArrayFromImage(image).view(bool), like, mask.name)


def _reason(error: RuntimeError) -> str:
    text = str(error)
    return next((reason for word, reason in _SHORT_REASONS.items() if word in text), "it is damaged or incomplete")
