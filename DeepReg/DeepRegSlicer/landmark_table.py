"""The errors of a registration at landmark pairs: measured, as a table node and as a CSV file.

The target registration error of a pair is |T(x_fixed) - x_moving|: the fixed landmark goes forward through the
transform, so that no inverse blurs the measure.
"""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import slicer
import vtk
from DeepRegLib.evidence.landmarks import ErrorStatistics, Landmarks, PointMap, snapped_errors
from DeepRegLib.files import whole_file
from DeepRegLib.images.geometry import Geometry
from vtk.util.numpy_support import numpy_to_vtk

from .landmark_pairs import LandmarkPairs, landmark_pairs, map_fixed_points, with_parents
from .nodes import to_ras
from .result_marks import former_results
from .review_nodes import ROLE_ATTRIBUTE, find_review_node
from .steps import Steps
from .world_grid import world_grid_in_steps

ERROR_DECIMALS = 3
"""Landmark errors are listed to a micrometre: more digits are noise to the reader."""
SMALLEST_OUTLIER_MM = 2.0
"""About the distance at which two experts click the same landmark: nobody needs to look at less."""
OUTLIER_FENCE = 1.5
"""An outlier lies this many interquartile ranges above the third quartile (J. W. Tukey, Exploratory Data Analysis)."""

TABLE_ROLE = "landmark errors"

LABEL_COLUMN, BEFORE_COLUMN, AFTER_COLUMN = "landmark", "before (mm)", "after (mm)"
RESIDUAL_COLUMNS = ("R (mm)", "A (mm)", "S (mm)")
"""T(x_fixed) - x_moving (before a registration: x_fixed - x_moving) to the right, to the front and upwards."""
SNAPPED_COLUMN = "after, snapped to voxels (mm)"


@dataclass(frozen=True, eq=False)
class LandmarkErrors:
    """What landmark pairs say of a registration. ``mapped`` (n, 3) is T(x_fixed), LPS mm, and None before a
    registration; ``snapped_mm`` (n,) are the errors after T(x_fixed) was moved to the nearest voxel centre of the
    moving image, None without that image."""

    pairs: LandmarkPairs
    mapped: np.ndarray | None = None
    snapped_mm: np.ndarray | None = None

    @classmethod
    def of(cls, fixed: Landmarks, moving: Landmarks, transform: PointMap, moving_image: Geometry) -> LandmarkErrors:
        """The errors of a map on its own, for pairs that stand in the same order in both lists.

        Raises :class:`~DeepRegLib.errors.BadLandmarks` when the two do not have the same number of points.
        """
        pairs = LandmarkPairs(fixed, moving, fixed.points, by_label=False)
        mapped = transform.map_points(fixed.points)
        return cls(pairs, mapped, snapped_errors(mapped, moving, moving_image))

    @property
    def labels(self) -> tuple[str, ...]:
        return self.pairs.fixed.labels

    @cached_property
    def before_mm(self) -> np.ndarray:
        """|x_fixed - x_moving| of each pair, (n,)."""
        return np.linalg.norm(self.pairs.fixed.points - self.pairs.moving.points, axis=1)

    @cached_property
    def after_mm(self) -> np.ndarray | None:
        """|T(x_fixed) - x_moving| of each pair, (n,); None before a registration."""
        return None if self.mapped is None else np.linalg.norm(self.mapped - self.pairs.moving.points, axis=1)

    @property
    def current_mm(self) -> np.ndarray:
        """The errors as things stand: after the registration if there is one, else before."""
        return self.before_mm if self.after_mm is None else self.after_mm

    @property
    def residuals_ras(self) -> np.ndarray:
        """The vectors (n, 3) behind ``current_mm``, in mm to the right, to the front and upwards."""
        reached = self.pairs.fixed.points if self.mapped is None else self.mapped
        return to_ras(reached - self.pairs.moving.points)

    @property
    def largest_first(self) -> np.ndarray:
        """The numbers of the pairs in the order of their current errors."""
        return np.argsort(-self.current_mm, kind="stable")

    @property
    def outliers(self) -> np.ndarray:
        """Which pairs (n,) have a current error far above those of the others, and one that matters."""
        first, third = np.percentile(self.current_mm, (25, 75))
        fence = third + OUTLIER_FENCE * (third - first)
        return self.current_mm > max(fence, SMALLEST_OUTLIER_MM)

    def statistics(self) -> dict[str, ErrorStatistics]:
        """Mean, SD, median, 95 % and maximum by the names ``before``, ``after`` and ``after_snapped``, as far as they
        are known."""
        named = {"before": self.before_mm, "after": self.after_mm, "after_snapped": self.snapped_mm}
        return {name: ErrorStatistics.of(errors) for name, errors in named.items() if errors is not None}


def landmark_errors_in_steps(
    fixed: slicer.vtkMRMLMarkupsNode,
    moving: slicer.vtkMRMLMarkupsNode,
    transform: slicer.vtkMRMLTransformNode | None = None,
    moving_volume: slicer.vtkMRMLVolumeNode | None = None,
) -> Steps[LandmarkErrors]:
    """Measure ``transform`` (of any kind, also under other transforms) at the pairs of two point lists; without one,
    how far the pairs are apart. With the moving volume there are also errors snapped to its voxels, and results of its
    earlier registrations above the moving list are passed over.

    Raises :class:`~DeepRegLib.errors.BadLandmarks` as :func:`~DeepRegSlicer.landmark_pairs.landmark_pairs` does, and
    :class:`~DeepRegLib.errors.BadInput` when the moving volume hangs under a transform that cannot be inverted.
    """
    former = former_results(moving_volume) if moving_volume is not None else []
    pairs = landmark_pairs(fixed, moving, transform, former)
    if transform is None:
        return LandmarkErrors(pairs)
    mapped = map_fixed_points(pairs.fixed.points, fixed, transform)
    if moving_volume is None or moving_volume.GetImageData() is None:
        return LandmarkErrors(pairs, mapped)
    yield
    grid = yield from world_grid_in_steps(moving_volume, [*with_parents(transform), *former])
    return LandmarkErrors(pairs, mapped, snapped_errors(mapped, pairs.moving, grid.geometry))


def errors_table(scene: slicer.vtkMRMLScene) -> slicer.vtkMRMLTableNode:
    """The table node of the panel in this scene, made when there is none yet."""
    return kept_node(scene, "vtkMRMLTableNode", TABLE_ROLE, TABLE_ROLE)


def kept_node(scene: slicer.vtkMRMLScene, class_name: str, role: str, name: str) -> slicer.vtkMRMLNode:
    """The node with this role, made when there is none yet; unlike other review nodes it is listed and saved."""
    node = find_review_node(scene, role)
    if node is None:
        node = scene.AddNewNodeByClass(class_name, name)
        node.SetAttribute(ROLE_ATTRIBUTE, role)
    return node


def write_table(node: slicer.vtkMRMLTableNode, errors: LandmarkErrors) -> None:
    """Let the node list one landmark pair in each row; what it held before is replaced."""
    labels = vtk.vtkStringArray()
    for label in errors.labels:
        labels.InsertNextValue(label)
    labels.SetName(LABEL_COLUMN)
    table = vtk.vtkTable()
    table.AddColumn(labels)
    for title, values in columns(errors).items():
        column = numpy_to_vtk(values.round(ERROR_DECIMALS), deep=True)
        column.SetName(title)
        table.AddColumn(column)
    node.SetAndObserveTable(table)
    node.SetUseColumnTitleAsColumnHeader(True)
    node.SetLocked(True)


def columns(errors: LandmarkErrors) -> dict[str, np.ndarray]:
    """The numbers (n,) of the table by their titles, as far as they are known."""
    named = {BEFORE_COLUMN: errors.before_mm, AFTER_COLUMN: errors.after_mm}
    named |= dict(zip(RESIDUAL_COLUMNS, errors.residuals_ras.T, strict=True))
    named[SNAPPED_COLUMN] = errors.snapped_mm
    return {title: np.ascontiguousarray(values) for title, values in named.items() if values is not None}


def write_csv(path: str | os.PathLike, errors: LandmarkErrors) -> Path:
    """Write the table, the largest error first; the file appears whole or not at all. Returns the path.

    Raises :class:`~DeepRegLib.errors.OutputProblem` when it cannot be written.
    """
    path = Path(path)
    named = columns(errors)
    with whole_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow((LABEL_COLUMN, *named))
        for k in errors.largest_first:
            writer.writerow((errors.labels[k], *(f"{values[k]:.{ERROR_DECIMALS}f}" for values in named.values())))
    return path
