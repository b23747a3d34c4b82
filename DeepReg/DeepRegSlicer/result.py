"""A whole registration result in an MRML scene."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import slicer
from DeepRegLib.evidence.landmarks import Landmarks
from DeepRegLib.images.volume import Volume
from DeepRegLib.transforms.displacement_field import DisplacementField

from . import nodes
from .deformation_grid import add_deformation_grid
from .landmark_table import LandmarkErrors, write_table

TRANSFORM_NAME = "fixed to moving"
GRID_NAME = "deformation grid"
ERRORS_NAME = "landmark errors"
FIXED_COLOUR = (1.0, 0.1, 0.1)
"""Fixed landmarks are red ..."""
MOVING_COLOUR = (0.1, 0.9, 0.1)
"""... and the moving ones green."""
MAXIMUM_TRANSFORM_VALUES = 50_000_000
"""A field of more numbers than this is put on a coarser grid: 3D Slicer stores 8 bytes for each (here 400 MB)."""


class RegistrationResult(Protocol):
    """What a scene is made from: both images, the warped moving image if there is one, the whole map
    T(x) = x + u(x) from fixed to moving points, and landmark pairs if there are any."""

    @property
    def fixed(self) -> Volume: ...

    @property
    def moving(self) -> Volume: ...

    @property
    def warped(self) -> Volume | None: ...

    @property
    def transform(self) -> DisplacementField: ...

    @property
    def fixed_landmarks(self) -> Landmarks | None: ...

    @property
    def moving_landmarks(self) -> Landmarks | None: ...


@dataclass(frozen=True)
class ResultNodes:
    """The nodes that show one registration."""

    fixed: slicer.vtkMRMLScalarVolumeNode
    moving: slicer.vtkMRMLScalarVolumeNode
    warped: slicer.vtkMRMLScalarVolumeNode | None
    transform: slicer.vtkMRMLGridTransformNode
    deformation: slicer.vtkMRMLGridTransformNode
    fixed_landmarks: slicer.vtkMRMLMarkupsFiducialNode | None
    moving_landmarks: slicer.vtkMRMLMarkupsFiducialNode | None
    errors: slicer.vtkMRMLTableNode | None


def add_result(scene: slicer.vtkMRMLScene, registration: RegistrationResult) -> ResultNodes:
    """Add a registration to a scene (``slicer.mrmlScene`` in the application).

    The moving image and the moving landmarks hang under the transform node, so that both appear where the fixed ones
    are: the distance from a green to its red point is the residual, seen in the fixed image. (3D Slicer inverts T for
    that, to 0.01 mm; the table of errors is computed forward, without an inverse.)

    A field of more than ``MAXIMUM_TRANSFORM_VALUES`` values is put on a coarser grid. Raises
    :class:`~DeepRegLib.errors.BadLandmarks` when fixed and moving landmarks are not pairs.
    """
    fixed = nodes.add_volume(scene, registration.fixed, _node_name(registration.fixed, "fixed"))
    moving = nodes.add_volume(scene, registration.moving, _node_name(registration.moving, "moving"))
    warped = None
    if registration.warped is not None:
        warped = nodes.add_volume(scene, registration.warped, _node_name(registration.moving, "warped"))

    transform = nodes.add_transform(scene, _of_storable_size(registration.transform), TRANSFORM_NAME)
    nodes.record_images(transform, fixed, moving)
    deformation = add_deformation_grid(scene, registration.transform, fixed, GRID_NAME)
    moving.SetAndObserveTransformNodeID(transform.GetID())

    fixed_landmarks = moving_landmarks = errors = None
    if registration.fixed_landmarks is not None:
        fixed_landmarks = nodes.add_landmarks(scene, registration.fixed_landmarks, "fixed landmarks", FIXED_COLOUR)
    if registration.moving_landmarks is not None:
        moving_landmarks = nodes.add_landmarks(scene, registration.moving_landmarks, "moving landmarks", MOVING_COLOUR)
        moving_landmarks.GetDisplayNode().SetPointLabelsVisibility(False)  # the fixed ones carry the same labels
        moving_landmarks.SetAndObserveTransformNodeID(transform.GetID())
    if registration.fixed_landmarks is not None and registration.moving_landmarks is not None:
        errors = scene.AddNewNodeByClass("vtkMRMLTableNode", ERRORS_NAME)
        write_table(
            errors,
            LandmarkErrors.of(
                registration.fixed_landmarks,
                registration.moving_landmarks,
                registration.transform,
                registration.moving.geometry,
            ),
        )
    return ResultNodes(fixed, moving, warped, transform, deformation, fixed_landmarks, moving_landmarks, errors)


def _node_name(volume: Volume, role: str) -> str:
    """The role of an image in the registration, with its own name if it has one."""
    return role if volume.name in ("", role) else f"{volume.name} ({role})"


def _of_storable_size(field: DisplacementField) -> DisplacementField:
    """The field itself, or the same map on a grid that is coarser by one factor along all axes."""
    if field.array.size <= MAXIMUM_TRANSFORM_VALUES:
        return field
    factor = (field.array.size / MAXIMUM_TRANSFORM_VALUES) ** (1 / 3)
    geometry = field.geometry.with_spacing(tuple(factor * np.array(field.geometry.spacing)))
    return DisplacementField(field.at(geometry.points()).astype(np.float32), geometry)
