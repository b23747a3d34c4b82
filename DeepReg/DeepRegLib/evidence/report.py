"""One HTML file that shows what was registered, how well, and what it rests on. Nothing in it comes from the net."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..errors import OutputProblem
from ..files import whole_file
from ..images.volume import Volume
from ..transforms.displacement_field import DisplacementField
from ..transforms.linear import LinearTransform
from . import pictures
from .charts import before_and_after, grid_lines, histogram
from .jacobian import jacobian_determinant
from .landmarks import Landmarks, target_registration_error
from .planes import Plane, three_planes, values_at
from .verdict import verdict_of

TEMPLATE = "report.html.j2"
WORST_LANDMARKS = 8
HEADER_OVERLAP_SHARE = 0.25
"""Below this share of pixels in common, header positions show nothing; the pre-aligned scan is shown instead."""
MOTION_PERCENTILE = 99.0
"""The brightest colour of the motion map stands for this share of the shown displacements."""
LEAST_MOTION_MM = 1.0
"""The motion map's brightest colour never stands for less: rounding is not motion."""


class Reportable(Protocol):
    """What the report needs of a registration. ``transform`` is the whole map from fixed to moving points;
    ``prealignment`` its linear part, if there is one; ``evidence`` the numbers, any of which may be missing."""

    @property
    def fixed(self) -> Volume: ...
    @property
    def warped(self) -> Volume: ...
    @property
    def moving(self) -> Volume: ...
    @property
    def transform(self) -> DisplacementField: ...
    @property
    def prealignment(self) -> LinearTransform | None: ...
    @property
    def fixed_region(self) -> Volume | None: ...
    @property
    def fixed_landmarks(self) -> Landmarks | None: ...
    @property
    def moving_landmarks(self) -> Landmarks | None: ...
    @property
    def evidence(self) -> Mapping[str, Any]: ...


def write_report(path: str | Path, registration: Reportable) -> Path:
    """Write the report of a registration to ``path``, one self-contained HTML file; returns the path.

    Raises :class:`OutputProblem` when it cannot be written or jinja2 is not installed.
    """
    path = Path(path)
    text = render_report(registration)
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def render_report(registration: Reportable) -> str:
    """The report as text; see :func:`write_report`."""
    try:
        import jinja2
    except ImportError:
        raise OutputProblem(
            "The report cannot be written: the Python package jinja2 is missing.",
            "Install it with 'pip install jinja2'; in 3D Slicer's Python console: slicer.util.pip_install('jinja2').",
        ) from None
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,  # file names and warnings are other people's text
        undefined=jinja2.ChainableUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(TEMPLATE).render(
        evidence=registration.evidence,
        verdict=verdict_of(registration.evidence),
        landmarks=_landmarks(registration),
        **_panels(registration),
    )


def _panels(registration: Reportable) -> dict[str, Any]:
    """The pictures of all planes, their legends and what the template says of them."""
    planes = three_planes(registration.fixed.geometry, registration.fixed_region)
    linear = registration.prealignment or _mean_shift(registration.transform)
    seen = [_Seen(plane, registration, linear) for plane in planes]
    overlap = np.mean([np.isfinite(s.by_header).mean() for s in seen])
    prealigned = registration.prealignment is not None and overlap < HEADER_OVERLAP_SHARE
    before = [s.by_prealignment if prealigned else s.by_header for s in seen]
    fixed_tone = pictures.tone([s.fixed for s in seen], [s.counted for s in seen])
    moving_tone = pictures.tone([s.warped for s in seen], [s.counted & s.covered for s in seen])
    lengths = [np.linalg.norm(s.motion, axis=-1) for s in seen]
    counted = np.concatenate([length[s.counted] for s, length in zip(seen, lengths, strict=True)])
    largest = max(float(np.percentile(counted, MOTION_PERCENTILE)), LEAST_MOTION_MM)
    determinant = Volume(jacobian_determinant(registration.transform), registration.transform.geometry)

    images: dict[str, np.ndarray] = {}
    for s, earlier, length in zip(seen, before, lengths, strict=True):
        name, fixed = s.plane.name, pictures.grey(s.fixed, fixed_tone)
        shown = np.isfinite(earlier)
        images[f"{name} before"] = pictures.overlay(fixed, pictures.grey(earlier, moving_tone), shown)
        images[f"{name} after"] = pictures.overlay(fixed, pictures.grey(s.warped, moving_tone), s.covered)
        images[f"{name} scan"] = pictures.grey_picture(fixed)
        images[f"{name} motion"] = pictures.motion_picture(length, largest, fixed, s.region)
        stretch = values_at(determinant, s.plane.points)
        images[f"{name} stretch"] = pictures.stretch_picture(stretch, fixed, s.region)
    return {
        "planes": [s.plane for s in seen],
        "images": pictures.data_uris(images),
        "grids": {s.plane.name: grid_lines(s.plane, s.motion) for s in seen},
        "largest_motion_mm": largest,
        "motion_reference": "the mean shift" if registration.prealignment is None else "the pre-alignment",
        "before_is_prealigned": prealigned,
        "motion_colours": pictures.css_gradient(pictures.SEQUENTIAL),
        "stretch_colours": pictures.css_gradient(pictures.DIVERGING),
    }


class _Seen:
    """What lies on one plane: the images' values (NaN where there are none), the motion (h, w, 3) in mm and the region.

    The motion is the deformable part d of T(x) = A(x + d(x)): a table that stands elsewhere is not anatomy that moved.
    """

    def __init__(self, plane: Plane, registration: Reportable, linear: LinearTransform) -> None:
        points = plane.points
        mapped = registration.transform.map_points(points)
        self.plane = plane
        self.fixed = values_at(registration.fixed, points)
        self.warped = values_at(registration.warped, points)
        self.covered = registration.moving.geometry.contains(mapped)
        self.by_header = values_at(registration.moving, points)
        self.by_prealignment = values_at(registration.moving, linear.map_points(points))
        self.motion = linear.inverse().map_points(mapped) - points
        region = registration.fixed_region
        self.region = None if region is None else values_at(region, points) >= 0.5
        everywhere = np.ones(points.shape[:2], bool)
        self.counted = everywhere if self.region is None or not self.region.any() else self.region


def _mean_shift(field: DisplacementField) -> LinearTransform:
    return LinearTransform(translation=field.array.mean(axis=(0, 1, 2), dtype=np.float64))


def _landmarks(registration: Reportable) -> dict[str, Any] | None:
    """Charts and the worst landmarks, or None without landmarks."""
    fixed, moving = registration.fixed_landmarks, registration.moving_landmarks
    if fixed is None or moving is None or len(fixed) == 0:
        return None
    before = target_registration_error(LinearTransform(), fixed, moving)
    after = target_registration_error(registration.transform, fixed, moving)
    worst = np.argsort(-after, kind="stable")[:WORST_LANDMARKS]
    return {
        "histogram": histogram(after),
        "pairs": before_and_after(before, after, fixed.labels),
        "worst": [
            {"label": fixed.labels[i], "place": place_in_words(fixed.points[i]), "before": before[i], "after": after[i]}
            for i in worst
        ],
    }


def place_in_words(point: np.ndarray) -> str:
    """An LPS point as 3D Slicer shows it, whatever frame the reader thinks in.

    >>> place_in_words(np.array([-36.35, 12.0, -1204.5]))
    'R 36.4, P 12.0, I 1204.5'
    """
    letters = (pair[int(value < 0)] for pair, value in zip(("LR", "PA", "SI"), point, strict=True))
    return ", ".join(f"{letter} {abs(value):.1f}" for letter, value in zip(letters, point, strict=True))
