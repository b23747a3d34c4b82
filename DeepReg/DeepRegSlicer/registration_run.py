"""What becomes of a registration in the scene."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import slicer
from DeepRegLib.errors import BadInput
from DeepRegLib.job_folder import JobResult

from .registration_nodes import RegistrationNodes, add_registration_in_steps
from .request import Request
from .result_marks import mark_control_points, notes_on_earlier_results
from .steps import Steps


@dataclass(frozen=True)
class Finished:
    """The nodes of a registration, its evidence, notes for the user in sentences, and the folder of the report, if one
    was asked for."""

    nodes: RegistrationNodes
    evidence: dict[str, Any]
    notes: tuple[str, ...] = ()
    report_folder: Path | None = None

    @property
    def transform(self) -> slicer.vtkMRMLTransformNode | None:
        """Maps fixed to moving points; None when it was left out."""
        return self.nodes.transform

    @property
    def warped(self) -> slicer.vtkMRMLScalarVolumeNode | None:
        """The moving image on the grid of the fixed one; None when it was left out."""
        return self.nodes.warped

    @property
    def inverse(self) -> slicer.vtkMRMLTransformNode | None:
        """Maps moving to fixed points; None when it was not asked for."""
        return self.nodes.inverse


def put_result_in_steps(scene: slicer.vtkMRMLScene, request: Request, result: JobResult) -> Steps[Finished]:
    """The result of ``request`` as nodes of the scene.

    Raises :class:`~DeepRegLib.errors.BadInput` when an input was removed while the registration ran: there is nothing
    left that the result belongs to.
    """
    if not all(scene.IsNodePresent(node) for node in (request.fixed, request.moving)):
        raise BadInput("An input image was removed while the registration ran; its result was dropped.")
    earlier = notes_on_earlier_results(request.fixed, request.moving)
    nodes = yield from add_registration_in_steps(scene, request.fixed, request.moving, result, request.wanted)
    if nodes.transform is not None and result.control_displacements is not None:
        mark_control_points(nodes.transform, result.control_displacements)
    notes = (*earlier, request.landmark_problem(), *nodes.notes)
    return Finished(nodes, result.evidence, tuple(note for note in notes if note))
