"""The panel's landmarks on the stand-in host: what is measured, and when it is measured again."""

from __future__ import annotations

import time

import numpy as np
import pytest
import vtk
from DeepRegLib.evidence.landmarks import Landmarks
from DeepRegLib.images.volume import Volume
from DeepRegLib.transforms.displacement_field import DisplacementField
from landmark_case import COUNT, GRID, Case, arrow_models, residuals


@pytest.fixture
def case(scene):
    case = Case(scene)
    yield case
    case.close()


@pytest.fixture
def measured(case, spin):
    case.choose(outputTransform=case.add_transform())
    case.settle(spin)
    return case


def test_before_a_registration_only_distances_are_shown(case, spin):
    case.choose()
    case.settle(spin)
    assert case.titles == ["Label", "Before", "R", "A", "S"]
    distances = np.linalg.norm(case.fixed_points - case.moving_points, axis=1)
    assert case.table[0][:2] == ["L17", f"{distances[17]:.2f}"]
    assert f"{distances.mean():.2f} ({distances.std(ddof=1):.2f})" in case.text
    assert case.ui.histogramButton.enabled and not case.ui.beforeAfterButton.enabled


def test_a_result_fills_the_table_with_the_largest_error_first(measured):
    after = np.linalg.norm(residuals(measured), axis=1)
    assert measured.titles == ["Label", "Before", "After", "R", "A", "S", "Snapped"]
    assert [row[0] for row in measured.table] == [f"L{k}" for k in np.argsort(-after)]
    seen = np.array([[float(text) for text in row[2:6]] for row in measured.table])
    expected = np.column_stack([after, residuals(measured) * [-1, -1, 1]])[np.argsort(-after)]
    assert np.abs(seen - expected).max() < 0.011
    assert f"{after.max():.2f}" in measured.text and f"{np.median(after):.2f}" in measured.text
    assert measured.ui.landmarkTable.item(0, 0).font().bold()  # the outlier ...
    assert not measured.ui.landmarkTable.item(COUNT - 1, 0).font().bold()  # ... and nothing else


def test_without_landmarks_the_panel_says_what_to_do(case):
    case.choose(movingLandmarks=None)
    assert case.text.startswith("Choose fixed and moving landmarks")
    buttons = (case.ui.histogramButton, case.ui.beforeAfterButton, case.ui.saveLandmarksButton)
    assert not any(button.enabled for button in buttons)


def test_lists_that_do_not_fit_are_told_in_a_sentence(measured, spin):
    measured.moving.SetFixedNumberOfControlPoints(False)
    measured.moving.RemoveNthControlPoint(5)
    measured.settle(spin)
    assert "each needs a partner" in measured.text
    assert "L5" in measured.text
    assert measured.table == []
    assert not measured.ui.saveLandmarksButton.enabled


def test_a_point_that_is_moved_is_measured_again(measured, spin):
    place = measured.moving_points[4] * [-1, -1, 1] + [0.0, 0.0, 20.0]
    measured.moving.SetNthControlPointPosition(4, *place)
    measured.settle(spin)
    assert measured.table[0][0] == "L4"
    assert abs(float(measured.table[0][2]) - 20.0) < 1.5


def test_many_changes_at_once_are_measured_once(measured, spin, monkeypatch):
    from DeepRegSlicer.panel import landmarks_section

    calls = []
    original = landmarks_section.landmark_errors_in_steps
    monkeypatch.setattr(
        landmarks_section, "landmark_errors_in_steps", lambda *nodes: calls.append(nodes) or original(*nodes)
    )
    for k in range(25):
        measured.moving.SetNthControlPointPosition(k, 0.0, 0.0, float(k))
    measured.settle(spin)
    assert len(calls) == 1


def test_another_field_in_the_transform_is_measured(measured, spin):
    from DeepRegSlicer import nodes

    other = nodes.add_transform(measured.scene, DisplacementField.zero(GRID), "other")
    measured.parameters.outputTransform.SetAndObserveTransformFromParent(other.GetTransformFromParent())
    measured.settle(spin)
    assert measured.table[0][2] == measured.table[0][1]
    assert float(measured.table[-1][2]) > 5  # nothing is moved any more


def test_a_parent_of_the_fixed_list_counts(measured, spin):
    parent = measured.scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "parent")
    measured.fixed.SetAndObserveTransformNodeID(parent.GetID())
    matrix = vtk.vtkMatrix4x4()
    matrix.SetElement(0, 3, 50.0)
    parent.SetMatrixTransformToParent(matrix)
    measured.settle(spin)
    assert float(measured.table[-1][2]) > 40


def test_the_moving_list_may_hang_under_the_result(measured, spin):
    before = measured.table
    measured.moving.SetAndObserveTransformNodeID(measured.parameters.outputTransform.GetID())
    assert measured.section._waiting
    measured.settle(spin)
    assert measured.table == before


def test_an_empty_output_node_measures_nothing(case, spin):
    case.choose(outputTransform=case.scene.AddNewNodeByClass("vtkMRMLGridTransformNode", "to be filled"))
    case.settle(spin)
    assert len(case.table) == COUNT
    assert "After" not in case.titles


def test_the_result_of_another_pair_measures_nothing(case, spin):
    from DeepRegSlicer import nodes

    transform = case.add_transform()
    other = nodes.add_volume(case.scene, Volume(np.zeros(GRID.shape, np.int16), GRID), "somebody else")
    nodes.record_images(transform, case.volumes[0], other)
    case.choose(outputTransform=transform)
    case.settle(spin)
    assert len(case.table) == COUNT
    assert "After" not in case.titles


def test_a_deleted_list_empties_the_section(measured, spin):
    measured.scene.RemoveNode(measured.moving)
    spin(lambda: not measured.table)
    assert measured.text.startswith("Choose fixed and moving landmarks")


def test_closing_the_scene_leaves_nothing_behind(measured, spin):
    measured.choose(showErrorVectors=True)
    measured.section.update(None)
    measured.scene.Clear(0)
    assert measured.table == []
    assert arrow_models(measured) == 0
    assert measured.section.Observations == []


def test_no_step_of_three_hundred_landmarks_holds_the_interface(case, spin):
    from DeepRegSlicer import nodes

    rng = np.random.default_rng(0)
    points = GRID.to_physical(rng.uniform(3, np.array(GRID.size) - 4, (300, 3)))
    lists = [nodes.add_landmarks(case.scene, Landmarks(points + k), f"many {k}", (1, 0, 0)) for k in (0, 1)]
    transform = case.add_transform()
    case.choose(fixedLandmarks=lists[0], movingLandmarks=lists[1], outputTransform=transform, showErrorVectors=True)
    steps = case.section._measure_in_steps(*lists, transform, case.volumes[1])
    seconds, ended = [], False
    while not ended:
        start = time.thread_time()  # of this thread alone: other work may share the processor
        ended = next(steps, "end") == "end"
        seconds.append(time.thread_time() - start)
    assert len(case.table) == 300 and case.table[-1][-1] != ""
    assert max(seconds) < 0.1
