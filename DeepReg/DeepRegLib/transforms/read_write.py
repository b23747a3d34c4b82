"""Transforms as files that 3D Slicer, ITK, elastix and ANTs read and write.

``.h5`` and ``.tfm`` hold ITK transforms, ``.nrrd``, ``.mha`` and ``.nii.gz`` images of displacements; all of them LPS
mm and in the sense fixed to moving. In 3D Slicer such a file is a transform *from parent*: put it on the moving image.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import BadInput
from ..files import cannot_write, whole_file
from ..images.geometry import Geometry
from .displacement_field import DisplacementField
from .linear import LinearTransform

if TYPE_CHECKING:
    import SimpleITK as sitk

TRANSFORM_FILES = (".h5", ".hdf5", ".tfm", ".txt", ".mat")
FIELD_FILES = (".nrrd", ".nhdr", ".mha", ".mhd", ".nii", ".nii.gz")
WRITABLE = (".h5", ".tfm", ".nrrd", ".mha", ".nii", ".nii.gz")
"""One file each: what is split into header and voxels cannot be replaced as a whole."""
BYTES_PER_VOXEL = {".h5": 24, ".tfm": 24}
"""Size of a file for the check of the room on the disk; others are compressed. (ITK's writer of .h5 does report a full
disk, but the process may crash on leaving.)"""
SILENT_WHEN_FULL = (".tfm", ".nii", ".nii.gz")
"""Formats whose writers leave half a file on a full disk and report success; these are read back."""
SENSE_KEY = "displacement field type"
"""Key by which 3D Slicer (from 5.10) tells apart the two senses of a .nrrd: "resampling" (fixed to moving, ours) and
"modeling" (moving to fixed)."""


def write_transform(path: str | os.PathLike, transform: DisplacementField | LinearTransform) -> None:
    """Write a transform; the name decides the format: .h5 or .tfm for any transform, .nrrd, .mha, .nii or .nii.gz for a
    displacement field.

    Transform files hold double precision and are not compressed (24 bytes a voxel); images of displacements hold single
    precision. For exchange prefer .h5 and .nrrd: NIfTI has two conventions for the signs of displacements.

    Raises :class:`~DeepRegLib.errors.BadInput` for other names and :class:`~DeepRegLib.errors.OutputProblem` when the
    file cannot be written; then nothing is left behind, and an older file stays as it was.
    """
    import SimpleITK as sitk

    path = Path(path)
    kind = _extension(path)
    if kind not in WRITABLE:
        raise BadInput(f"A transform cannot be written as '{path.name}'; choose one of {', '.join(WRITABLE)}.")
    if isinstance(transform, LinearTransform) and kind in FIELD_FILES:
        raise BadInput(f"A linear transform has no displacement image; write '{path.name}' as .h5 or .tfm.")
    with whole_file(path, _expected_bytes(kind, transform)) as temporary:
        try:
            if isinstance(transform, DisplacementField) and kind in FIELD_FILES:
                _write_field_image(temporary, transform)
            else:
                sitk.WriteTransform(_to_itk(transform), str(temporary))
        except RuntimeError as error:
            raise cannot_write(path) from error
        if kind in SILENT_WHEN_FULL and not _reads_back(temporary, transform):
            raise cannot_write(path, "not all of it arrived on the disk")


def read_transform(path: str | os.PathLike, reference: Geometry | None = None) -> DisplacementField:
    """A transform file as a displacement field.

    Displacement fields come as they are, on their own grid. All others (linear, B-spline, composite) are evaluated on
    ``reference``, the grid of the fixed image. Raises :class:`~DeepRegLib.errors.BadInput` when the file is missing, is
    not a transform of space, or needs a reference that is not given.
    """
    path = Path(path)
    kind = _extension(path)
    if kind in FIELD_FILES:
        return _read_field_image(path)
    transform = _read_itk(path, kind)
    if transform.GetName() == "DisplacementFieldTransform":
        import SimpleITK as sitk

        return DisplacementField.from_sitk(sitk.DisplacementFieldTransform(transform).GetDisplacementField())
    if reference is None:
        raise BadInput(
            f"'{path.name}' holds a {transform.GetName()}, which has no grid; name the fixed image as the reference."
        )
    return _evaluated(transform, reference)


def read_linear_transform(path: str | os.PathLike) -> LinearTransform:
    """A rigid, similarity or affine transform file (.h5, .tfm, .txt, .mat), for example a pre-alignment.

    Raises :class:`~DeepRegLib.errors.BadInput` when the file is missing or holds a transform that bends space.
    """
    path = Path(path)
    transform = _read_itk(path, _extension(path))
    if not transform.IsLinear():
        raise BadInput(f"'{path.name}' holds a {transform.GetName()}, not a linear transform.")
    origin = np.array(transform.TransformPoint((0.0, 0.0, 0.0)))
    columns = [np.array(transform.TransformPoint(tuple(axis))) - origin for axis in np.eye(3)]
    return LinearTransform(np.stack(columns, axis=1), origin)


def _extension(path: Path) -> str:
    name = path.name.lower()
    return ".nii.gz" if name.endswith(".nii.gz") else Path(name).suffix


def _read_itk(path: Path, kind: str) -> sitk.Transform:
    import SimpleITK as sitk

    if kind not in TRANSFORM_FILES:
        raise BadInput(f"'{path.name}' is not a transform file ({', '.join((*TRANSFORM_FILES, *FIELD_FILES))}).")
    if not path.is_file():
        raise BadInput(f"There is no file '{path}'.")
    try:
        transform = sitk.ReadTransform(str(path))
    except RuntimeError as error:
        raise BadInput(
            f"'{path.name}' cannot be read as a transform.",
            "A thin-plate spline or an inverse transform of 3D Slicer has to be converted to a grid transform first.",
        ) from error
    if transform.GetDimension() != 3:
        raise BadInput(f"'{path.name}' is a transform of the plane; a transform of space is needed.")
    transform = transform.Downcast()
    while transform.GetName() == "CompositeTransform" and transform.GetNumberOfTransforms() == 1:
        transform = transform.GetNthTransform(0).Downcast()
    return transform


def _read_field_image(path: Path) -> DisplacementField:
    import SimpleITK as sitk

    if not path.is_file():
        raise BadInput(f"There is no file '{path}'.")
    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        raise BadInput(f"'{path.name}' cannot be read as an image of displacements.") from error
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 3:
        raise BadInput(f"'{path.name}' is an image, but not one of displacements: those have three values per voxel.")
    if image.HasMetaDataKey(SENSE_KEY) and image.GetMetaData(SENSE_KEY) == "modeling":
        raise BadInput(
            f"'{path.name}' maps the moving to the fixed image; a transform in the sense fixed to moving is needed.",
            "In 3D Slicer, invert the transform and save it again.",
        )
    return DisplacementField.from_sitk(image)


def _write_field_image(path: Path, field: DisplacementField) -> None:
    import SimpleITK as sitk

    image = field.geometry.apply_to(sitk.GetImageFromArray(field.array, isVector=True))
    if path.suffix.lower() == ".nrrd":
        image.SetMetaData(SENSE_KEY, "resampling")
    sitk.WriteImage(image, str(path), useCompression=True)


def _to_itk(transform: DisplacementField | LinearTransform) -> sitk.Transform:
    import SimpleITK as sitk

    if isinstance(transform, DisplacementField):
        return transform.to_sitk_transform()
    affine = sitk.AffineTransform(3)
    affine.SetMatrix(transform.matrix.ravel().tolist())
    affine.SetTranslation(transform.translation.tolist())
    return affine


def _expected_bytes(kind: str, transform: DisplacementField | LinearTransform) -> int:
    voxels = transform.geometry.voxel_count if isinstance(transform, DisplacementField) else 0
    return BYTES_PER_VOXEL.get(kind, 0) * voxels


def _reads_back(path: Path, transform: DisplacementField | LinearTransform) -> bool:
    """Whether the file holds the whole transform, to the rounding of its format."""
    try:
        if isinstance(transform, LinearTransform):
            return np.allclose(read_linear_transform(path).matrix, transform.matrix)
        return np.allclose(read_transform(path).array, transform.array, atol=1e-4)
    except BadInput:
        return False


def _evaluated(transform: sitk.Transform, reference: Geometry) -> DisplacementField:
    import SimpleITK as sitk

    image = sitk.TransformToDisplacementField(
        transform, sitk.sitkVectorFloat32, reference.size, reference.origin, reference.spacing, reference.direction
    )
    return DisplacementField.from_sitk(image)
