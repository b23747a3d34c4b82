"""Two point lists become pairs, wherever their nodes hang in the scene."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

pytest.importorskip("slicer", reason="needs the MRML library: pip install slicer-core")


import vtk
from DeepRegLib.errors import BadLandmarks
from DeepRegLib.evidence.landmarks import Landmarks
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.transforms.displacement_field import DisplacementField
from DeepRegSlicer import nodes
from DeepRegSlicer.landmark_pairs import landmark_pairs, map_fixed_points, seen_in_fixed_image
from DeepRegSlicer.scene import StandaloneScene

RAS = np.array([-1.0, -1.0, 1.0])
POINTS = np.array([[10.0, -20.0, 30.0], [-5.0, 4.0, 12.0], [7.5, 8.5, -9.5]])
MOVED = POINTS + np.array([1.0, 2.0, 3.0])
GRID = Geometry((20, 20, 20), (6.0, 6.0, 6.0), (-57.0, -57.0, -57.0))


@pytest.fixture
def scene():
    with StandaloneScene() as standalone:
        yield standalone.scene


def point_list(scene, points, labels, name="list"):
    return nodes.add_landmarks(scene, Landmarks(points, tuple(labels)), name, (1.0, 0.0, 0.0))


def linear(scene, degrees=(20.0, -10.0, 30.0), shift=(5.0, -60.0, 12.0)):
    """A linear transform node, and its matrix *to parent* for LPS points."""
    to_parent = np.eye(4)
    to_parent[:3, :3] = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    to_parent[:3, 3] = shift
    ras = np.diag([-1.0, -1.0, 1.0, 1.0])
    node = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "parent")
    node.SetMatrixTransformToParent(nodes.vtk_matrix(ras @ to_parent @ ras))
    return node, to_parent


def through(matrix, points):
    return points @ matrix[:3, :3].T + matrix[:3, 3]


def warp(scene, amplitude_mm=4.0):
    vectors = amplitude_mm * np.sin(GRID.points()[..., ::-1] / 15)
    return nodes.add_transform(scene, DisplacementField(vectors.astype(np.float32), GRID), "result")


def folded(scene):
    """A transform that takes every place to one point: it has no inverse."""
    field = DisplacementField((-GRID.points()).astype(np.float32), GRID)
    return nodes.add_transform(scene, field, "result")


def test_equal_labels_make_pairs_whatever_their_order(scene):
    fixed = point_list(scene, POINTS, ("a", "b", "c"))
    moving = point_list(scene, MOVED[[2, 0, 1]], ("c", "a", "b"))
    pairs = landmark_pairs(fixed, moving)
    assert pairs.by_label
    assert np.allclose(pairs.moving.points, MOVED)
    assert pairs.moving.labels == ("a", "b", "c")
    assert pairs.moving.rows == (2, 3, 1)  # where to find them in the moving list


def test_lists_without_common_labels_are_paired_in_their_order(scene):
    fixed = point_list(scene, POINTS, ("F-1", "F-2", "F-3"))
    moving = point_list(scene, MOVED, ("M-1", "M-2", "M-3"))
    pairs = landmark_pairs(fixed, moving)
    assert not pairs.by_label
    assert np.allclose(pairs.moving.points, MOVED)


def test_a_label_that_only_differs_in_its_row_still_pairs_in_order(scene):
    pairs = landmark_pairs(point_list(scene, POINTS, "abc"), point_list(scene, MOVED, "abx"))
    assert not pairs.by_label
    assert np.allclose(pairs.moving.points, MOVED)


def test_common_labels_in_other_rows_are_not_paired_in_order(scene):
    fixed = point_list(scene, POINTS, ("L1", "L2", "L3"), "before")
    moving = point_list(scene, MOVED, ("L2", "L3", "L4"), "after")
    with pytest.raises(BadLandmarks) as error:
        landmark_pairs(fixed, moving)
    assert "'L1' (only in 'before')" in error.value.hint
    assert "'L4' (only in 'after')" in error.value.hint


def test_landmarks_without_a_partner_are_named(scene):
    fixed = point_list(scene, POINTS, ("apex", "carina", "hilum"), "before")
    moving = point_list(scene, MOVED[:2], ("apex", "carina"), "after")
    with pytest.raises(BadLandmarks, match="'before' has 3 landmarks and 'after' has 2") as error:
        landmark_pairs(fixed, moving)
    assert "'hilum' (only in 'before')" in error.value.hint


def test_a_label_that_occurs_twice_is_named(scene):
    fixed = point_list(scene, POINTS, ("a", "b", "b"), "before")
    with pytest.raises(BadLandmarks, match="of 'before' is called 'b'"):
        landmark_pairs(fixed, point_list(scene, MOVED, ("a", "b", "c")))


def test_the_same_list_twice_is_refused(scene):
    fixed = point_list(scene, POINTS, "abc", "before")
    with pytest.raises(BadLandmarks, match="'before' is chosen as the fixed and as the moving"):
        landmark_pairs(fixed, fixed)


def test_a_point_that_is_not_placed_is_named(scene):
    moving = point_list(scene, MOVED, ("a", "b", "c"), "after")
    moving.UnsetNthControlPointPosition(1)
    with pytest.raises(BadLandmarks, match="'after' are not placed yet: b"):
        landmark_pairs(point_list(scene, POINTS, "abc"), moving)


def test_transforms_above_the_lists_are_applied(scene):
    fixed, moving = point_list(scene, POINTS, "abc"), point_list(scene, MOVED, "abc")
    parent, matrix = linear(scene)
    grandparent, above = linear(scene, (0.0, 5.0, 0.0), (1.0, 2.0, 3.0))
    parent.SetAndObserveTransformNodeID(grandparent.GetID())
    fixed.SetAndObserveTransformNodeID(parent.GetID())
    moving.SetAndObserveTransformNodeID(grandparent.GetID())
    pairs = landmark_pairs(fixed, moving, warp(scene))
    assert np.allclose(pairs.fixed.points, through(above, through(matrix, POINTS)))
    assert np.allclose(pairs.places, pairs.fixed.points)
    assert np.allclose(pairs.moving.points, through(above, MOVED))


@pytest.mark.parametrize("result", [warp, folded])
def test_a_moving_list_under_the_result_is_taken_as_it_was_even_where_the_result_has_no_inverse(scene, result):
    fixed, moving = point_list(scene, POINTS, "abc"), point_list(scene, MOVED, "abc")
    parent, matrix = linear(scene)
    transform = result(scene)
    moving.SetAndObserveTransformNodeID(parent.GetID())
    parent.SetAndObserveTransformNodeID(transform.GetID())
    pairs = landmark_pairs(fixed, moving, transform)
    assert np.abs(pairs.moving.points - through(matrix, MOVED)).max() < 1e-12  # exact: nothing was inverted


def test_a_fixed_list_under_the_result_is_refused(scene):
    fixed, moving = point_list(scene, POINTS, "abc", "before"), point_list(scene, MOVED, "abc")
    transform = warp(scene)
    fixed.SetAndObserveTransformNodeID(transform.GetID())
    with pytest.raises(BadLandmarks, match="'before' hang under the result 'result'"):
        landmark_pairs(fixed, moving, transform)


def test_points_go_forward_through_a_chain_of_transforms(scene):
    """An affine map above a deformable one, as 3D Slicer nests them: x goes through the outer one first."""
    fixed = point_list(scene, POINTS, "abc")
    deformable = warp(scene)
    affine, to_parent = linear(scene, shift=(1.0, 2.0, 3.0))
    deformable.SetAndObserveTransformNodeID(affine.GetID())
    field = DisplacementField((4.0 * np.sin(GRID.points()[..., ::-1] / 15)).astype(np.float32), GRID)
    inner = through(np.linalg.inv(to_parent), POINTS)
    expected = [field.to_sitk_transform().TransformPoint(p) for p in inner]
    assert np.abs(map_fixed_points(POINTS, fixed, deformable) - expected).max() < 1e-4


def test_what_both_lists_and_the_result_hang_under_together_does_not_count(scene):
    fixed, moving, transform = point_list(scene, POINTS, "abc"), point_list(scene, MOVED, "abc"), warp(scene)
    alone = map_fixed_points(POINTS, fixed, transform)
    scanner, matrix = linear(scene)
    for node in (fixed, moving, transform):
        node.SetAndObserveTransformNodeID(scanner.GetID())
    pairs = landmark_pairs(fixed, moving, transform)
    assert np.allclose(map_fixed_points(pairs.fixed.points, fixed, transform), alone)
    assert np.allclose(pairs.moving.points, MOVED)
    assert np.allclose(pairs.places, through(matrix, POINTS))  # where the views show them


def test_a_thin_plate_spline_node_takes_landmarks_to_their_partners(scene):
    fixed = point_list(scene, POINTS, "abc")
    corners = np.array([[x, y, z] for x in (-60.0, 60.0) for y in (-60.0, 60.0) for z in (-60.0, 60.0)])
    source, target = vtk.vtkPoints(), vtk.vtkPoints()
    for a, b in zip(np.vstack([POINTS, corners]), np.vstack([MOVED, corners]), strict=True):
        source.InsertNextPoint(a * RAS)
        target.InsertNextPoint(b * RAS)
    spline = vtk.vtkThinPlateSplineTransform()
    spline.SetBasisToR()
    spline.SetSourceLandmarks(source)
    spline.SetTargetLandmarks(target)
    node = scene.AddNewNodeByClass("vtkMRMLTransformNode", "spline")
    node.SetAndObserveTransformFromParent(spline)
    assert np.abs(map_fixed_points(POINTS, fixed, node) - MOVED).max() < 1e-4


def test_moving_landmarks_are_drawn_where_the_result_puts_them(scene):
    moving, transform = point_list(scene, MOVED, "abc"), warp(scene)
    moving.SetAndObserveTransformNodeID(transform.GetID())
    seen = np.array([moving.GetNthControlPointPositionWorld(i) for i in range(3)]) * RAS
    assert np.abs(seen_in_fixed_image(MOVED, transform) - seen).max() < 1e-3
