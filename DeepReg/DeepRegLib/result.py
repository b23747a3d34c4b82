"""What a registration gives: the field, the pre-alignment, both together, and the evidence."""

from __future__ import annotations

import csv
import json
import time
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .evidence.landmarks import Landmarks, target_registration_error
from .files import cannot_write, whole_file
from .images.memory import peak_memory_mb
from .images.read import read_volume, write_volume
from .images.region import Region
from .images.volume import Volume
from .transforms.displacement_field import DisplacementField
from .transforms.invert import invert
from .transforms.linear import LinearTransform
from .transforms.read_write import write_transform
from .transforms.sampling import Interpolation
from .transforms.warp import warp_volume

if TYPE_CHECKING:
    import SimpleITK as sitk

INVERSE_SPACING_MM = 2.5
"""The inverse is kept on voxels of at least this size: it is as smooth as the field."""


@dataclass
class Registration:
    """``transform`` is the whole map T(x) = A(x + d(x)) from fixed to moving LPS points; ``prealignment`` is A, kept
    apart, and ``field`` is d. ``control_displacements`` are those of T at the control points of a method that has some
    (the nodes of a thin-plate-spline grid). ``evidence`` can be written as JSON. Landmarks are None where none were
    given."""

    fixed: Volume
    moving: Volume
    field: DisplacementField
    prealignment: LinearTransform
    transform: DisplacementField
    region: Region
    fixed_landmarks: Landmarks | None = None
    moving_landmarks: Landmarks | None = None
    evidence: dict[str, Any] = dataclass_field(default_factory=dict)
    control_displacements: DisplacementField | None = None

    @property
    def fixed_region(self) -> Volume:
        """Where the match counts, in the fixed image."""
        return self.region.mask

    @cached_property
    def warped(self) -> Volume:
        """The moving image on the grid of the fixed one."""
        return warp_volume(self.moving, self.transform, self.fixed.geometry)

    def warp(
        self, what: Volume | sitk.Image | str | Path | np.ndarray | Landmarks, interpolation: Interpolation = "linear"
    ) -> Volume | np.ndarray | Landmarks:
        """Images and label maps of the moving side are pulled onto the fixed grid (label maps want "nearest"); points
        (..., 3) LPS mm and landmarks of the fixed side are pushed forward to the moving image."""
        if isinstance(what, np.ndarray):
            return self.transform.map_points(what)
        if isinstance(what, Landmarks):
            return Landmarks(self.transform.map_points(what.points), what.labels, what.name)
        return warp_volume(read_volume(what), self.transform, self.fixed.geometry, interpolation)

    def inverse(self) -> DisplacementField:
        """The map from moving to fixed points, on the extent of the moving image."""
        return self._inverse

    @cached_property
    def _inverse(self) -> DisplacementField:
        geometry = self.moving.geometry
        if min(geometry.spacing) < INVERSE_SPACING_MM:
            x, y, z = (max(s, INVERSE_SPACING_MM) for s in geometry.spacing)
            geometry = geometry.with_spacing((x, y, z))
        return invert(self.transform, geometry, self.prealignment).field

    def landmark_errors(self) -> np.ndarray | None:
        """|T(x_fixed) - x_moving| of every landmark, mm; None without landmarks."""
        if self.fixed_landmarks is None or self.moving_landmarks is None:
            return None
        return target_registration_error(self.transform, self.fixed_landmarks, self.moving_landmarks)

    def save(self, folder: str | Path) -> dict[str, Path]:
        """Write transform.h5 (the whole map), inverse.h5, warped.nii.gz, landmark_errors.csv (with landmarks),
        report.html and, last, evidence.json; returns their paths. Each file appears whole or not at all.

        Raises :class:`~DeepRegLib.errors.OutputProblem`.
        """
        from .evidence.report import write_report

        folder = Path(folder)
        _make_folder(folder)
        start = time.perf_counter()
        paths = {name: folder / file for name, file in _FILES.items()}
        write_transform(paths["transform"], self.transform)
        write_transform(paths["inverse"], self.inverse())
        write_volume(self.warped, paths["warped"])
        if self.fixed_landmarks is None:
            del paths["landmark_errors"]
        else:
            self._write_landmark_errors(paths["landmark_errors"])
        seconds = self.evidence.setdefault("seconds", {})
        seconds["write"] = round(time.perf_counter() - start, 3)
        report_start = time.perf_counter()
        write_report(paths["report"], self)
        seconds["report"] = round(time.perf_counter() - report_start, 3)
        seconds["total"] = round(seconds.get("total", 0.0) + time.perf_counter() - start, 3)
        self.evidence["peak_memory_mb"] = round(peak_memory_mb(), 1)
        with whole_file(paths["evidence"]) as temporary:
            temporary.write_text(json.dumps(self.evidence, indent=2, allow_nan=False) + "\n", encoding="utf-8")
        return paths

    def _write_landmark_errors(self, path: Path) -> None:
        """One row a landmark: label, fixed point, moving point, mapped point (LPS mm), error before and after (mm)."""
        fixed, moving = self.fixed_landmarks, self.moving_landmarks
        assert fixed is not None and moving is not None
        mapped = self.transform.map_points(fixed.points)
        before = np.linalg.norm(fixed.points - moving.points, axis=1)
        after = np.linalg.norm(mapped - moving.points, axis=1)
        with whole_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            points = [f"{side}_{axis}" for side in ("fixed", "moving", "mapped") for axis in "xyz"]
            writer.writerow(["label", *points, "before_mm", "after_mm"])
            rows = np.column_stack([fixed.points, moving.points, mapped, before, after])
            for label, row in zip(fixed.labels, rows, strict=True):
                writer.writerow([label, *(f"{value:.3f}" for value in row)])


_FILES = {
    "transform": "transform.h5",
    "inverse": "inverse.h5",
    "warped": "warped.nii.gz",
    "landmark_errors": "landmark_errors.csv",
    "report": "report.html",
    "evidence": "evidence.json",
}


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(folder, error.strerror or "") from error
