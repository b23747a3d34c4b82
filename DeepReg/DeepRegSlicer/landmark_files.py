"""Landmarks from a file as a point list in the scene."""

from __future__ import annotations

from pathlib import Path

import slicer
from DeepRegLib.errors import BadLandmarks
from DeepRegLib.evidence.landmark_formats import ELASTIX_MM
from DeepRegLib.evidence.landmarks import read_landmarks

from .input_nodes import volume_in_steps
from .nodes import add_landmarks, mark_as_landmarks
from .result import FIXED_COLOUR
from .steps import finish
from .transform_chain import transforms_above

MARKUPS_ENDINGS = (".json", ".fcsv")
VOXEL_LIST_ENDING = ".txt"


def load_landmarks(
    scene: slicer.vtkMRMLScene,
    path: str | Path,
    image: slicer.vtkMRMLScalarVolumeNode | None = None,
    colour: tuple[float, float, float] = FIXED_COLOUR,
) -> slicer.vtkMRMLMarkupsFiducialNode:
    """A locked point list with the landmarks of a file: .mrk.json, .fcsv, .csv (LPS mm, or RAS when its columns say
    so), or .txt (voxels counted from 1 as DIR-Lab has them, or a list of elastix).

    ``image`` is the one that the landmarks were placed in; lists of voxels need it. A list of voxels hangs under the
    same transform as its image; all others are world coordinates. In the application markups are loaded by 3D Slicer
    itself, so that it knows where to save them again.

    Raises :class:`~DeepRegLib.errors.BadLandmarks`; the sentence names the file and the row.
    """
    path = Path(path).expanduser()
    voxels = image is not None and _lists_voxels(path)
    volume = finish(volume_in_steps(image, without=transforms_above(image))) if voxels else None
    landmarks = read_landmarks(path, volume)
    if path.suffix.lower() in MARKUPS_ENDINGS and hasattr(slicer, "app") and scene is slicer.mrmlScene:
        node = _through_slicer(scene, path)
        mark_as_landmarks(node, colour)
    else:
        node = add_landmarks(scene, landmarks, scene.GenerateUniqueName(_name(path)), colour)
    if voxels:
        node.SetAndObserveTransformNodeID(image.GetTransformNodeID())
    return node


def _through_slicer(scene: slicer.vtkMRMLScene, path: Path) -> slicer.vtkMRMLMarkupsFiducialNode:
    try:
        loaded = slicer.util.loadMarkups(str(path))
    except RuntimeError as error:
        raise BadLandmarks(f"3D Slicer cannot load the landmark file '{path.name}'.") from error
    found = loaded if isinstance(loaded, list) else [loaded]
    if len(found) == 1 and isinstance(found[0], slicer.vtkMRMLMarkupsFiducialNode):
        return found[0]
    for node in found:
        scene.RemoveNode(node)
    raise BadLandmarks(
        f"The file '{path.name}' does not hold one point list.", "Save the points as a list of their own."
    )


def _lists_voxels(path: Path) -> bool:
    if path.suffix.lower() != VOXEL_LIST_ENDING or not path.is_file():
        return False
    with path.open(encoding="utf-8", errors="replace") as file:
        return not file.readline().lower().startswith(ELASTIX_MM)


def _name(path: Path) -> str:
    """The name of the file without its ending, which may have two parts."""
    return path.name.removesuffix(".mrk.json") if path.name.endswith(".mrk.json") else path.stem
