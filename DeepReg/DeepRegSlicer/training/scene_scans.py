"""Volumes of the scene as scans on the disk, so that a run outlives the scene."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import slicer
from DeepRegLib.errors import BadInput
from DeepRegLib.files import cannot_write
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.images.volume import Volume

from ..input_nodes import check_volume_node, volume_in_steps
from ..pacing import paced_steps
from ..steps import Steps
from ..transform_chain import transforms_above

FOLDER_NAME = "scans of the scene"
"""In the output folder; each set of volumes gets a numbered folder of this name."""
ENDING = ".mha"
"""Header and voxels in one file, written as it goes: compression would take seconds a volume."""
ELEMENT_TYPES = {"int16": "MET_SHORT", "uint8": "MET_UCHAR", "float32": "MET_FLOAT"}
NOT_IN_A_NAME = re.compile(r"[^\w.+-]+")


def write_scans_in_steps(nodes: Sequence[slicer.vtkMRMLScalarVolumeNode], folder: Path) -> Steps[Path]:
    """Write ``nodes`` into a new folder below ``folder``, which is returned, as they lie in the world.

    Raises :class:`~DeepRegLib.errors.BadInput` for a node that is no scan, before anything is written, and
    :class:`~DeepRegLib.errors.OutputProblem` when the disk is full or protected.
    """
    for node in nodes:
        check_volume_node(node, "chosen")
    target = _new_folder(folder)
    try:
        for node, name in zip(nodes, file_names(node.GetName() for node in nodes), strict=True):
            volume = yield from volume_in_steps(node)
            yield from _write_in_steps(target / name, volume)
    except BaseException:  # also when it is cancelled: half of the scans would be taken for all of them
        shutil.rmtree(target, ignore_errors=True)
        raise
    return target


def file_names(names: Iterable[str]) -> list[str]:
    """Names of files for names of nodes, no two alike.

    >>> file_names(["4: Thorax / inhale", "CT", "CT"])
    ['4_Thorax_inhale.mha', 'CT.mha', 'CT_2.mha']
    """
    found: list[str] = []
    for name in names:
        stem = NOT_IN_A_NAME.sub("_", name).strip("._") or "scan"
        made, number = f"{stem}{ENDING}", 2
        while made.lower() in (other.lower() for other in found):
            made, number = f"{stem}_{number}{ENDING}", number + 1
        found.append(made)
    return found


def state_of(nodes: Iterable[slicer.vtkMRMLScalarVolumeNode]) -> tuple[object, ...]:
    """Changes when a volume, its name or what it hangs under changes."""
    return tuple(_state_of(node) for node in nodes)


def _state_of(node: slicer.vtkMRMLScalarVolumeNode) -> tuple[object, ...]:
    image = node.GetImageData()
    above = (part for node in transforms_above(node) for part in (node.GetID(), node.GetTransformToWorldMTime()))
    return node.GetID(), node.GetName(), node.GetMTime(), image.GetMTime() if image is not None else 0, *above


def _new_folder(folder: Path) -> Path:
    number = 1
    while True:
        target = folder / (FOLDER_NAME if number == 1 else f"{FOLDER_NAME} {number}")
        try:
            target.mkdir(parents=True)
        except FileExistsError:
            if folder.exists() and not folder.is_dir():
                raise BadInput(f"'{folder}' is a file.", "Choose another output folder.") from None
            number += 1
        except OSError as error:
            raise cannot_write(target, error.strerror or str(error)) from error
        else:
            return target


def _write_in_steps(path: Path, volume: Volume) -> Steps[None]:
    array, kind = volume.array, (yield from _stored_type_in_steps(volume.array))
    try:
        with path.open("wb") as file:
            file.write(_header(kind, volume.geometry).encode("ascii"))

            def write(start: int, stop: int) -> None:
                file.write(np.ascontiguousarray(array[start:stop], kind).data)

            yield from paced_steps(write, len(array), 1)
    except OSError as error:
        raise cannot_write(path, error.strerror or str(error)) from error


def _stored_type_in_steps(array: np.ndarray) -> Steps[np.dtype]:
    """The type itself where the file and the training have it; 16 bits for whole numbers that fit, else float."""
    if array.dtype.name in ELEMENT_TYPES:
        return array.dtype
    if array.dtype.kind not in "iu":
        return np.dtype(np.float32)
    limits = np.iinfo(np.int16)
    fits = []

    def look(start: int, stop: int) -> None:
        part = array[start:stop]
        fits.append(part.min() >= limits.min and part.max() <= limits.max)

    yield from paced_steps(look, len(array), 1)
    return np.dtype(np.int16 if all(fits) else np.float32)


def _header(kind: np.dtype, geometry: Geometry) -> str:
    """MetaImage has the axes of the grid in its rows."""
    words = {
        "ObjectType": "Image",
        "NDims": "3",
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": "False",
        "CompressedData": "False",
        "TransformMatrix": _numbers(geometry.axes.T.ravel()),
        "Offset": _numbers(geometry.origin),
        "CenterOfRotation": "0 0 0",
        "ElementSpacing": _numbers(geometry.spacing),
        "DimSize": " ".join(map(str, geometry.size)),
        "ElementType": ELEMENT_TYPES[kind.name],
        "ElementDataFile": "LOCAL",
    }
    return "".join(f"{name} = {value}\n" for name, value in words.items())


def _numbers(values: Iterable[float]) -> str:
    return " ".join(f"{value:.17g}" for value in values)
