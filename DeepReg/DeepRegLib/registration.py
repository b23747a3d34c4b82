"""The one way through: read, check, pre-align, propose, refine, evaluate.

Command line, worker, panel, console, benchmark and training validation all call :func:`register`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import torch

from .device import choose_device, kept_memory, working_threads
from .errors import BadInput, OutOfMemory
from .evidence.landmarks import Landmarks
from .images.geometry import Geometry
from .images.region import Region, find_region
from .images.volume import Volume
from .inputs import Inputs, check_memory, read_inputs
from .methods.automatic import AUTO, NETWORK_ALONE, choose_method
from .methods.interface import Method
from .methods.pair import Pair
from .methods.prealign import check_overlap, prealign, prealigned, with_contrast_found
from .record import evidence_of
from .refinement.fold_repair import repair_folds
from .refinement.image_source import Intensity
from .refinement.intensity import lung_intensity, shows_lungs, tissue_intensity, values_inside
from .refinement.problem import Problem
from .refinement.settings import QUALITIES, Quality, Settings, settings_for
from .refinement.solver import Solution, Watch, fitted, solve, unrefined
from .result import Registration
from .stages import Stages
from .transforms.compose import compose, resample_field
from .transforms.displacement_field import DisplacementField, SplineField
from .transforms.linear import LinearTransform

if TYPE_CHECKING:
    import SimpleITK as sitk

MOST_FIELD_VOXELS = 8_000_000
"""Larger fixed images get a field on coarser voxels with the same axes: 96 MB instead of gigabytes, and since the
solver's lattice is coarser still, nothing is lost that was ever there."""
FINEST_FIELD_MM = 1.5
"""Below this the field of a large image is not refined: the lattice of the solver has 2.4 mm at its finest."""
Prealignment = Literal["auto", "none"]
Similarity = Literal["auto", "intensity", "structure"]
TORCH_ALLOCATOR = "DefaultCPUAllocator"
"""Torch names it on every system when the memory runs out ("not enough memory" or "can't allocate memory")."""


def register(
    fixed: str | Path | sitk.Image | Volume,
    moving: str | Path | sitk.Image | Volume,
    method: str = AUTO,
    quality: Quality = "balanced",
    fixed_mask: str | Path | sitk.Image | Volume | None = None,
    moving_mask: str | Path | sitk.Image | Volume | None = None,
    fixed_landmarks: str | Path | Landmarks | None = None,
    moving_landmarks: str | Path | Landmarks | None = None,
    device: str = AUTO,
    threads: int | None = None,
    seed: int = 0,
    prealignment: Prealignment = "auto",
    similarity: Similarity = "auto",
    refine: bool = True,
    field_spacing_mm: float | None = None,
    progress: Callable[[float, str], None] = lambda fraction, stage: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Registration:
    """Find the map T from points of the fixed to points of the moving image, with its evidence.

    ``fixed`` and ``moving`` are files, SimpleITK images or Volumes, three-dimensional. Without ``fixed_mask`` the
    region where the match counts is found: the lungs, or else the body or head. ``moving_mask`` says where the same
    organ lies in the moving image. Landmarks are used to measure, never to fit. The seed is written into the evidence;
    the same seed, threads and machine give the same field.

    ``prealignment`` "none" trusts the positions that the images have. ``similarity`` says what is compared: brightness
    ("intensity") for two scans of one kind, "structure" for different kinds; "auto" finds out. Without ``refine``, and
    with a network in the quality "fast", the field is what the method proposes (the pre-alignment alone, for a method
    that proposes nothing).
    ``field_spacing_mm`` keeps the field on voxels of about that size, if the image has finer ones.

    Raises :class:`~DeepRegLib.errors.BadInput` and its siblings before work starts,
    :class:`~DeepRegLib.errors.NoOverlap` when the images do not meet, and :class:`~DeepRegLib.errors.Cancelled`.

    >>> from DeepRegLib.phantom import make_phantom
    >>> pair = make_phantom((64, 48, 48), seed=1)
    >>> registration = register(pair.fixed, pair.moving, quality="fast")
    >>> registration.evidence["method"]
    'lucas-kanade'
    """
    for what, word, words in (
        ("quality", quality, QUALITIES),
        ("pre-alignment", prealignment, get_args(Prealignment)),
        ("similarity", similarity, get_args(Similarity)),
    ):
        if word not in words:
            raise BadInput(f"There is no {what} '{word}'. Available: {', '.join(words)}.")
    if field_spacing_mm is not None and not field_spacing_mm > 0:
        raise BadInput("The spacing of the field must be a positive number of millimetres.")
    torch_device = choose_device(device)
    chosen, warnings = choose_method(method, torch_device, quality)
    refine = refine and not (quality == NETWORK_ALONE and chosen.model is not None)
    wishes = _Wishes(prealignment, similarity, refine, field_spacing_mm)
    stages = Stages(progress, cancelled)
    with working_threads(threads) as used_threads, kept_memory(), torch.inference_mode():
        with stages.stage("read"):
            inputs = read_inputs(
                fixed, moving, fixed_mask, moving_mask, fixed_landmarks, moving_landmarks, chosen.dimensions
            )
            check_memory(inputs.fixed)
        with stages.stage("region"):
            problem, settings = _prepare(inputs, quality, torch_device)
        aligned, more = _align_on(problem, settings, chosen, wishes, seed, stages)
        warnings += more
        with stages.stage("evaluate"):
            stages.within(0.1)
            registration = _result(inputs, aligned, warnings)
            registration.evidence.update(
                evidence_of(
                    registration,
                    aligned.solution,
                    method=chosen.name,
                    requested_method=method,
                    quality=quality,
                    refined=refine,
                    seed=seed,
                    device=str(aligned.problem.device),
                    threads=used_threads,
                    contrast=aligned.problem.contrast,
                    mended_percent=100 * aligned.mended,
                )
            )
    registration.evidence["seconds"] = {**stages.seconds, "total": stages.total()}
    return registration


def _prepare(inputs: Inputs, quality: Quality, device: torch.device) -> tuple[Problem, Settings]:
    """The region, the scale of the grey values and the settings that suit them."""
    region = find_region(inputs.fixed) if inputs.fixed_mask is None else Region.given(inputs.fixed_mask)
    fixed_values = values_inside(inputs.fixed, region.mask)
    lungs = region.kind == "lungs" or (region.kind == "given" and shows_lungs(fixed_values))
    of_fixed: Intensity = lung_intensity
    of_moving: Intensity = lung_intensity
    if not lungs:
        moving_region = find_region(inputs.moving) if inputs.moving_mask is None else Region.given(inputs.moving_mask)
        of_fixed = tissue_intensity(fixed_values)
        of_moving = tissue_intensity(values_inside(inputs.moving, moving_region.mask))

    def organs() -> tuple[Region, Region] | None:
        if inputs.moving_mask is not None and inputs.fixed_mask is not None:
            return region, Region.given(inputs.moving_mask)
        of_fixed_image = region if region.kind == "lungs" else find_region(inputs.fixed)
        of_moving_image = find_region(inputs.moving)
        same = of_fixed_image.kind == of_moving_image.kind == "lungs"
        return (of_fixed_image, of_moving_image) if same else None

    problem = Problem(
        inputs.fixed,
        inputs.moving,
        region,
        LinearTransform(),
        of_fixed,
        of_moving,
        device,
        find_organs=organs,
    )
    return problem, fitted(settings_for(quality, lungs), problem)


@dataclass(frozen=True)
class _Wishes:
    """What the caller wants done differently."""

    prealignment: Prealignment
    similarity: Similarity
    refine: bool
    field_spacing_mm: float | None


@dataclass(frozen=True)
class _Aligned:
    """d on its grid, the problem as it was solved, what is known of the solution, the share of the region that was
    mended because it folded, and d at the control points of the method, if it has some."""

    problem: Problem
    field: DisplacementField
    solution: Solution
    mended: float
    control_points: DisplacementField | None


def _align_on(
    problem: Problem, settings: Settings, method: Method, wishes: _Wishes, seed: int, stages: Stages
) -> tuple[_Aligned, list[str]]:
    """Run on the problem's device; when a graphics card runs out of memory, go on with the processor. Also gives
    warnings, in sentences."""
    try:
        return _align(problem, settings, method, wishes, seed, stages), []
    except torch.cuda.OutOfMemoryError:
        torch.cuda.empty_cache()
        on_cpu = replace(problem, device=torch.device("cpu"))
        warning = "The memory of the graphics card ran out; the registration went on with the processor."
        return _align_on(on_cpu, settings, method, wishes, seed, stages)[0], [warning]
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and TORCH_ALLOCATOR not in str(error):
            raise
        raise OutOfMemory(
            "The memory ran out during the registration.", "Close other programs or choose a lower quality."
        ) from error


def _align(
    problem: Problem, settings: Settings, method: Method, wishes: _Wishes, seed: int, stages: Stages
) -> _Aligned:
    with stages.stage("prealign"):
        problem = _placed(problem, settings, wishes)
    with stages.stage("propose"):
        pair = Pair(problem.fixed, problem.moving, problem.region, problem.linear, problem.device, seed)
        fields = method.propose(pair, lambda fraction, words: stages.within(fraction), stages.cancelled)
        proposals = _named(method.name, fields)
        control_points = next((f.control_points for f in fields if isinstance(f, SplineField)), None)
    with stages.stage("refine"):
        written = field_geometry(problem.fixed.geometry, wishes.field_spacing_mm)
        if not wishes.refine:
            solution = unrefined(problem, settings, proposals)
            field = dict(proposals).get(solution.chosen)
            field = DisplacementField.zero(written) if field is None else resample_field(field, written)
            return _Aligned(problem, field, solution, 0.0, control_points)
        solution = solve(problem, settings, proposals, Watch(stages.within, stages.cancelled))
        lattice, folded = repair_folds(solution.lattice, problem, max(written.spacing))
        solution = replace(solution, lattice=lattice)
        return _Aligned(problem, lattice.deformation(problem, written), solution, folded, control_points)


def _placed(problem: Problem, settings: Settings, wishes: _Wishes) -> Problem:
    """The problem with its linear map and its contrast, found or as they were wished."""
    if wishes.similarity == "auto":
        return (prealigned if wishes.prealignment == "auto" else with_contrast_found)(problem, settings)
    known = replace(problem, contrast="same" if wishes.similarity == "intensity" else "other")
    if wishes.prealignment == "auto":
        return replace(known, linear=prealign(known))
    check_overlap(known)
    return known


def _named(method: str, fields: Sequence[DisplacementField]) -> list[tuple[str, DisplacementField]]:
    if len(fields) == 1:
        return [(method, fields[0])]
    return [(f"{method} {k + 1}", field) for k, field in enumerate(fields)]


def field_geometry(fixed: Geometry, spacing_mm: float | None = None) -> Geometry:
    """The grid on which the field of a fixed image is kept: its own, or coarser ones for very large images and where
    voxels of at least ``spacing_mm`` are asked for."""
    spacing = np.maximum(fixed.spacing, spacing_mm or 0.0)
    geometry = fixed if tuple(spacing) == fixed.spacing else fixed.with_spacing(tuple(spacing))
    step = FINEST_FIELD_MM
    while geometry.voxel_count > MOST_FIELD_VOXELS:
        geometry = fixed.with_spacing(tuple(np.maximum(spacing, step)))
        step *= 1.1
    return geometry


def _result(inputs: Inputs, aligned: _Aligned, warnings: list[str]) -> Registration:
    linear, nodes = aligned.problem.linear, aligned.control_points
    return Registration(
        fixed=inputs.fixed,
        moving=inputs.moving,
        field=aligned.field,
        prealignment=linear,
        transform=compose(linear, aligned.field),
        region=aligned.problem.region,
        control_displacements=None if nodes is None else compose(linear, nodes),
        fixed_landmarks=inputs.fixed_landmarks,
        moving_landmarks=inputs.moving_landmarks,
        evidence={"warnings": warnings},
    )
