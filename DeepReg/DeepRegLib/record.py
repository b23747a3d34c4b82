"""The evidence of a registration as one record that can be written as JSON."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from typing import Any

import numpy as np

from . import __version__
from .evidence.jacobian import jacobian_statistics
from .evidence.landmarks import ErrorStatistics, snapped_errors, target_registration_error
from .evidence.region_grid import region_on
from .evidence.similarity import similarity
from .images.memory import peak_memory_mb
from .images.volume import Volume
from .refinement.match import Match
from .refinement.solver import Solution
from .result import Registration
from .transforms.displacement_field import DisplacementField
from .transforms.linear import LinearTransform

IDENTITY = LinearTransform()
POOR_MATCH_PERCENT = 30.0
"""Share of the region that may look different; brains of two people reach 10 %, breathing lungs 5 %."""


def evidence_of(registration: Registration, solution: Solution, **run: Any) -> dict[str, Any]:
    """What is known about a registration: the run (method, quality, seed, device, threads), the start that won,
    landmark errors (mm), Jacobian determinant and displacement in the region, similarity before and after, versions,
    peak memory (MB) and warnings (sentences)."""
    region = registration.fixed_region
    measures = measures_of(registration.transform, registration.field, registration.fixed, registration.moving, region)
    folding = measures["folding_percent"]
    warnings = list(registration.evidence.get("warnings", []))
    mended = run.pop("mended_percent")
    if mended:
        warnings.append(f"The field folded in {mended:.3g} % of the region and was smoothed there.")
    if folding:
        warnings.append(f"The field folds in {folding:.3g} % of the region.")
    if solution.rolled_back:
        warnings.append("The finest level made the match worse and was undone.")
    lost = 100 * solution.match.lost
    if lost > POOR_MATCH_PERCENT:
        warnings.append(f"{lost:.0f} % of the region does not match: look at the pictures before using this result.")
    record: dict[str, Any] = {
        "schema": 1,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "software": versions(),
        "fixed": _image(registration.fixed),
        "moving": _image(registration.moving),
        **run,
        "start": {
            "chosen": solution.chosen,
            "candidates": [{"name": c.name, **_match(c.match)} for c in solution.candidates],
            "refined": _match(solution.match),
        },
        "region": {"kind": registration.region.kind, "volume_ml": round(registration.region.volume_ml, 1)},
        "prealignment": {
            "matrix": registration.prealignment.matrix.tolist(),
            "translation": registration.prealignment.translation.tolist(),
        },
        **measures,
        "peak_memory_mb": round(peak_memory_mb(), 1),
        "warnings": warnings,
    }
    if registration.fixed_landmarks is not None:
        record["landmarks"] = landmark_record(registration)
    return record


def _match(match: Match) -> dict[str, float]:
    return {"similarity": round(match.mean, 5), "lost_percent": round(100 * match.lost, 3)}


def landmark_record(registration: Registration) -> dict[str, Any]:
    """Landmark errors before (by header positions) and after, and snapped to the voxels of the moving image."""
    fixed, moving = registration.fixed_landmarks, registration.moving_landmarks
    assert fixed is not None and moving is not None
    mapped = registration.transform.map_points(fixed.points)
    after = target_registration_error(registration.transform, fixed, moving)
    return {
        "count": len(fixed.points),
        "before": ErrorStatistics.of(target_registration_error(IDENTITY, fixed, moving)).as_dict(),
        "after_prealignment": ErrorStatistics.of(
            target_registration_error(registration.prealignment, fixed, moving)
        ).as_dict(),
        "after": ErrorStatistics.of(after).as_dict(),
        "after_snapped": ErrorStatistics.of(snapped_errors(mapped, moving, registration.moving.geometry)).as_dict(),
    }


def versions() -> dict[str, str]:
    """Versions of everything that decides about the result."""
    import SimpleITK as sitk
    import torch

    return {
        "slicer-deepreg": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "torch": torch.__version__,
        "SimpleITK": sitk.Version.VersionString(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def _image(volume: Volume) -> dict[str, Any]:
    return {"name": volume.name, "size": list(volume.geometry.size), "spacing_mm": list(volume.geometry.spacing)}


def measures_of(
    transform: DisplacementField, deformation: DisplacementField, fixed: Volume, moving: Volume, region: Volume
) -> dict[str, Any]:
    """What needs no landmarks: folding and Jacobian determinant of ``transform`` (the whole map), lengths of
    ``deformation`` (mm), both in ``region``, and the squared local correlation of the images before and after."""
    jacobian = jacobian_statistics(transform, region).as_dict()
    alike = similarity(fixed, moving, IDENTITY, transform, region)
    return {
        "folding_percent": jacobian.pop("folding_percent"),
        "jacobian": jacobian,
        "displacement": _lengths(deformation, region),
        "similarity": {"before": alike.before, "after": alike.after},
    }


def _lengths(deformation: DisplacementField, region: Volume) -> dict[str, float]:
    inside = region_on(region, deformation.geometry)
    vectors = deformation.array[inside] if inside.any() else deformation.array.reshape(-1, 3)
    lengths = np.sqrt(np.einsum("ni,ni->n", vectors, vectors))
    return {
        "mean_mm": float(lengths.mean()),
        "p95_mm": float(np.percentile(lengths, 95)),
        "max_mm": float(lengths.max()),
    }
