"""What is noted on the nodes of a registration, so that later runs and reopened scenes know them again."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import numpy as np
import slicer
from DeepRegLib.errors import BadInput
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.transforms.displacement_field import DisplacementField

from .transform_chain import transforms_above

KIND = "DeepReg.Kind"
"""Attribute of a transform node: what it maps."""
FIXED_TO_MOVING, MOVING_TO_FIXED = "fixed to moving", "moving to fixed"
EVIDENCE = "DeepReg.Evidence"
"""Attribute of a transform node: the evidence of the registration as JSON text, saved with the scene."""
CONTROL_POINTS = "DeepReg.ControlPoints"
"""Attribute of the transform node: displacements at the nodes of a spline grid, as JSON text."""
WARPED, INVERSE, MOVING_COPY = "DeepReg.Warped", "DeepReg.Inverse", "DeepReg.MovingCopy"
"""Roles of the nodes that the transform node refers to."""


def mark_result(transform: slicer.vtkMRMLTransformNode, kind: str, evidence: dict[str, Any]) -> None:
    """Note on a transform node what it maps (``FIXED_TO_MOVING`` or ``MOVING_TO_FIXED``) and how well."""
    transform.SetAttribute(KIND, kind)
    transform.SetAttribute(EVIDENCE, json.dumps(evidence))


def evidence_of(transform: slicer.vtkMRMLTransformNode) -> dict[str, Any] | None:
    """The evidence of the registration that made the node; None for other transforms and damaged notes."""
    try:
        found = json.loads(transform.GetAttribute(EVIDENCE) or "null")
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def former_results(moving: slicer.vtkMRMLVolumeNode) -> list[slicer.vtkMRMLTransformNode]:
    """The results of earlier registrations of this moving image. Whatever belongs to the moving image and hangs under
    one of them is already moved; a new registration starts from where it was before.

    A result of another image above ``moving`` is not among them: somebody put ``moving`` there on purpose.
    """
    return [node for node in _results_in(moving.GetScene()) if _moves(node, moving)]


def _results_in(scene: slicer.vtkMRMLScene | None) -> list[slicer.vtkMRMLTransformNode]:
    kind = "vtkMRMLTransformNode"
    count = 0 if scene is None else scene.GetNumberOfNodesByClass(kind)
    nodes = (scene.GetNthNodeByClass(k, kind) for k in range(count))
    return [node for node in nodes if node.GetAttribute(KIND) == FIXED_TO_MOVING]


def _moves(transform: slicer.vtkMRMLTransformNode, volume: slicer.vtkMRMLVolumeNode) -> bool:
    roles = (transform.GetMovingNodeReferenceRole(), MOVING_COPY)
    return any(transform.GetNodeReference(role) is volume for role in roles)


def notes_on_earlier_results(fixed: slicer.vtkMRMLVolumeNode, moving: slicer.vtkMRMLVolumeNode) -> tuple[str, ...]:
    """Sentences for the user where an image hangs under the result of an earlier run of its own.

    The moving image is registered as it was before that. The fixed one is used as it appears, for everything is moved
    to where it is seen; that is hardly meant after the roles of the images were swapped.
    """
    notes = []
    if (name := _earlier_result_above(moving)) is not None:
        notes.append(
            f"'{moving.GetName()}' is under the earlier result '{name}'; it is registered as it was before that."
        )
    if (name := _earlier_result_above(fixed)) is not None:
        notes.append(
            f"'{fixed.GetName()}' is used as it appears under the earlier result '{name}'; "
            "take it out of that transform to use the original image."
        )
    return tuple(notes)


def _earlier_result_above(volume: slicer.vtkMRMLVolumeNode) -> str | None:
    former = former_results(volume)
    return next((above.GetName() for above in transforms_above(volume) if above in former), None)


def mark_control_points(transform: slicer.vtkMRMLTransformNode, control: DisplacementField) -> None:
    """Note the displacements (mm) at the control points of the method on the node; some hundred numbers."""
    geometry = asdict(control.geometry)
    transform.SetAttribute(
        CONTROL_POINTS, json.dumps({"geometry": geometry, "displacements": control.array.round(4).tolist()})
    )


def control_points_of(transform: slicer.vtkMRMLTransformNode) -> DisplacementField | None:
    """The displacements at the control points; None for results of methods without any, and for damaged notes."""
    try:
        noted = json.loads(transform.GetAttribute(CONTROL_POINTS) or "null")
        if noted is None:
            return None
        return DisplacementField(np.array(noted["displacements"], np.float32), Geometry(**noted["geometry"]))
    except (ValueError, KeyError, TypeError, BadInput):
        return None


def belongs_to_other_images(
    output: slicer.vtkMRMLNode, fixed: slicer.vtkMRMLVolumeNode | None, moving: slicer.vtkMRMLVolumeNode | None
) -> bool:
    """Whether a transform or warped image is the result of a registration of other images than these two."""
    for transform in _results_in(output.GetScene()):
        if output in (transform, *(transform.GetNodeReference(role) for role in (WARPED, INVERSE))):
            of_fixed = transform.GetNodeReference(transform.GetFixedNodeReferenceRole())
            of_moving = transform.GetNodeReference(transform.GetMovingNodeReferenceRole())
            return (of_fixed, of_moving) != (fixed, moving)
    return False
