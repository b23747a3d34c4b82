"""A pair of scans from disk into a scene: both images, their regions and their landmarks.

Raw scans of DIR-Lab are read by :mod:`DeepRegLib.datasets`. Image files are loaded by 3D Slicer itself, so that it
knows where they come from; outside the application by the library.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import slicer
from DeepRegLib.datasets.description import FILES, PairDescription, ScanSource
from DeepRegLib.datasets.load_pair import describe_pair, load_described_in_steps, read_landmarks_of
from DeepRegLib.datasets.sample_pairs import ROLES, SamplePair, load_sample_in_steps
from DeepRegLib.datasets.scan_pair import ScanPair
from DeepRegLib.errors import BadInput
from DeepRegLib.evidence.landmarks import Landmarks, check_landmark_pair
from DeepRegLib.images.read import read_volume
from DeepRegLib.images.volume import Volume

from . import nodes
from .input_nodes import check_volume_node, volume_in_steps
from .result import FIXED_COLOUR, MOVING_COLOUR
from .scene_changes import SceneChanges
from .steps import Steps

ONE_FILE_NOT_SHOWN = {"singleFile": True, "show": False}
"""Without the first, 3D Slicer takes numbered files in a folder for the slices of one scan."""


@dataclass(frozen=True)
class PairNodes:
    """The nodes of a pair; masks are label maps. What the pair does not have is None. ``notes`` are sentences about
    choices that were made for the user, such as which scan is the fixed one."""

    fixed: slicer.vtkMRMLScalarVolumeNode
    moving: slicer.vtkMRMLScalarVolumeNode
    fixed_mask: slicer.vtkMRMLLabelMapVolumeNode | None
    moving_mask: slicer.vtkMRMLLabelMapVolumeNode | None
    fixed_landmarks: slicer.vtkMRMLMarkupsFiducialNode | None
    moving_landmarks: slicer.vtkMRMLMarkupsFiducialNode | None
    name: str
    notes: tuple[str, ...]


def load_pair_nodes_in_steps(scene: slicer.vtkMRMLScene, folder: str | Path, **choices: Any) -> Steps[PairNodes]:
    """Add what ``folder`` holds to the scene; ``choices`` are those of
    :func:`~DeepRegLib.datasets.load_pair.describe_pair`.

    Raises what that raises, and :class:`~DeepRegLib.errors.BadInput` and its siblings for files that cannot be used;
    then, and when the steps are not finished, the scene is as it was before.
    """
    description = describe_pair(folder, **choices)
    yield
    if description.kind == FILES and _is_of_application(scene):
        return (yield from _load_files_in_steps(scene, description))
    pair = yield from load_described_in_steps(description)
    return (yield from _add_pair_in_steps(scene, pair))


def load_sample_nodes_in_steps(
    scene: slicer.vtkMRMLScene, sample: SamplePair, folder: str | Path | None = None
) -> Steps[PairNodes]:
    """Add a sample pair, whose downloaded files lie in ``folder``, to the scene; see
    :func:`~DeepRegLib.datasets.sample_pairs.load_sample_in_steps`."""
    pair = yield from load_sample_in_steps(sample, folder)
    return (yield from _add_pair_in_steps(scene, pair))


def _is_of_application(scene: slicer.vtkMRMLScene) -> bool:
    """The loaders of 3D Slicer put nodes into the scene of the application, and nowhere else."""
    return hasattr(slicer, "app") and scene is slicer.mrmlScene


def _add_pair_in_steps(scene: slicer.vtkMRMLScene, pair: ScanPair) -> Steps[PairNodes]:
    with SceneChanges(scene) as changes:
        scans, masks = [], []
        for scan in (pair.fixed, pair.moving):
            scans.append((yield from _add_scan_in_steps(changes, scan, scan.name)))
        for mask, node in zip((pair.fixed_mask, pair.moving_mask), scans, strict=True):
            masks.append(None if mask is None else (yield from _add_mask_in_steps(changes, mask, node)))
        points = _add_landmarks(changes, scans, (pair.fixed_landmarks, pair.moving_landmarks))
        return PairNodes(*scans, *masks, *points, name=pair.name, notes=pair.notes)


def _load_files_in_steps(scene: slicer.vtkMRMLScene, description: PairDescription) -> Steps[PairNodes]:
    """Through 3D Slicer's own readers; a file is one step."""
    sources = (description.fixed, description.moving)
    with SceneChanges(scene) as changes:
        scans, masks, images = [], [], []
        for source, role in zip(sources, ROLES, strict=True):
            scans.append((yield from _load_scan_in_steps(changes, source)))
            check_volume_node(scans[-1], role)
            images.append((yield from volume_in_steps(scans[-1])))
        for source, node in zip(sources, scans, strict=True):
            masks.append(None if source.mask is None else (yield from _load_mask_in_steps(changes, source.mask, node)))
        landmarks = tuple(read_landmarks_of(source, image) for source, image in zip(sources, images, strict=True))
        if None not in landmarks:
            check_landmark_pair(*landmarks, *(image.geometry for image in images))
        points = _add_landmarks(changes, scans, landmarks)
        return PairNodes(*scans, *masks, *points, name=description.name, notes=description.notes)


def _load_scan_in_steps(changes: SceneChanges, source: ScanSource) -> Steps[slicer.vtkMRMLScalarVolumeNode]:
    if source.image.is_dir():  # a DICOM series; 3D Slicer would take it through its database
        volume = read_volume(source.image)
        yield
        return (yield from _add_scan_in_steps(changes, volume, source.name))
    return (yield from _load_file_in_steps(changes, slicer.util.loadVolume, source.image, source.name))


def _load_mask_in_steps(
    changes: SceneChanges, path: Path, scan: slicer.vtkMRMLScalarVolumeNode
) -> Steps[slicer.vtkMRMLLabelMapVolumeNode]:
    if path.is_dir():
        volume = read_volume(path)
        yield
        return (yield from _add_mask_in_steps(changes, volume, scan))
    return (yield from _load_file_in_steps(changes, slicer.util.loadLabelVolume, path, _mask_name(scan)))


def _load_file_in_steps(
    changes: SceneChanges, load: Callable[[str, dict[str, Any]], slicer.vtkMRMLNode], path: Path, name: str
) -> Steps[slicer.vtkMRMLVolumeNode]:
    try:
        node = load(str(path), {"name": name, **ONE_FILE_NOT_SHOWN})  # Slicer itself makes the name unique
    except RuntimeError as error:
        raise BadInput(f"'{path.name}' cannot be read as an image: it is damaged or of an unknown format.") from error
    changes.adopt(node)
    yield
    return node


def _add_scan_in_steps(changes: SceneChanges, scan: Volume, name: str) -> Steps[slicer.vtkMRMLScalarVolumeNode]:
    unique = changes.scene.GenerateUniqueName(name)
    return changes.adopt((yield from nodes.add_volume_in_steps(changes.scene, scan, unique)))


def _add_mask_in_steps(
    changes: SceneChanges, mask: Volume, scan: slicer.vtkMRMLScalarVolumeNode
) -> Steps[slicer.vtkMRMLLabelMapVolumeNode]:
    image = yield from nodes.image_data_in_steps(mask.array)
    node = changes.new_node("vtkMRMLLabelMapVolumeNode", _mask_name(scan))
    nodes.set_voxels(node, image, mask.geometry)
    node.CreateDefaultDisplayNodes()
    return node


def _add_landmarks(
    changes: SceneChanges,
    scans: Sequence[slicer.vtkMRMLScalarVolumeNode],
    landmarks: Sequence[Landmarks | None],
) -> list[slicer.vtkMRMLMarkupsFiducialNode | None]:
    """Red points in the fixed, green ones in the moving scan."""
    added = []
    for scan, points, colour in zip(scans, landmarks, (FIXED_COLOUR, MOVING_COLOUR), strict=True):
        name = f"{scan.GetName()} landmarks"
        node = None if points is None else nodes.add_landmarks(changes.scene, points, name, colour)
        added.append(node if node is None else changes.adopt(node))
    return added


def _mask_name(scan: slicer.vtkMRMLScalarVolumeNode) -> str:
    return f"{scan.GetName()} mask"
