"""Landmarks that an expert placed in both images, and the target registration error that they measure."""

from __future__ import annotations

import csv
import io
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from ..errors import BadLandmarks, OutputProblem
from ..images.geometry import Geometry
from ..images.volume import Volume
from .landmark_formats import read_points

MARGIN_VOXELS = 1.0
"""A landmark may lie this far beyond the border of the image: clicks on the first slice and rounding in files."""
MARKUPS_SCHEMA = (
    "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/"
    "markups-schema-v1.0.3.json#"
)


class PointMap(Protocol):
    """Anything that takes LPS points (..., 3) of the fixed image to the moving image."""

    def map_points(self, points: np.ndarray) -> np.ndarray: ...


@dataclass(frozen=True, eq=False)
class Landmarks:
    """``points`` (n, 3) float64, LPS mm, with one of ``labels`` each. ``name`` is the file's, for messages; ``rows``
    are the places of the points in the file's list, from 1: they show when a list skips a point that is not placed.

    Raises :class:`BadLandmarks` when points are not finite or labels are not one per point.

    >>> Landmarks(np.array([[1, 2, 3], [4, 5, 6]])).labels
    ('1', '2')
    """

    points: np.ndarray
    labels: tuple[str, ...] = ()
    name: str = ""
    rows: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        points = np.array(self.points, dtype=np.float64)
        points = points.reshape(0, 3) if points.size == 0 else points
        if points.ndim != 2 or points.shape[1] != 3 or not np.isfinite(points).all():
            raise BadLandmarks(f"{_called(self.name)} must hold three numbers in millimetres for each landmark.")
        object.__setattr__(self, "points", points)
        object.__setattr__(self, "rows", tuple(self.rows) or tuple(range(1, len(points) + 1)))
        object.__setattr__(self, "labels", tuple(self.labels) or tuple(str(row) for row in self.rows))
        if not len(points) == len(self.labels) == len(self.rows):
            raise BadLandmarks(f"{_called(self.name)} has {len(points)} points but {len(self.labels)} labels.")

    def __len__(self) -> int:
        return len(self.points)


def read_landmarks(path: str | Path, image: Volume | None = None) -> Landmarks:
    """Landmarks of a CSV table (columns x,y,z in LPS mm; x_ras_mm,y_ras_mm,z_ras_mm; or 3D Slicer's l,p,s and r,a,s),
    a .mrk.json or a .fcsv file, always in LPS mm. Points that are listed but not placed are left out.

    A .txt file is a list of elastix (its first line says "point" or "index") or of DIR-Lab (three whole numbers a
    line: voxels counted from 1, slice 1 the most superior). Lists of voxels need the ``image`` that they are of.

    Raises :class:`BadLandmarks`; the sentence names the file and the row.
    """
    path = Path(path)
    found = read_points(path, image)
    if not found:
        raise BadLandmarks(f"The landmark file '{path.name}' holds no landmarks.")
    labels = tuple(point.label or str(point.row) for point in found)
    return Landmarks(
        np.array([point.position for point in found]), labels, path.name, tuple(point.row for point in found)
    )


def write_landmarks(path: str | Path, landmarks: Landmarks) -> Path:
    """Write landmarks as ``.csv`` (label, x_lps_mm, y_lps_mm, z_lps_mm) or as 3D Slicer's ``.mrk.json``; returns the
    path. The file appears complete or not at all. Raises :class:`OutputProblem` when it cannot be written."""
    path = Path(path)
    if path.suffix.lower() == ".csv":
        text = _as_csv(landmarks)
    elif path.name.lower().endswith(".mrk.json"):
        text = _as_markups(landmarks)
    else:
        raise OutputProblem(f"Landmarks are written as .csv or .mrk.json, not as '{path.name}'.")
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        unfinished.write_text(text, encoding="utf-8", newline="")
        unfinished.replace(path)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise OutputProblem(f"The landmarks cannot be written to '{path}': {error.strerror}.") from error
    return path


def _as_csv(landmarks: Landmarks) -> str:
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(("label", "x_lps_mm", "y_lps_mm", "z_lps_mm"))
    for label, point in zip(landmarks.labels, landmarks.points.tolist(), strict=True):
        table.writerow((label, *point))
    return out.getvalue()


def _as_markups(landmarks: Landmarks) -> str:
    points = [
        {"id": str(number), "label": label, "position": point, "positionStatus": "defined"}
        for number, (label, point) in enumerate(zip(landmarks.labels, landmarks.points.tolist(), strict=True), start=1)
    ]
    markups = {"type": "Fiducial", "coordinateSystem": "LPS", "coordinateUnits": "mm", "controlPoints": points}
    return json.dumps({"@schema": MARKUPS_SCHEMA, "markups": [markups]}, indent=1)


def check_landmark_pair(
    fixed: Landmarks, moving: Landmarks, fixed_geometry: Geometry, moving_geometry: Geometry
) -> None:
    """Refuse landmarks that cannot belong together or to their images, before any work is done.

    Row i of ``fixed`` is the same place of the anatomy as row i of ``moving``. A landmark may lie up to
    ``MARGIN_VOXELS`` beyond the border of its image. Raises :class:`BadLandmarks`.
    """
    one_sided = sorted(set(fixed.rows) ^ set(moving.rows))
    if len(fixed) != len(moving):
        raise BadLandmarks(
            f"{_called(fixed.name, 'fixed')} has {len(fixed)} landmarks, {_called(moving.name, 'moving')} has "
            f"{len(moving)}; each needs its partner in the same row.",
            f"The first row without a partner is row {one_sided[0]}." if one_sided else "",
        )
    if len(fixed) == 0:
        raise BadLandmarks("The landmark lists are empty.")
    if one_sided:
        where = fixed if one_sided[0] in fixed.rows else moving
        raise BadLandmarks(
            f"Row {one_sided[0]} is placed in {_called(where.name)} but not in the other list.",
            "Place the point in both images, or remove it from both lists.",
        )
    _check_inside(fixed, fixed_geometry, "fixed")
    _check_inside(moving, moving_geometry, "moving")


def _check_inside(landmarks: Landmarks, geometry: Geometry, role: str) -> None:
    outside = ~_near(landmarks.points, geometry)
    if not outside.any():
        return
    first = int(np.argmax(outside))
    label, row = landmarks.labels[first], landmarks.rows[first]
    place = ", ".join(f"{value:.1f}" for value in landmarks.points[first])
    called = f"row {row}" if label == str(row) else f"row {row} ('{label}')"
    others = "" if outside.sum() == 1 else f" (and {outside.sum() - 1} more)"
    swapped = _near(landmarks.points[outside] * (-1, -1, 1), geometry).all()
    raise BadLandmarks(
        f"{_called(landmarks.name, role)}: {called} at ({place}) mm lies outside the {role} image{others}.",
        "With x and y negated it would lie inside: the file seems to be in RAS, not LPS."
        if swapped
        else "Check that the landmarks belong to this image and are in millimetres, not in voxels.",
    )


def _near(points: np.ndarray, geometry: Geometry) -> np.ndarray:
    index = np.asarray(geometry.to_index(points))
    reach = 0.5 + MARGIN_VOXELS
    inside = (index >= -reach) & (index <= np.array(geometry.size) - 1 + reach)
    return np.asarray(inside.all(-1))


def _called(name: str, role: str = "") -> str:
    return f"The landmark file '{name}'" if name else f"The list of {role} landmarks".replace("  ", " ")


def target_registration_error(transform: PointMap, fixed: Landmarks, moving: Landmarks) -> np.ndarray:
    """Distance |T(x_fixed) - x_moving| in mm of each landmark, (n,) float64.

    The fixed landmark goes forward through T; no inverse is involved. Not rounded to voxels ("sub-voxel" protocol).
    """
    return np.linalg.norm(transform.map_points(fixed.points) - moving.points, axis=-1)


def snapped_errors(mapped: np.ndarray, moving: Landmarks, geometry: Geometry) -> np.ndarray:
    """Distance in mm of each landmark after the ``mapped`` points (n, 3), LPS mm, are moved to the nearest voxel centre
    of the moving image's ``geometry``: the protocol of DIR-Lab, whose observers could click voxels only
    (R. Castillo et al., Phys. Med. Biol. 54, 2009, 1849)."""
    nearest = geometry.to_physical(np.rint(geometry.to_index(mapped)))
    return np.linalg.norm(nearest - moving.points, axis=-1)


@dataclass(frozen=True)
class ErrorStatistics:
    """What is reported of landmark errors, in mm; the standard deviation is that of a sample (ddof = 1)."""

    count: int
    mean_mm: float
    sd_mm: float
    median_mm: float
    p95_mm: float
    max_mm: float

    @classmethod
    def of(cls, errors: np.ndarray) -> ErrorStatistics:
        """Statistics of errors (n,) in mm; a single landmark has no spread and gets ``sd_mm`` 0.

        >>> ErrorStatistics.of(np.array([1.0, 3.0])).mean_mm
        2.0
        """
        e = np.asarray(errors, dtype=float).ravel()
        if e.size == 0:
            raise BadLandmarks("There are no landmarks to measure the error with.")
        spread = e.std(ddof=1) if e.size > 1 else 0.0
        return cls(e.size, *(float(v) for v in (e.mean(), spread, np.median(e), np.percentile(e, 95), e.max())))

    def as_dict(self) -> dict[str, float]:
        """The same numbers by name, ready for JSON."""
        return asdict(self)
