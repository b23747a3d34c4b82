"""Registration for scripts: nodes, names of nodes or files in, nodes and evidence out; it waits, and asks nobody.

The same functions are in the module itself: ``import DeepReg; DeepReg.register(...)``.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import slicer
from DeepRegLib.errors import BadInput
from DeepRegLib.job_folder import Job, JobOptions, JobResult

from .installation import check_installed
from .landmark_files import load_landmarks
from .nodes import add_volume, image_data_in_steps, set_voxels
from .registration_job import run_registration
from .registration_nodes import NEW, WantedOutputs
from .registration_run import Finished, put_result_in_steps
from .report import deliver_report, evaluation_job_in_steps
from .request import Request, job_in_steps
from .steps import finish

Node = slicer.vtkMRMLNode | str | Path
"""A node, the name or ID of one, or a file."""


def register(
    fixed: Node,
    moving: Node,
    method: str = "auto",
    quality: str = "balanced",
    fixed_region: Node | None = None,
    moving_region: Node | None = None,
    fixed_segment: str = "",
    moving_segment: str = "",
    fixed_landmarks: Node | None = None,
    moving_landmarks: Node | None = None,
    warped: slicer.vtkMRMLScalarVolumeNode | bool = True,
    inverse: slicer.vtkMRMLTransformNode | bool = False,
    transform: slicer.vtkMRMLTransformNode | bool = True,
    place_moving_under_transform: bool = False,
    device: str = "auto",
    prealignment: str = "auto",
    similarity: str = "auto",
    refine: bool = True,
    field_spacing_mm: float | None = None,
    seed: int = 0,
    report_folder: str | Path | None = None,
    progress: Callable[[float, str], None] = lambda fraction, stage: None,
    cancelled: Callable[[], bool] = lambda: False,
    scene: slicer.vtkMRMLScene | None = None,
) -> Finished:
    """Register ``moving`` to ``fixed`` and put the result into the scene.

    Images, regions (segmentation or label map; a segment by name or ID) and landmarks (point lists) are nodes, their
    names, or files. ``transform``, ``warped`` and ``inverse`` are True for a new node, False to leave it out, or a node
    to overwrite. The other words are those of :func:`DeepRegLib.registration.register`; ``report_folder`` gets the
    report and all files of the result.

    The result has ``transform``, ``warped``, ``inverse``, ``evidence`` (a dict) and ``notes`` (sentences).

    Raises the typed errors of :mod:`DeepRegLib.errors`: :class:`~DeepRegLib.errors.BadInput`,
    :class:`~DeepRegLib.errors.NoOverlap`, :class:`~DeepRegLib.errors.InstallationProblem` when PyTorch is missing,
    :class:`~DeepRegLib.errors.Cancelled` and others.
    """
    scene = scene or slicer.mrmlScene
    check_installed()
    fixed_region_node = _node(scene, fixed_region, "vtkMRMLNode", "region")
    moving_region_node = _node(scene, moving_region, "vtkMRMLNode", "region")
    request = Request(
        fixed=_node(scene, fixed, "vtkMRMLScalarVolumeNode", "fixed image"),
        moving=_node(scene, moving, "vtkMRMLScalarVolumeNode", "moving image"),
        fixed_region=fixed_region_node,
        moving_region=moving_region_node,
        fixed_segment_id=_segment_id(fixed_region_node, fixed_segment),
        moving_segment_id=_segment_id(moving_region_node, moving_segment),
        fixed_landmarks=_node(scene, fixed_landmarks, "vtkMRMLMarkupsNode", "fixed landmarks"),
        moving_landmarks=_node(scene, moving_landmarks, "vtkMRMLMarkupsNode", "moving landmarks"),
        wanted=WantedOutputs(
            transform=_wanted(transform),
            warped=_wanted(warped),
            inverse=_wanted(inverse),
            place_moving_under_transform=place_moving_under_transform,
        ),
        options=JobOptions(
            method=method,
            quality=quality,
            device=device,
            prealignment=prealignment,
            similarity=similarity,
            refine=refine,
            field_spacing_mm=field_spacing_mm,
            seed=seed,
            wants_warped=bool(warped),
            wants_inverse=bool(inverse),
            report=report_folder is not None,
        ),
    )
    request.landmarks()  # in a script, landmarks that measure nothing are an error
    result = _run(finish(job_in_steps(request)), progress, cancelled)
    finished = finish(put_result_in_steps(scene, request, result))
    if report_folder is None:
        return finished
    return replace(finished, report_folder=deliver_report(result.report_folder, Path(report_folder)))


def evaluate(
    transform: Node,
    fixed: Node | None = None,
    moving: Node | None = None,
    fixed_region: Node | None = None,
    fixed_segment: str = "",
    fixed_landmarks: Node | None = None,
    moving_landmarks: Node | None = None,
    report_folder: str | Path | None = None,
    scene: slicer.vtkMRMLScene | None = None,
) -> dict[str, Any]:
    """How well a transform fits, of this module or any other: folding, Jacobian determinant and displacement in the
    region, similarity and landmark errors before and after.

    ``transform`` maps points of the fixed image to the moving one (*from parent*); ``fixed`` and ``moving`` may be left
    out when the transform node knows its images. Raises the typed errors of :mod:`DeepRegLib.errors`.
    """
    scene = scene or slicer.mrmlScene
    check_installed()
    transform_node = _node(scene, transform, "vtkMRMLTransformNode", "transform")
    if fixed is None:
        fixed = transform_node.GetNodeReference(transform_node.GetFixedNodeReferenceRole())
    if moving is None:
        moving = transform_node.GetNodeReference(transform_node.GetMovingNodeReferenceRole())
    region = _node(scene, fixed_region, "vtkMRMLNode", "region")
    request = Request(
        fixed=_node(scene, fixed, "vtkMRMLScalarVolumeNode", "fixed image"),
        moving=_node(scene, moving, "vtkMRMLScalarVolumeNode", "moving image"),
        fixed_region=region,
        fixed_segment_id=_segment_id(region, fixed_segment),
        fixed_landmarks=_node(scene, fixed_landmarks, "vtkMRMLMarkupsNode", "fixed landmarks"),
        moving_landmarks=_node(scene, moving_landmarks, "vtkMRMLMarkupsNode", "moving landmarks"),
        options=JobOptions(wants_warped=False, report=report_folder is not None),
    )
    request.landmarks()
    result = _run(finish(evaluation_job_in_steps(request, transform_node)))
    if report_folder is not None:
        deliver_report(result.report_folder, Path(report_folder))
    return result.evidence


def methods() -> dict[str, str]:
    """The names of the methods that are installed, each with its description in one line."""
    from DeepRegLib.methods.interface import available_methods

    automatic = "A trained model where it is better than the solver alone, else the solver."
    return {"auto": automatic} | {name: method.description for name, method in available_methods().items()}


def _run(
    job: Job,
    progress: Callable[[float, str], None] = lambda fraction, stage: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> JobResult:
    base = slicer.app.temporaryPath if hasattr(slicer, "app") else tempfile.gettempdir()
    return run_registration(job, base, lambda fraction, stage, _left: progress(fraction, stage), cancelled)


def _wanted(output: slicer.vtkMRMLNode | bool) -> slicer.vtkMRMLNode | str | None:
    return (NEW if output else None) if isinstance(output, bool) else output


def _node(scene: slicer.vtkMRMLScene, what: Node | None, kind: str, role: str) -> slicer.vtkMRMLNode | None:
    """The node that is meant: itself, by ID, by name, or loaded from a file."""
    if what is None:
        return None
    if isinstance(what, slicer.vtkMRMLNode):
        return _of_kind(what, kind, role)
    name = str(what)
    found = scene.GetNodeByID(name)
    if found is None:
        named = [scene.GetNthNodeByClass(k, kind) for k in range(scene.GetNumberOfNodesByClass(kind))]
        named = [node for node in named if node.GetName() == name]
        if len(named) > 1:
            raise BadInput(f"More than one node is called '{name}'.", "Give the node itself, or its ID.")
        found = named[0] if named else None
    if found is not None:
        return _of_kind(found, kind, role)
    if not Path(name).expanduser().exists():
        raise BadInput(f"There is neither a node nor a file '{name}' for the {role}.")
    return _loaded(scene, Path(name).expanduser(), kind, role)


def _of_kind(node: slicer.vtkMRMLNode, kind: str, role: str) -> slicer.vtkMRMLNode:
    if not node.IsA(kind):
        raise BadInput(f"'{node.GetName()}' cannot be used as {role}: it is a {node.GetNodeTagName()}.")
    return node


def _loaded(scene: slicer.vtkMRMLScene, path: Path, kind: str, role: str) -> slicer.vtkMRMLNode:
    """The content of a file as a node; images and label maps are read by the library, whose errors are sentences."""
    if kind == "vtkMRMLMarkupsNode":
        return load_landmarks(scene, path)
    if kind == "vtkMRMLTransformNode":
        return slicer.util.loadTransform(str(path))
    from DeepRegLib.images.read import read_volume

    volume = read_volume(path)
    if role != "region":
        return add_volume(scene, volume, volume.name or path.name)
    node = slicer.vtkMRMLLabelMapVolumeNode()
    node.SetName(path.name)
    scene.AddNode(node)
    set_voxels(node, finish(image_data_in_steps(volume.array)), volume.geometry)
    return node


def _segment_id(region: slicer.vtkMRMLNode | None, segment: str) -> str:
    """The ID of a segment that is given by ID or by name; "" for none."""
    if not segment or region is None or not region.IsA("vtkMRMLSegmentationNode"):
        return ""
    segments = region.GetSegmentation()
    if segments.GetSegment(segment) is not None:
        return segment
    found = segments.GetSegmentIdBySegmentName(segment)
    if not found:
        raise BadInput(f"'{region.GetName()}' has no segment '{segment}'.")
    return found
