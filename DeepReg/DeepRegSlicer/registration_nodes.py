"""What a registration leaves in the scene: transform, warped image, inverse, all in one folder.

The inputs stay as they are; only a moving image without a transform of its own is put under the new one, if wanted.
Everything is made ready in steps and enters the scene in one go at the end, so that nothing is ever left half-made.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import slicer
import vtk
from DeepRegLib.errors import BadInput
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.images.volume import Volume
from DeepRegLib.job_folder import JobResult

from . import nodes
from .input_nodes import volume_in_steps
from .result_marks import (
    FIXED_TO_MOVING,
    INVERSE,
    MOVING_COPY,
    MOVING_TO_FIXED,
    WARPED,
    former_results,
    mark_result,
)
from .scene_changes import SceneChanges
from .steps import Steps
from .transform_chain import transforms_above

NEW = "new"
TransformOutput = Literal["new"] | slicer.vtkMRMLTransformNode | None
VolumeOutput = Literal["new"] | slicer.vtkMRMLScalarVolumeNode | None


@dataclass(frozen=True)
class WantedOutputs:
    """Each output is ``"new"``, a node to overwrite, or None (or False) to leave it out. An output node that left the
    scene meanwhile is replaced by a new one.

    ``place_moving_under_transform`` shows the moving image on the fixed one without resampling: the image itself is put
    under the transform when it hangs under no other, else a copy of it to which those others are applied.
    """

    transform: TransformOutput = NEW
    warped: VolumeOutput = NEW
    inverse: TransformOutput = None
    place_moving_under_transform: bool = False


@dataclass(frozen=True)
class RegistrationNodes:
    """What is in the scene afterwards. ``moved`` is the image under the transform: the moving image itself, its copy,
    or None. ``folder`` is the item of the subject hierarchy, None when every output
    was left out; ``notes`` are sentences for the user."""

    transform: slicer.vtkMRMLTransformNode | None
    warped: slicer.vtkMRMLScalarVolumeNode | None
    inverse: slicer.vtkMRMLTransformNode | None
    moved: slicer.vtkMRMLScalarVolumeNode | None
    folder: int | None
    notes: tuple[str, ...] = ()


@dataclass
class _Prepared:
    """The contents of the nodes, ready to be put into them."""

    transform: vtk.vtkAbstractTransform | None = None
    inverse: vtk.vtkAbstractTransform | None = None
    warped: tuple[vtk.vtkImageData, Geometry] | None = None
    moving_copy: tuple[vtk.vtkImageData, Geometry] | None = None
    notes: list[str] = field(default_factory=list)


def check_outputs(
    wanted: WantedOutputs, fixed: slicer.vtkMRMLScalarVolumeNode, moving: slicer.vtkMRMLScalarVolumeNode
) -> None:
    """Refuse to overwrite what the registration itself needs. Raises :class:`~DeepRegLib.errors.BadInput`."""
    if wanted.warped in (fixed, moving):
        raise BadInput(
            f"'{wanted.warped.GetName()}' is an input and cannot be overwritten by the warped image.",
            "Choose another volume, or a new one.",
        )
    if isinstance(wanted.transform, slicer.vtkMRMLNode) and wanted.transform is wanted.inverse:
        raise BadInput("Transform and inverse are the same node.", "Choose two different ones.")
    used = {*transforms_above(fixed), *transforms_above(moving, former_results(moving))}
    for output in (wanted.transform, wanted.inverse):
        if isinstance(output, slicer.vtkMRMLLinearTransformNode | slicer.vtkMRMLBSplineTransformNode):
            raise BadInput(f"'{output.GetName()}' cannot hold a deformation.", "Choose a grid transform, or a new one.")
        if output in used:
            raise BadInput(
                f"'{output.GetName()}' moves an input image and cannot be overwritten.",
                "Choose another transform, or a new one.",
            )


def add_registration_in_steps(
    scene: slicer.vtkMRMLScene,
    fixed_node: slicer.vtkMRMLScalarVolumeNode,
    moving_node: slicer.vtkMRMLScalarVolumeNode,
    result: JobResult,
    wanted: WantedOutputs,
) -> Steps[RegistrationNodes]:
    """Put the outputs of a registration into the scene.

    - transform "<moving> to <fixed>": T from fixed to moving points as transform *from parent*, with fixed and moving
      image recorded and the evidence kept as an attribute (:func:`~DeepRegSlicer.result_marks.evidence_of`);
    - warped image "<moving> warped": on the grid of the fixed image, in the world (it needs no transform even where the
      fixed image has one), shown as the moving image is;
    - "<moving> to <fixed> inverse": what goes on things of the fixed image to bring them to the moving one.

    All of them go into a folder "<moving> to <fixed>" of the subject hierarchy. When anything fails, or the steps are
    not finished, the scene is as it was before.
    """
    prepared = yield from _prepare_in_steps(scene, moving_node, result, wanted)
    with SceneChanges(scene) as changes:
        return _put_into_scene(changes, fixed_node, moving_node, result, wanted, prepared)


def _prepare_in_steps(
    scene: slicer.vtkMRMLScene, moving: slicer.vtkMRMLScalarVolumeNode, result: JobResult, wanted: WantedOutputs
) -> Steps[_Prepared]:
    prepared = _Prepared()
    if wanted.transform:
        prepared.transform = yield from nodes.grid_transform_in_steps(result.transform)
    if wanted.inverse and result.inverse is not None:
        prepared.inverse = yield from nodes.grid_transform_in_steps(result.inverse)
    if wanted.warped and result.warped is not None:
        prepared.warped = yield from _image_in_steps(result.warped)
    if wanted.transform and wanted.place_moving_under_transform and scene.IsNodePresent(moving):
        former = former_results(moving)
        others = transforms_above(moving, former)
        if others:
            copied = yield from volume_in_steps(moving, without=former)
            prepared.moving_copy = yield from _image_in_steps(copied)
            prepared.notes.append(
                f"'{moving.GetName()}' hangs under '{others[0].GetName()}'; "
                "a copy of it, with that applied, was put under the new transform."
            )
    return prepared


def _image_in_steps(volume: Volume) -> Steps[tuple[vtk.vtkImageData, Geometry]]:
    return (yield from nodes.image_data_in_steps(volume.array)), volume.geometry


def _put_into_scene(
    changes: SceneChanges,
    fixed: slicer.vtkMRMLScalarVolumeNode,
    moving: slicer.vtkMRMLScalarVolumeNode,
    result: JobResult,
    wanted: WantedOutputs,
    prepared: _Prepared,
) -> RegistrationNodes:
    pair = f"{moving.GetName()} to {fixed.GetName()}"
    transform = warped = inverse = moved = None
    if prepared.transform is not None:
        transform = changes.transform(wanted.transform, pair)
        nodes.set_transform(transform, prepared.transform)
        _record(changes.scene, transform, fixed, moving)
        mark_result(transform, FIXED_TO_MOVING, result.evidence)
    if prepared.inverse is not None:
        inverse = changes.transform(wanted.inverse, f"{pair} inverse")
        nodes.set_transform(inverse, prepared.inverse)
        inverse.SetDescription(
            "Maps points of the moving image to the fixed image. Put what belongs to the fixed image under it."
        )
        _record(changes.scene, inverse, moving, fixed)
        mark_result(inverse, MOVING_TO_FIXED, result.evidence)
    if prepared.warped is not None:
        warped = changes.volume(wanted.warped, f"{moving.GetName()} warped", like=moving)
        nodes.set_voxels(warped, *prepared.warped)
    if prepared.moving_copy is not None:
        former_copy = transform.GetNodeReference(MOVING_COPY) or NEW
        moved = changes.volume(former_copy, f"{moving.GetName()} hardened", like=moving)
        nodes.set_voxels(moved, *prepared.moving_copy)
    elif transform is not None and wanted.place_moving_under_transform and changes.scene.IsNodePresent(moving):
        moved = moving
    for role, node in ((WARPED, warped), (INVERSE, inverse), (MOVING_COPY, moved if moved is not moving else None)):
        if transform is not None:
            transform.SetNodeReferenceID(role, node.GetID() if node is not None else None)
    added = [node for node in (transform, inverse, warped, moved) if node not in (None, moving)]
    folder = changes.put_into_folder(added, transform.GetName() if transform is not None else pair) if added else None
    if moved is not None:
        changes.put_under(moved, transform)
    return RegistrationNodes(transform, warped, inverse, moved, folder, tuple(prepared.notes))


def _record(
    scene: slicer.vtkMRMLScene,
    transform: slicer.vtkMRMLTransformNode,
    mapped_from: slicer.vtkMRMLScalarVolumeNode,
    mapped_to: slicer.vtkMRMLScalarVolumeNode,
) -> None:
    """Images that left the scene while the registration ran cannot be referred to."""
    if scene.IsNodePresent(mapped_from) and scene.IsNodePresent(mapped_to):
        nodes.record_images(transform, mapped_from, mapped_to)
