"""What is to be registered: nodes of the scene and options, checked, and turned into a job for the registrator."""

from __future__ import annotations

from dataclasses import dataclass, field

import slicer
from DeepRegLib.errors import BadInput, DeepRegError
from DeepRegLib.evidence.landmarks import Landmarks
from DeepRegLib.job_folder import Job, JobOptions

from .input_nodes import check_pair, volume_in_steps
from .landmark_pairs import landmark_pairs
from .region_nodes import mask_in_steps
from .registration_nodes import WantedOutputs, check_outputs
from .result_marks import former_results
from .steps import Steps


@dataclass(frozen=True)
class Request:
    """Nodes and words. A segment ID of "" means all visible segments; label maps have none."""

    fixed: slicer.vtkMRMLScalarVolumeNode
    moving: slicer.vtkMRMLScalarVolumeNode
    fixed_region: slicer.vtkMRMLNode | None = None
    moving_region: slicer.vtkMRMLNode | None = None
    fixed_segment_id: str = ""
    moving_segment_id: str = ""
    fixed_landmarks: slicer.vtkMRMLMarkupsNode | None = None
    moving_landmarks: slicer.vtkMRMLMarkupsNode | None = None
    wanted: WantedOutputs = field(default_factory=WantedOutputs)
    options: JobOptions = field(default_factory=JobOptions)

    def check(self) -> None:
        """Raise :class:`~DeepRegLib.errors.BadInput` for what can be seen without looking at voxels."""
        check_pair(self.fixed, self.moving)
        check_outputs(self.wanted, self.fixed, self.moving)
        if not (self.wanted.transform or self.wanted.warped or self.wanted.inverse):
            raise BadInput("Nothing is asked for.", "Tick at least one of transform, warped image and inverse.")

    def landmark_problem(self) -> str:
        """Why the landmarks cannot measure the result, in a sentence; "" when they can, or when there are none.
        Landmarks never keep a registration from running."""
        if (self.fixed_landmarks is None) != (self.moving_landmarks is None):
            side = "fixed" if self.fixed_landmarks is None else "moving"
            return f"There are no {side} landmarks: the others measure nothing."
        try:
            self.landmarks()
        except DeepRegError as error:
            return f"{error} {error.hint}".rstrip()
        return ""

    def landmarks(self) -> tuple[Landmarks | None, Landmarks | None]:
        """Both lists in the same order, LPS mm; None without landmarks. Raises
        :class:`~DeepRegLib.errors.BadLandmarks`."""
        if self.fixed_landmarks is None or self.moving_landmarks is None:
            return None, None
        pairs = landmark_pairs(self.fixed_landmarks, self.moving_landmarks, former=former_results(self.moving))
        return pairs.fixed, pairs.moving


def job_in_steps(request: Request) -> Steps[Job]:
    """The job, with everything in the world: parent transforms are applied, those of former results of ours are not.

    Raises :class:`~DeepRegLib.errors.BadInput` and its siblings for what cannot be used.
    """
    request.check()
    fixed = yield from volume_in_steps(request.fixed)
    without = former_results(request.moving)
    moving = yield from volume_in_steps(request.moving, without)
    fixed_mask = moving_mask = None
    if request.fixed_region is not None:
        fixed_mask = yield from mask_in_steps(request.fixed_region, request.fixed_segment_id or None, request.fixed)
    if request.moving_region is not None:
        segment = request.moving_segment_id or None
        moving_mask = yield from mask_in_steps(request.moving_region, segment, request.moving, without)
    fixed_landmarks = moving_landmarks = None
    if not request.landmark_problem():
        fixed_landmarks, moving_landmarks = request.landmarks()
    return Job(fixed, moving, fixed_mask, moving_mask, fixed_landmarks, moving_landmarks, request.options)
