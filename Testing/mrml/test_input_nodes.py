"""Volumes, regions and landmarks of the scene as the registration gets them."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

pytest.importorskip("slicer", reason="needs the MRML library: pip install slicer-core")

import slicer
import vtk
from DeepRegLib.errors import BadInput, BadLandmarks
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.images.volume import Volume
from DeepRegLib.transforms.displacement_field import DisplacementField
from DeepRegLib.transforms.thin_plate_spline import ThinPlateSpline
from DeepRegSlicer import nodes, pacing, resampling
from DeepRegSlicer.input_nodes import check_pair, check_volume_node, landmarks_of, volume_in_steps
from DeepRegSlicer.scene import StandaloneScene
from DeepRegSlicer.steps import finish
from node_cases import (
    FIXED_GRID,
    MOVING_GRID,
    RAS,
    SHEAR,
    TURN,
    apply,
    bend,
    linear_node,
    point_list,
    put_under,
    ramp,
    rigid,
    vtk_points,
    world_points_of,
)


@pytest.fixture
def scene():
    with StandaloneScene() as standalone:
        yield standalone.scene


@pytest.fixture
def image(scene):
    return nodes.add_volume(scene, ramp(MOVING_GRID, 0), "image")


# What is refused ---------------------------------------------------------------------------------------------------


def volume_node(scene, kind: str, components: int = 1, size=(20, 20, 20)):
    data = vtk.vtkImageData()
    data.SetDimensions(*size)
    data.AllocateScalars(vtk.VTK_SHORT, components)
    node = scene.AddNewNodeByClass(kind, "scan")
    node.SetAndObserveImageData(data)
    return node


def test_nothing_chosen_is_refused_with_what_is_missing():
    with pytest.raises(BadInput, match="Choose the moving image"):
        check_volume_node(None, "moving")


@pytest.mark.parametrize(
    ("kind", "components", "word"),
    [
        ("vtkMRMLLabelMapVolumeNode", 1, "label map"),
        ("vtkMRMLVectorVolumeNode", 3, "several values"),
        ("vtkMRMLScalarVolumeNode", 4, "several values"),
        ("vtkMRMLDiffusionTensorVolumeNode", 1, "several values"),
    ],
)
def test_what_is_no_scan_is_refused_by_name(scene, kind, components, word):
    with pytest.raises(BadInput, match=f"fixed image 'scan'.*{word}"):
        check_volume_node(volume_node(scene, kind, components), "fixed")


def test_other_nodes_are_refused(scene):
    with pytest.raises(BadInput, match="not an image"):
        check_volume_node(scene.AddNewNodeByClass("vtkMRMLModelNode", "liver"), "fixed")


def test_a_volume_without_voxels_is_refused(scene):
    with pytest.raises(BadInput, match="no voxels"):
        check_volume_node(scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty"), "fixed")
    with pytest.raises(BadInput, match="no voxels"):
        check_volume_node(volume_node(scene, "vtkMRMLScalarVolumeNode", size=(0, 0, 0)), "fixed")


def test_too_few_voxels_are_refused(scene):
    with pytest.raises(BadInput, match="20 x 20 x 7 voxels"):
        check_volume_node(volume_node(scene, "vtkMRMLScalarVolumeNode", size=(20, 20, 7)), "fixed")


def test_a_single_slice_is_for_methods_that_take_one(scene):
    flat = volume_node(scene, "vtkMRMLScalarVolumeNode", size=(20, 20, 1))
    with pytest.raises(BadInput, match="single slice"):
        check_volume_node(flat, "fixed")
    check_volume_node(flat, "fixed", dimensions=(2, 3))
    with pytest.raises(BadInput, match="slice and the other"):
        check_pair(flat, volume_node(scene, "vtkMRMLScalarVolumeNode"), dimensions=(2, 3))


@pytest.mark.parametrize("broken", [np.nan, 0.0])
def test_a_broken_orientation_is_refused(scene, image, broken):
    matrix = vtk.vtkMatrix4x4()
    for row in range(3):
        matrix.SetElement(row, 1, broken)
    image.SetIJKToRASMatrix(matrix)
    with pytest.raises(BadInput, match="broken"):
        check_volume_node(image, "moving")


def test_the_same_volume_twice_is_refused_and_a_sound_pair_is_not(scene, image):
    with pytest.raises(BadInput, match="fixed and as moving"):
        check_pair(image, image)
    other = nodes.add_volume(scene, ramp(FIXED_GRID, 0), "other")
    assert check_pair(other, image) is None


# Volumes -----------------------------------------------------------------------------------------------------------


def test_a_volume_without_transforms_is_a_view_of_the_node(scene, image):
    volume = finish(volume_in_steps(image))
    assert volume.geometry.matches(MOVING_GRID)
    assert volume.name == "image"
    image.GetImageData().SetScalarComponentFromDouble(3, 4, 5, 0, 77.0)
    assert volume.array[5, 4, 3] == 77.0


@pytest.mark.parametrize("parent", [TURN, TURN @ np.diag([-1.0, 1.0, 1.0, 1.0])], ids=["turned", "mirrored"])
def test_under_a_rigid_transform_the_voxels_stay_and_lie_where_mrml_puts_them(scene, image, parent):
    put_under(image, linear_node(scene, parent))
    volume = finish(volume_in_steps(image))
    assert np.shares_memory(volume.array, resampling.voxels_of(image.GetImageData()))
    index = np.random.default_rng(0).integers(0, MOVING_GRID.size, (20, 3))
    assert np.abs(volume.geometry.to_physical(index) - apply(parent, MOVING_GRID.to_physical(index))).max() < 1e-6


def test_scaling_along_the_axes_of_the_image_only_changes_its_spacing(scene):
    straight = nodes.add_volume(scene, ramp(Geometry((20, 18, 16), (1.0, 1.0, 2.0)), 0), "straight")
    put_under(straight, linear_node(scene, np.diag([1.5, 1.0, 0.5, 1.0])))
    assert np.allclose(finish(volume_in_steps(straight)).geometry.spacing, (1.5, 1.0, 1.0))


def positions_seen(scene, hang_up) -> tuple[np.ndarray, np.ndarray]:
    """World points (n, 3) of voxels of an image under transforms, and the local voxel index that each shows."""
    seen = []
    for axis in range(3):
        node = nodes.add_volume(scene, ramp(MOVING_GRID, axis), "ramp")
        hang_up(node)
        volume = finish(volume_in_steps(node))
        seen.append(volume.array)
    return volume.geometry.points().reshape(-1, 3), np.stack(seen, -1).reshape(-1, 3)


def assert_each_voxel_shows_its_place(seen: np.ndarray, local_points: np.ndarray) -> None:
    index = MOVING_GRID.to_index(local_points)
    inside = ((index > 0.05) & (index < np.array(MOVING_GRID.size) - 1.05)).all(-1)
    assert inside.sum() > 0.4 * MOVING_GRID.voxel_count
    assert np.abs(seen[inside] - index[inside]).max() < 2e-3
    far = ((index < -0.6) | (index > np.array(MOVING_GRID.size) - 0.4)).any(-1)
    assert far.any()
    assert (seen[far] == 0).all()  # the lowest value of the image


def test_under_a_shear_the_image_is_resampled_onto_right_angles(scene):
    points, seen = positions_seen(scene, lambda node: put_under(node, linear_node(scene, SHEAR)))
    assert_each_voxel_shows_its_place(seen, apply(np.linalg.inv(SHEAR), points))


def test_under_a_shear_the_whole_image_is_kept(scene, image):
    put_under(image, linear_node(scene, SHEAR))
    geometry = finish(volume_in_steps(image)).geometry
    assert geometry.contains(apply(SHEAR, MOVING_GRID.corners())).all()
    assert geometry.voxel_count < 3 * MOVING_GRID.voxel_count


def test_a_bent_image_under_a_turned_parent_agrees_with_simpleitk(scene):
    field = bend(MOVING_GRID.with_spacing((3.0, 3.0, 3.0)))

    def hang_up(node):
        put_under(node, nodes.add_transform(scene, field, "bend"), linear_node(scene, TURN))

    points, seen = positions_seen(scene, hang_up)
    straight = apply(np.linalg.inv(TURN), points)
    truth = field.to_sitk_transform()
    inside = field.geometry.contains(straight)  # beyond the field ITK and VTK differ
    points, seen, straight = points[inside], seen[inside], straight[inside]
    local = np.array([truth.TransformPoint(p) for p in straight])
    index = MOVING_GRID.to_index(local)
    shown = ((index > 0.1) & (index < np.array(MOVING_GRID.size) - 1.1)).all(-1)
    shown &= (
        (field.geometry.to_index(straight) > 0)
        & (field.geometry.to_index(straight) < np.array(field.geometry.size) - 1)
    ).all(-1)
    assert shown.sum() > 0.5 * MOVING_GRID.voxel_count
    assert np.abs(seen[shown] - index[shown]).max() < 2e-3


def thin_plate_node(scene):
    corners = np.concatenate([MOVING_GRID.corners(), [MOVING_GRID.centre]])
    moved = corners + np.random.default_rng(3).normal(0, 3, corners.shape)
    spline = vtk.vtkThinPlateSplineTransform()
    spline.SetBasisToR()
    spline.SetSourceLandmarks(vtk_points(moved))
    spline.SetTargetLandmarks(vtk_points(corners))
    node = scene.AddNewNodeByClass("vtkMRMLTransformNode", "thin plates")
    node.SetAndObserveTransformFromParent(spline)
    truth = ThinPlateSpline.fit(moved, corners - moved)
    return node, lambda points: points + truth.at(points)


def bspline_node(scene, tmp_path):
    spline = sitk.BSplineTransformInitializer(
        MOVING_GRID.apply_to(sitk.Image(MOVING_GRID.size, sitk.sitkInt16)), (4, 4, 4)
    )
    spline.SetParameters(np.random.default_rng(4).normal(0, 3, spline.GetNumberOfParameters()))
    path = str(tmp_path / "spline.h5")
    sitk.WriteTransform(spline, path)
    storage = slicer.vtkMRMLTransformStorageNode()
    storage.SetFileName(path)
    node = scene.AddNewNodeByClass("vtkMRMLTransformNode", "spline")
    assert storage.ReadData(node) == 1
    return node, lambda points: np.array([spline.TransformPoint(p) for p in points])


@pytest.mark.parametrize("kind", ["thin plates", "spline", "composite"])
def test_under_any_kind_of_bending_transform_each_voxel_shows_its_place(scene, tmp_path, kind):
    if kind == "spline":
        node, to_local = bspline_node(scene, tmp_path)
    else:
        node, to_local = thin_plate_node(scene)
    if kind == "composite":  # two transforms in one node, as hardening makes them
        turn = linear_node(scene, TURN)
        node.SetAndObserveTransformNodeID(turn.GetID())
        node.HardenTransform()
        assert node.IsComposite()
        bent = to_local

        def to_local(points):
            return bent(apply(np.linalg.inv(TURN), points))

    points, seen = positions_seen(scene, lambda volume: put_under(volume, node))
    if kind == "spline":  # beyond its control points ITK does not bend, VTK does
        inside = MOVING_GRID.contains(points)
        points, seen = points[inside], seen[inside]
    assert_each_voxel_shows_its_place(seen, to_local(points))


def test_neither_the_image_nor_its_transforms_are_changed(scene, image):
    bent = nodes.add_transform(scene, bend(MOVING_GRID), "bend")
    put_under(image, bent, linear_node(scene, SHEAR))
    states = [(image.GetImageData().GetMTime(), resampling.ijk_to_local(image).tolist(), image.GetTransformNodeID())]
    voxels, count = resampling.voxels_of(image.GetImageData()).copy(), scene.GetNumberOfNodes()
    finish(volume_in_steps(image))
    states.append(
        (image.GetImageData().GetMTime(), resampling.ijk_to_local(image).tolist(), image.GetTransformNodeID())
    )
    assert states[0] == states[1]
    assert np.array_equal(voxels, resampling.voxels_of(image.GetImageData()))
    assert scene.GetNumberOfNodes() == count


def test_a_transform_can_be_left_out(scene, image):
    earlier = nodes.add_transform(scene, bend(MOVING_GRID), "earlier result")
    put_under(image, earlier, linear_node(scene, TURN))
    volume = finish(volume_in_steps(image, without=[earlier]))
    assert np.shares_memory(volume.array, resampling.voxels_of(image.GetImageData()))
    assert np.allclose(volume.geometry.origin, apply(TURN, np.array([MOVING_GRID.origin]))[0])


def test_whole_numbers_stay_whole_numbers(scene):
    scan = Volume((100 * ramp(MOVING_GRID, 1).array).astype(np.int16), MOVING_GRID)
    node = nodes.add_volume(scene, scan, "scan")
    put_under(node, linear_node(scene, SHEAR))
    assert finish(volume_in_steps(node)).array.dtype == np.int16


@pytest.mark.parametrize("kind", ["flat", "noise", "huge"])
def test_a_transform_that_makes_no_sense_is_refused(scene, image, kind):
    if kind == "noise":
        noise = np.random.default_rng(0).normal(0, 200, (*MOVING_GRID.shape, 3)).astype(np.float32)
        parent = nodes.add_transform(scene, DisplacementField(noise, MOVING_GRID), kind)
    elif kind == "flat":
        parent = linear_node(scene, np.diag([0.0, 1.0, 1.0, 1.0]), kind)
    else:
        parent = linear_node(scene, rigid((0.5, 0.5, 0.5), (0, 0, 0)) @ np.diag([1.0, 1.0, 50.0, 1.0]), kind)
    put_under(image, parent)
    with pytest.raises(BadInput, match="'image'"):
        finish(volume_in_steps(image))


def test_steps_get_longer_and_shorter_with_the_work(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(pacing.time, "perf_counter", lambda: clock[0])
    parts = []

    def work(start, stop):
        parts.append(stop - start)
        clock[0] += (stop - start) * (0.001 if start < 60 else 0.02)

    finish(pacing.paced_steps(work, 100, 1))
    assert sum(parts) == 100
    assert parts[:4] == [1, 2, 4, 8]
    assert max(parts) <= 21
    assert parts[-1] <= 2


# Landmarks ---------------------------------------------------------------------------------------------------------

PLACES = np.array([[1.0, 2.0, 3.0], [-4.0, 15.5, 26.0], [10.0, -3.0, 20.0]])


def test_landmarks_come_with_their_labels_at_their_places_in_the_world(scene):
    node = point_list(scene, PLACES, "marks")
    put_under(node, linear_node(scene, SHEAR), linear_node(scene, TURN))
    found = landmarks_of(node)
    assert np.abs(found.points - apply(TURN @ SHEAR, PLACES)).max() < 1e-6
    assert found.labels == ("P1", "P2", "P3")
    assert found.name == "marks"


def test_landmarks_under_a_bending_transform_are_where_mrml_shows_them(scene):
    field = bend(FIXED_GRID)
    node = point_list(scene, field.map_points(FIXED_GRID.to_physical([[9, 9, 9], [20, 15, 8]])))
    put_under(node, nodes.add_transform(scene, field, "bend"))
    found = landmarks_of(node)
    assert np.abs(found.points - FIXED_GRID.to_physical([[9, 9, 9], [20, 15, 8]])).max() < 0.02  # inverse to 0.01 mm
    assert np.allclose(found.points, world_points_of(node), atol=1e-6)
    assert np.abs(landmarks_of(node, without=[node.GetParentTransformNode()]).points - found.points).max() > 0.5


def test_points_of_a_curve_are_landmarks_too(scene):
    node = scene.AddNewNodeByClass("vtkMRMLMarkupsCurveNode", "curve")
    node.AddControlPoint(vtk.vtkVector3d(*(PLACES[0] * RAS)), "")
    found = landmarks_of(node)
    assert np.allclose(found.points, PLACES[:1])
    assert len(found.labels[0]) > 0


def test_points_that_are_not_placed_are_named(scene):
    node = point_list(scene, PLACES, "marks")
    node.UnsetNthControlPointPosition(1)
    with pytest.raises(BadLandmarks, match="'marks' are not placed yet: P2"):
        landmarks_of(node)


def test_points_declared_missing_are_left_out_and_rows_kept(scene):
    node = point_list(scene, PLACES)
    node.SetNthControlPointPositionMissing(1)
    found = landmarks_of(node)
    assert found.labels == ("P1", "P3")
    assert found.rows == (1, 3)


def test_an_empty_list_is_refused(scene):
    with pytest.raises(BadLandmarks, match="empty"):
        landmarks_of(scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "none"))
