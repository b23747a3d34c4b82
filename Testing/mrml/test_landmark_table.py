"""Landmark errors held against SimpleITK and plain formulas, as numbers, as a table node and as a file."""

from __future__ import annotations

import csv
import time
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

pytest.importorskip("slicer", reason="needs the MRML library: pip install slicer-core")


from DeepRegLib.errors import BadLandmarks, OutputProblem
from DeepRegLib.evidence.landmarks import Landmarks
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.images.volume import Volume
from DeepRegLib.transforms.displacement_field import DisplacementField
from DeepRegLib.transforms.linear import LinearTransform
from DeepRegSlicer import nodes
from DeepRegSlicer.landmark_table import (
    LandmarkErrors,
    landmark_errors_in_steps,
    write_csv,
    write_table,
)
from DeepRegSlicer.scene import StandaloneScene
from DeepRegSlicer.steps import finish

OBLIQUE = Rotation.from_euler("xyz", (0.25, -0.3, 0.4)).as_matrix()
FIXED_GRID = Geometry((24, 20, 15), (1.1, 0.9, 2.5), (3.0, -7.0, 11.0), tuple(OBLIQUE.ravel()))
LEFT_HANDED = OBLIQUE.T @ np.diag([1.0, 1.0, -1.0])
MOVING_GRID = Geometry((60, 64, 34), (1.2, 1.0, 2.4), (-44.6, -15.8, 40.0), tuple(LEFT_HANDED.ravel()))
COUNT = 300


@pytest.fixture
def scene():
    with StandaloneScene() as standalone:
        yield standalone.scene


def field() -> DisplacementField:
    return DisplacementField((3.0 * np.sin(FIXED_GRID.points() / 6)).astype(np.float32), FIXED_GRID)


class Measured:
    """Landmarks all over an oblique grid, their noisy partners, and the nodes that hold them."""

    def __init__(self, scene) -> None:
        rng = np.random.default_rng(1)
        self.fixed = FIXED_GRID.to_physical(rng.uniform(1, np.array(FIXED_GRID.size) - 2, (COUNT, 3)))
        truth = field().to_sitk_transform()
        self.mapped = np.array([truth.TransformPoint(p) for p in self.fixed])
        self.moving = self.mapped + rng.normal(0, 0.8, (COUNT, 3))
        labels = tuple(f"L{k}" for k in range(COUNT))
        self.fixed_node = nodes.add_landmarks(scene, Landmarks(self.fixed, labels), "fixed", (1, 0, 0))
        shuffled = rng.permutation(COUNT)
        partners = Landmarks(self.moving[shuffled], tuple(labels[k] for k in shuffled))
        self.moving_node = nodes.add_landmarks(scene, partners, "moving", (0, 1, 0))
        self.transform = nodes.add_transform(scene, field(), "result")
        self.image = nodes.add_volume(scene, Volume(np.zeros(MOVING_GRID.shape, np.int16), MOVING_GRID), "moving")

    def errors(self, **others) -> LandmarkErrors:
        arguments = {"transform": self.transform, "moving_volume": self.image} | others
        return finish(landmark_errors_in_steps(self.fixed_node, self.moving_node, **arguments))


@pytest.fixture
def measured(scene) -> Measured:
    return Measured(scene)


def test_errors_agree_with_simpleitk_on_an_oblique_grid(measured):
    errors = measured.errors()
    expected = np.linalg.norm(measured.mapped - measured.moving, axis=1)
    assert np.abs(errors.after_mm - expected).max() < 1e-3
    assert np.allclose(errors.before_mm, np.linalg.norm(measured.fixed - measured.moving, axis=1))
    assert errors.labels[:2] == ("L0", "L1")


def test_components_are_those_of_the_residual_in_ras(measured):
    errors = measured.errors()
    assert np.abs(errors.residuals_ras - (measured.mapped - measured.moving) * [-1, -1, 1]).max() < 1e-3
    assert np.allclose(np.linalg.norm(errors.residuals_ras, axis=1), errors.after_mm)


def test_a_point_that_came_to_lie_too_far_up_has_a_positive_s_component(scene):
    fixed = nodes.add_landmarks(scene, Landmarks([[0.0, 0.0, 5.0]]), "fixed", (1, 0, 0))
    moving = nodes.add_landmarks(scene, Landmarks([[0.0, 0.0, 3.0]]), "moving", (0, 1, 0))
    identity = nodes.add_transform(scene, DisplacementField.zero(FIXED_GRID), "identity")
    errors = finish(landmark_errors_in_steps(fixed, moving, identity))
    assert np.allclose(errors.residuals_ras, [[0.0, 0.0, 2.0]])


def test_snapped_errors_are_measured_from_the_nearest_voxel_of_the_moving_image(measured):
    image = Volume(np.zeros(MOVING_GRID.shape, np.int16), MOVING_GRID).to_sitk()
    nearest = [image.TransformPhysicalPointToIndex(p) for p in measured.mapped]
    centres = np.array([image.TransformIndexToPhysicalPoint(index) for index in nearest])
    expected = np.linalg.norm(centres - measured.moving, axis=1)
    assert np.abs(measured.errors().snapped_mm - expected).max() < 1e-3


def test_snapping_follows_the_moving_image_under_a_parent_and_under_the_result(scene, measured):
    """The image hangs under a rotation, and that under the result: its voxels are those of the rotated image."""
    rotation = np.eye(4)
    rotation[:3, :3] = Rotation.from_euler("z", 20, degrees=True).as_matrix()
    parent = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "parent")
    parent.SetMatrixTransformToParent(nodes.vtk_matrix(rotation))  # about the axis that RAS and LPS share
    measured.image.SetAndObserveTransformNodeID(parent.GetID())
    parent.SetAndObserveTransformNodeID(measured.transform.GetID())
    turn = rotation[:3, :3]
    index = np.rint(MOVING_GRID.to_index(measured.mapped @ turn))  # the inverse of a rotation is its transpose
    centres = MOVING_GRID.to_physical(index) @ turn.T
    expected = np.linalg.norm(centres - measured.moving, axis=1)
    assert np.abs(measured.errors().snapped_mm - expected).max() < 1e-3


def test_hanging_the_moving_list_under_the_result_changes_no_error(measured):
    free = measured.errors()
    measured.moving_node.SetAndObserveTransformNodeID(measured.transform.GetID())
    assert np.array_equal(measured.errors().after_mm, free.after_mm)
    assert np.array_equal(measured.errors().before_mm, free.before_mm)


def test_before_a_registration_there_is_only_the_distance(measured):
    errors = measured.errors(transform=None)
    assert errors.after_mm is None and errors.snapped_mm is None
    assert list(errors.statistics()) == ["before"]
    assert np.array_equal(errors.current_mm, errors.before_mm)


def test_without_the_moving_image_nothing_is_snapped(measured):
    assert list(measured.errors(moving_volume=None).statistics()) == ["before", "after"]


def test_statistics_are_those_of_numpy_with_the_deviation_of_a_sample(measured):
    errors = measured.errors()
    found = errors.statistics()["after"]
    after = np.linalg.norm(measured.mapped - measured.moving, axis=1)
    expected = (COUNT, after.mean(), after.std(ddof=1), np.median(after), np.percentile(after, 95), after.max())
    assert np.allclose(list(found.as_dict().values()), expected, atol=1e-3)


def test_only_errors_far_above_the_others_are_outliers(measured):
    errors = measured.errors()
    after = np.linalg.norm(measured.mapped - measured.moving, axis=1)
    quartiles = np.quantile(after, [0.25, 0.75])
    assert np.array_equal(errors.outliers, after > quartiles[1] + 1.5 * np.diff(quartiles)[0])
    assert errors.outliers.sum() < 0.05 * COUNT
    assert errors.current_mm[errors.largest_first[0]] == errors.current_mm.max()


def test_three_hundred_landmarks_take_less_than_20_ms(measured):
    seconds = []
    for _ in range(5):  # the best of some: other work may share the processor
        start = time.perf_counter()
        measured.errors()
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.02


def test_the_table_node_lists_every_number(scene, measured):
    node = scene.AddNewNodeByClass("vtkMRMLTableNode", "errors")
    errors = measured.errors()
    write_table(node, errors)
    titles = [node.GetColumnName(i) for i in range(node.GetNumberOfColumns())]
    assert titles == [
        "landmark", "before (mm)", "after (mm)", "R (mm)", "A (mm)", "S (mm)", "after, snapped to voxels (mm)",
    ]  # fmt: skip
    assert [node.GetCellText(k, 0) for k in (0, 7)] == ["L0", "L7"]
    seen = [[float(node.GetCellText(k, c)) for c in range(1, 7)] for k in range(COUNT)]
    residual = (measured.mapped - measured.moving) * [-1, -1, 1]
    expected = np.column_stack([errors.before_mm, np.linalg.norm(residual, axis=1), residual, errors.snapped_mm])
    assert np.abs(np.array(seen) - expected).max() < 2e-3


def test_writing_a_table_again_replaces_what_it_held(scene, measured):
    node = scene.AddNewNodeByClass("vtkMRMLTableNode", "errors")
    write_table(node, measured.errors())
    write_table(node, measured.errors(transform=None))
    assert [node.GetColumnName(i) for i in range(node.GetNumberOfColumns())] == [
        "landmark", "before (mm)", "R (mm)", "A (mm)", "S (mm)",
    ]  # fmt: skip


def test_the_csv_file_lists_the_largest_error_first(measured, tmp_path: Path):
    errors = measured.errors()
    path = write_csv(tmp_path / "Fehler ä.csv", errors)
    rows = list(csv.DictReader(path.open(encoding="utf-8")))
    after = [float(row["after (mm)"]) for row in rows]
    assert len(rows) == COUNT
    assert after == sorted(after, reverse=True)
    worst = int(np.argmax(errors.after_mm))
    assert rows[0]["landmark"] == f"L{worst}"
    assert abs(float(rows[0]["before (mm)"]) - errors.before_mm[worst]) < 1e-3


def test_a_folder_that_is_not_there_is_told(measured, tmp_path: Path):
    with pytest.raises(OutputProblem, match=r"errors\.csv"):
        write_csv(tmp_path / "missing" / "errors.csv", measured.errors())


def test_a_map_on_its_own_is_measured_too():
    shift = np.array([3.0, 0.0, 4.0])
    fixed = Landmarks([[5.0, -3.0, 20.0], [8.0, 0.0, 25.0]], ("a", "b"))
    moving = Landmarks(fixed.points + np.array([[3.0, 0.0, 4.0], [3.0, 0.0, 5.0]]), ("a", "b"))
    errors = LandmarkErrors.of(fixed, moving, LinearTransform(translation=shift), Geometry((40, 40, 40)))
    assert np.allclose(errors.before_mm, [5.0, np.sqrt(34.0)])
    assert np.allclose(errors.after_mm, [0.0, 1.0])
    assert np.allclose(errors.snapped_mm, [0.0, 1.0])


def test_landmarks_that_are_no_pairs_are_refused():
    two, one = Landmarks([[0, 0, 0], [1, 1, 1]]), Landmarks([[0, 0, 0]])
    with pytest.raises(BadLandmarks, match="pairs"):
        LandmarkErrors.of(two, one, LinearTransform(), Geometry((4, 4, 4)))
