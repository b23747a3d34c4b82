"""Copies of what belongs to the moving image, moved onto the fixed one by a registration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import slicer
import vtk
from DeepRegLib.errors import BadInput
from DeepRegLib.images.geometry import Geometry

from .nodes import ijk_to_ras, image_data_in_steps, set_voxels, vtk_matrix
from .resampling import LINEAR, NEAREST, ijk_to_local, lowest_in_steps, resample_in_steps, voxels_of
from .result_marks import former_results
from .scene_changes import SceneChanges
from .segments import LABELMAP, SURFACE, layers_of, surfaces_of
from .steps import Steps
from .surfaces import moved_mesh_in_steps
from .transform_chain import chain, local_to_world, simplest, transforms_above, world_to_local
from .world_grid import world_grid_in_steps

MOVABLE = "Segmentations, markups, models, label maps and volumes can be moved."
Add = Callable[[SceneChanges], slicer.vtkMRMLNode]
"""Adds what was made ready to the scene."""


@dataclass(frozen=True)
class _Move:
    """``to_fixed`` brings points of a node to world points over the fixed image, ``from_fixed`` brings them back."""

    name: str
    fixed: slicer.vtkMRMLVolumeNode | None
    to_fixed: vtk.vtkAbstractTransform
    from_fixed: vtk.vtkAbstractTransform

    def grid_in_steps(self) -> Steps[Geometry]:
        if self.fixed is None:
            raise BadInput(
                "The transform does not know its fixed image any more.",
                "Register again, or load the fixed image first.",
            )
        return (yield from world_grid_in_steps(self.fixed)).geometry


def move_in_steps(
    scene: slicer.vtkMRMLScene, node: slicer.vtkMRMLNode, transform_node: slicer.vtkMRMLTransformNode
) -> Steps[slicer.vtkMRMLNode]:
    """A copy of ``node`` in world coordinates, named "<name> moved", where ``transform_node`` moves it; what ``node``
    itself hangs under is applied first. ``node`` stays as it is.

    Label maps and segments drawn in voxels go onto the fixed image's grid by nearest neighbour, other volumes linearly;
    points of models, closed surfaces and markups are mapped one by one. Segments keep names, colours and terminology.

    A node that hangs under ``transform_node`` already is copied where it appears. Earlier results of the same moving
    image above ``node`` are passed over: they would move it twice.

    Raises :class:`~DeepRegLib.errors.BadInput` for nodes that cannot be moved, and for the fixed image.
    """
    move = _move(node, transform_node)
    add = yield from _preparation(node)(node, move)
    with SceneChanges(scene) as changes:
        moved = add(changes)
        folder = changes.folder_of(transform_node)
        if folder is not None:
            changes.put_into(folder, moved)
    return moved


def _move(node: slicer.vtkMRMLNode, transform: slicer.vtkMRMLTransformNode) -> _Move:
    if not isinstance(transform, slicer.vtkMRMLTransformNode):
        raise BadInput("Choose the transform that a registration has made.")
    fixed = transform.GetNodeReference(transform.GetFixedNodeReferenceRole())
    moving = transform.GetNodeReference(transform.GetMovingNodeReferenceRole())
    if node is None:
        raise BadInput("Choose what is to be moved.", MOVABLE)
    if node is fixed:
        raise BadInput(f"'{node.GetName()}' is the fixed image: the others are moved onto it.", MOVABLE)
    _preparation(node)
    former = former_results(moving) if isinstance(moving, slicer.vtkMRMLVolumeNode) else []
    without = [earlier for earlier in former if earlier is not transform]
    onto, back = (
        [transform.GetTransformToParent(), local_to_world(transform)],
        [
            world_to_local(transform),
            transform.GetTransformFromParent(),
        ],
    )
    if transform in transforms_above(node):
        onto, back = [], []
    return _Move(
        f"{node.GetName()} moved",
        fixed,
        simplest(chain(local_to_world(node, without), onto)),
        simplest(chain(back, world_to_local(node, without))),
    )


def _preparation(node: slicer.vtkMRMLNode) -> Callable[[slicer.vtkMRMLNode, _Move], Steps[Add]]:
    """How a node of this kind is moved."""
    if isinstance(node, slicer.vtkMRMLSegmentationNode):
        return _segmentation_in_steps
    if isinstance(node, slicer.vtkMRMLMarkupsNode):
        return _markups_in_steps
    if isinstance(node, slicer.vtkMRMLModelNode) and node.GetMesh() is not None:
        return _model_in_steps
    if isinstance(node, slicer.vtkMRMLScalarVolumeNode) and _has_movable_voxels(node):
        return _volume_in_steps
    raise BadInput(f"'{node.GetName()}' cannot be moved by a registration.", MOVABLE)


def _has_movable_voxels(node: slicer.vtkMRMLScalarVolumeNode) -> bool:
    """Tensors would have to be turned, not only brought to another place."""
    if isinstance(node, slicer.vtkMRMLTensorVolumeNode) and not isinstance(node, slicer.vtkMRMLVectorVolumeNode):
        return False
    return node.GetImageData() is not None and node.GetImageData().GetPointData().GetScalars() is not None


def _volume_in_steps(node: slicer.vtkMRMLScalarVolumeNode, move: _Move) -> Steps[Add]:
    geometry = yield from move.grid_in_steps()
    is_labels = isinstance(node, slicer.vtkMRMLLabelMapVolumeNode)
    outside = 0.0 if is_labels else (yield from lowest_in_steps(voxels_of(node.GetImageData())))
    steps = [move.from_fixed, np.linalg.inv(ijk_to_local(node))]
    interpolation = NEAREST if is_labels else LINEAR
    array = yield from resample_in_steps(node.GetImageData(), steps, geometry, interpolation, outside)
    image = yield from image_data_in_steps(array)

    def add(changes: SceneChanges) -> slicer.vtkMRMLNode:
        moved = changes.volume("new", move.name, like=node)
        set_voxels(moved, image, geometry)
        return moved

    return add


def _segmentation_in_steps(node: slicer.vtkMRMLSegmentationNode, move: _Move) -> Steps[Add]:
    ids = list(node.GetSegmentation().GetSegmentIDs())
    contents: dict[str, tuple[str, vtk.vtkDataObject]] = {}
    for layer in layers_of(node, ids):
        geometry = yield from move.grid_in_steps()
        steps = [move.from_fixed, layer.ras_to_ijk]
        array = yield from resample_in_steps(layer.image, steps, geometry, NEAREST, 0)
        image = slicer.vtkOrientedImageData()
        image.ShallowCopy((yield from image_data_in_steps(array)))
        image.SetImageToWorldMatrix(vtk_matrix(ijk_to_ras(geometry)))
        contents.update(dict.fromkeys(layer.segment_ids, (LABELMAP, image)))
    for segment_id, surface in surfaces_of(node, ids).items():
        contents[segment_id] = SURFACE, (yield from moved_mesh_in_steps(surface, move.to_fixed))

    def add(changes: SceneChanges) -> slicer.vtkMRMLNode:
        moved = changes.new_node("vtkMRMLSegmentationNode", move.name)
        moved.GetSegmentation().SetSourceRepresentationName(node.GetSegmentation().GetSourceRepresentationName())
        for segment_id in ids:
            segment = slicer.vtkSegment()
            segment.DeepCopyMetadata(node.GetSegmentation().GetSegment(segment_id))
            if segment_id in contents:
                segment.AddRepresentation(*contents[segment_id])
            moved.GetSegmentation().AddSegment(segment, segment_id)
        changes.copy_display(node, moved)
        return moved

    return add


def _model_in_steps(node: slicer.vtkMRMLModelNode, move: _Move) -> Steps[Add]:
    mesh = yield from moved_mesh_in_steps(node.GetMesh(), move.to_fixed)

    def add(changes: SceneChanges) -> slicer.vtkMRMLNode:
        moved = changes.new_node("vtkMRMLModelNode", move.name)
        moved.SetAndObserveMesh(mesh)
        changes.copy_display(node, moved)
        return moved

    return add


def _markups_in_steps(node: slicer.vtkMRMLMarkupsNode, move: _Move) -> Steps[Add]:
    yield

    def add(changes: SceneChanges) -> slicer.vtkMRMLNode:
        moved = changes.new_node(node.GetClassName(), move.name)
        moved.CopyContent(node)
        moved.ApplyTransform(move.to_fixed)  # planes and boxes know best what a bent space does to them
        changes.copy_display(node, moved)
        return moved

    return add
