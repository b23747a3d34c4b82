"""How well a given transform fits, whoever made it: the evidence of a registration without registering."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .images.region import Region, find_region
from .inputs import LandmarkSource, read_inputs
from .record import landmark_record, measures_of, versions
from .result import Registration
from .transforms.compose import compose
from .transforms.linear import LinearTransform

if TYPE_CHECKING:
    import SimpleITK as sitk

    from .images.volume import Volume
    from .transforms.displacement_field import DisplacementField


def evaluate(
    transform: DisplacementField,
    fixed: str | Path | sitk.Image | Volume,
    moving: str | Path | sitk.Image | Volume,
    fixed_mask: str | Path | sitk.Image | Volume | None = None,
    fixed_landmarks: LandmarkSource | None = None,
    moving_landmarks: LandmarkSource | None = None,
    known: Mapping[str, Any] | None = None,
) -> Registration:
    """``transform`` as a :class:`~DeepRegLib.result.Registration` with its evidence: folding, Jacobian determinant and
    displacement in the region (given, or the lungs or body), similarity before and after, landmark errors.

    "Before" means the images as they lie in space. ``known`` is evidence that is at hand, of the run that made the
    transform: it is kept where nothing is measured anew, and says which part of the transform was the pre-alignment.

    Raises what :func:`~DeepRegLib.registration.register` raises for bad input.
    """
    known = known or {}
    inputs = read_inputs(fixed, moving, fixed_mask, None, fixed_landmarks, moving_landmarks)
    region = find_region(inputs.fixed) if inputs.fixed_mask is None else Region.given(inputs.fixed_mask)
    linear = LinearTransform(**known["prealignment"]) if "prealignment" in known else LinearTransform()
    deformation = transform if "prealignment" not in known else compose(linear.inverse(), transform)
    registration = Registration(
        inputs.fixed,
        inputs.moving,
        deformation,
        linear,
        transform,
        region,
        inputs.fixed_landmarks,
        inputs.moving_landmarks,
    )
    registration.evidence.update(
        {
            "software": versions(),
            "fixed": {"name": inputs.fixed.name},
            "moving": {"name": inputs.moving.name},
            **known,
            "region": {"kind": region.kind, "volume_ml": round(region.volume_ml, 1)},
            **measures_of(transform, deformation, inputs.fixed, inputs.moving, region.mask),
        }
    )
    registration.evidence.pop("landmarks", None)  # of the run, perhaps moved since
    if inputs.fixed_landmarks is not None:
        record = landmark_record(registration)
        if "prealignment" not in known:
            del record["after_prealignment"]  # a given transform does not say which part of it was one
        registration.evidence["landmarks"] = record
    return registration
