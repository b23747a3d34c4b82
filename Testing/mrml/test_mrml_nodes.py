"""Registration results as MRML nodes, held against SimpleITK."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

pytest.importorskip("slicer", reason="needs the MRML library: pip install slicer-core")

import slicer
import vtk
from DeepRegLib.evidence.landmarks import Landmarks
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.images.volume import Volume
from DeepRegLib.transforms.displacement_field import DisplacementField
from DeepRegLib.transforms.linear import LinearTransform
from DeepRegSlicer import deformation_grid, nodes, result
from DeepRegSlicer.result import add_result
from DeepRegSlicer.scene import StandaloneScene
from vtk.util.numpy_support import vtk_to_numpy

OBLIQUE = Rotation.from_euler("xyz", (0.25, -0.3, 0.4)).as_matrix()
LEFT_HANDED = OBLIQUE @ np.diag([1.0, 1.0, -1.0])
GRIDS = {
    "oblique": Geometry((24, 20, 15), (1.1, 0.9, 2.5), (3.0, -7.0, 11.0), tuple(OBLIQUE.ravel())),
    "left-handed": Geometry((24, 20, 15), (1.1, 0.9, 2.5), (3.0, -7.0, 11.0), tuple(LEFT_HANDED.ravel())),
    "coarse": Geometry((9, 8, 7), (3.1, 2.6, 6.0), (2.0, -7.5, 9.0), tuple(OBLIQUE.ravel())),
}
MOVING_GRID = Geometry((60, 64, 34), (1.2, 1.0, 2.4), (-44.6, -15.8, -3.0), tuple(OBLIQUE.T.ravel()))
"""Oblique in another way, and large enough to hold most of either fixed grid."""


@pytest.fixture
def scene():
    with StandaloneScene() as standalone:
        yield standalone.scene


def waves(geometry: Geometry, seed: int = 0) -> np.ndarray:
    """Smooth values (z, y, x) between -1 and 1."""
    phase = geometry.points() @ np.random.default_rng(seed).normal(0, 0.12, (3, 3))
    return np.sin(phase).prod(-1)


def smooth_field(geometry: Geometry, amplitude_mm: float = 3.0) -> DisplacementField:
    vectors = np.stack([waves(geometry, seed) for seed in (1, 2, 3)], -1)
    return DisplacementField((amplitude_mm * vectors).astype(np.float32), geometry)


def random_indices(geometry: Geometry, count: int = 40) -> np.ndarray:
    return np.random.default_rng(5).integers(1, np.array(geometry.size) - 1, (count, 3))


def from_parent(node, points_lps: np.ndarray) -> np.ndarray:
    """LPS points through the node's transform from parent, which works in RAS."""
    signs = np.array([-1, -1, 1])
    transform = node.GetTransformFromParent()
    return np.array([transform.TransformPoint(*(p * signs)) for p in points_lps]) * signs


@pytest.mark.parametrize("grid", GRIDS)
def test_a_transform_node_maps_grid_points_as_simpleitk_does(scene, grid):
    field = smooth_field(GRIDS[grid])
    node = nodes.add_transform(scene, field, "warp")
    truth = field.to_sitk_transform()
    image = field.to_sitk()
    points = np.array([image.TransformIndexToPhysicalPoint(i.tolist()) for i in random_indices(field.geometry)])
    expected = np.array([truth.TransformPoint(p) for p in points])
    assert np.abs(from_parent(node, points) - expected).max() < 1e-3
    assert np.abs(expected - points).max() > 1  # the field does move them


@pytest.mark.parametrize("grid", GRIDS)
def test_a_transform_node_interpolates_between_grid_points_as_simpleitk_does(scene, grid):
    field = smooth_field(GRIDS[grid])
    node = nodes.add_transform(scene, field, "warp")
    truth = field.to_sitk_transform()
    points = field.geometry.to_physical(random_indices(field.geometry) + np.array([0.4, -0.3, 0.25]))
    expected = np.array([truth.TransformPoint(p) for p in points])
    assert np.abs(from_parent(node, points) - expected).max() < 1e-3


def test_the_field_of_a_single_slice_becomes_a_transform_node(scene):
    field = smooth_field(Geometry((24, 20, 1), (1.1, 0.9, 1.0), (3.0, -7.0, 11.0)))
    node = nodes.add_transform(scene, field, "warp")
    points = field.geometry.to_physical([[3, 4, 0], [10.5, 7.25, 0]])
    expected = [field.to_sitk_transform().TransformPoint(p) for p in points]
    assert np.abs(from_parent(node, points) - expected).max() < 1e-3


@pytest.mark.parametrize("grid", ["oblique", "left-handed"])
def test_a_moving_image_under_the_transform_is_resampled_as_by_simpleitk(scene, grid):
    fixed = Volume((100 * waves(GRIDS[grid])).astype(np.float32), GRIDS[grid])
    moving = Volume((100 * waves(MOVING_GRID, 7)).astype(np.float32), MOVING_GRID)
    field = smooth_field(GRIDS[grid])
    fixed_node = nodes.add_volume(scene, fixed, "fixed")
    moving_node = nodes.add_volume(scene, moving, "moving")
    moving_node.SetAndObserveTransformNodeID(nodes.add_transform(scene, field, "warp").GetID())

    outside = -1000.0
    truth = sitk.Resample(moving.to_sitk(), fixed.to_sitk(), field.to_sitk_transform(), sitk.sitkLinear, outside)
    expected = sitk.GetArrayFromImage(truth)
    seen = resampled_by_vtk(moving_node, fixed_node, outside)
    inside = (expected > -200) & (seen > -200)  # at the border of the moving image the two cut off differently
    assert inside.mean() > 0.3
    assert np.abs(seen - expected)[inside].max() < 0.1  # of a range of about 200


def resampled_by_vtk(moving_node, fixed_node, outside: float) -> np.ndarray:
    """The moving volume on the voxels of the fixed one, by the transforms that MRML itself combines."""
    fixed_to_ras, ras_to_moving = vtk.vtkMatrix4x4(), vtk.vtkMatrix4x4()
    fixed_node.GetIJKToRASMatrix(fixed_to_ras)
    moving_node.GetRASToIJKMatrix(ras_to_moving)
    world_to_moving = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(None, moving_node.GetParentTransformNode(), world_to_moving)
    chain = vtk.vtkGeneralTransform()
    chain.PostMultiply()
    for step in (fixed_to_ras, world_to_moving, ras_to_moving):
        chain.Concatenate(step)
    reslice = vtk.vtkImageReslice()
    reslice.SetInputData(moving_node.GetImageData())
    reslice.SetResliceTransform(chain)
    reslice.SetInterpolationModeToLinear()
    reslice.SetBackgroundLevel(outside)
    reslice.SetOutputOrigin(0, 0, 0)
    reslice.SetOutputSpacing(1, 1, 1)
    reslice.SetOutputExtent(fixed_node.GetImageData().GetExtent())
    reslice.Update()
    image = reslice.GetOutput()
    return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(image.GetDimensions()[::-1])


@pytest.mark.parametrize("grid", GRIDS)
def test_a_volume_node_puts_every_voxel_where_simpleitk_puts_it(scene, grid):
    volume = Volume(np.arange(GRIDS[grid].voxel_count, dtype=np.int32).reshape(GRIDS[grid].shape), GRIDS[grid])
    node = nodes.add_volume(scene, volume, "image")
    image = volume.to_sitk()
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    for index in random_indices(volume.geometry, 5).tolist():
        r, a, s, _ = matrix.MultiplyPoint((*index, 1.0))
        assert np.allclose((-r, -a, s), image.TransformIndexToPhysicalPoint(index), atol=1e-9)
        assert node.GetImageData().GetScalarComponentAsDouble(*index, 0) == image[index]


@pytest.mark.parametrize("kind", [bool, np.uint8, np.int16, np.uint16, np.float16, np.float32, np.float64, np.int64])
def test_a_volume_node_takes_voxels_of_any_type(scene, kind):
    array = np.random.default_rng(0).integers(0, 2, (4, 5, 6)).astype(kind)
    node = nodes.add_volume(scene, Volume(array, Geometry((6, 5, 4))), "image")
    seen = vtk_to_numpy(node.GetImageData().GetPointData().GetScalars()).reshape(array.shape)
    assert np.array_equal(seen, array.astype(float))


def test_the_voxels_of_a_node_are_a_copy(scene):
    array = np.zeros((4, 5, 6), np.int16)
    node = nodes.add_volume(scene, Volume(array, Geometry((6, 5, 4))), "image")
    array[:] = 7
    assert node.GetImageData().GetScalarRange() == (0.0, 0.0)


def window_and_level(scene, array: np.ndarray) -> tuple[float, float]:
    display = nodes.add_volume(scene, Volume(array, Geometry(array.shape[::-1])), "image").GetDisplayNode()
    return display.GetWindow(), display.GetLevel()


def test_a_chest_ct_is_shown_in_the_lung_window(scene):
    chest = np.full((20, 20, 20), -1000, np.int16)
    chest[:, 4:16, 2:18] = 40
    chest[:, 6:14, 4:9] = chest[:, 6:14, 11:16] = -800
    assert window_and_level(scene, chest) == nodes.CT_LUNG


def test_a_ct_without_lungs_is_shown_in_the_soft_tissue_window(scene):
    abdomen = np.full((20, 20, 20), -1000, np.int16)
    abdomen[:, 4:16, 2:18] = 40
    assert window_and_level(scene, abdomen) == nodes.CT_ABDOMEN


def test_an_image_that_is_no_ct_gets_the_window_that_fits_its_values(scene):
    window, level = window_and_level(scene, np.random.default_rng(0).normal(500, 50, (20, 20, 20)).astype(np.float32))
    assert 400 < level < 600
    assert 50 < window < 500


def test_landmarks_keep_place_label_colour_and_are_locked(scene):
    landmarks = Landmarks([[1.0, 2.0, 3.0], [-4.0, 5.5, 6.0]], ("carina", "L2"))
    node = nodes.add_landmarks(scene, landmarks, "landmarks", (1.0, 0.0, 0.0))
    assert np.allclose(node.GetNthControlPointPosition(0), (-1.0, -2.0, 3.0))
    assert np.allclose(node.GetNthControlPointPosition(1), (4.0, -5.5, 6.0))
    assert [node.GetNthControlPointLabel(i) for i in range(2)] == ["carina", "L2"]
    assert node.GetDisplayNode().GetSelectedColor() == (1.0, 0.0, 0.0)
    assert node.GetLocked()


def test_moving_landmarks_under_the_transform_land_on_the_fixed_ones(scene):
    field = smooth_field(GRIDS["oblique"])
    points = field.geometry.to_physical(random_indices(field.geometry, 10))
    truth = field.to_sitk_transform()
    moving = Landmarks(np.array([truth.TransformPoint(p) for p in points]))
    node = nodes.add_landmarks(scene, moving, "moving", (0.0, 1.0, 0.0))
    node.SetAndObserveTransformNodeID(nodes.add_transform(scene, field, "warp").GetID())
    seen = np.array([node.GetNthControlPointPositionWorld(i) for i in range(10)]) * [-1, -1, 1]
    assert np.abs(seen - points).max() < 0.02  # 3D Slicer inverts to 0.01 mm


def test_the_nearest_rigid_motion_is_found_exactly():
    rotation, shift = Rotation.from_euler("xyz", (0.4, -0.2, 1.1)).as_matrix(), np.array([30.0, -5.0, 12.0])
    points = np.random.default_rng(3).normal(size=(50, 3)) * 40
    found = deformation_grid.nearest_rigid_motion(points, points @ rotation.T + shift)
    assert np.allclose(found.matrix, rotation)
    assert np.allclose(found.translation, shift)


def test_the_nearest_rigid_motion_agrees_with_scipy_on_deformed_points():
    rng = np.random.default_rng(4)
    points = rng.normal(size=(80, 3)) * 40
    mapped = points @ Rotation.from_euler("z", 0.3).as_matrix().T + rng.normal(size=(80, 3)) * 3
    truth, _ = Rotation.align_vectors(mapped - mapped.mean(0), points - points.mean(0))
    assert np.allclose(deformation_grid.nearest_rigid_motion(points, mapped).matrix, truth.as_matrix())


def test_the_drawn_deformation_is_what_a_rigid_motion_leaves():
    rigid = LinearTransform(Rotation.from_euler("x", 0.1).as_matrix(), [0.0, 4.0, -33.0])
    drawn = deformation_grid.without_rigid_motion(rigid.to_field(GRIDS["left-handed"]), 3.0)
    assert np.abs(drawn.array).max() < 1e-3


class Pair:
    """A registration with landmarks on an oblique grid."""

    def __init__(self, **changes) -> None:
        self.fixed = Volume((100 * waves(GRIDS["oblique"])).astype(np.float32), GRIDS["oblique"], "CT of May")
        self.moving = Volume((100 * waves(MOVING_GRID)).astype(np.float32), MOVING_GRID)
        self.warped = None
        self.transform = smooth_field(GRIDS["oblique"])
        self.fixed_landmarks = self.moving_landmarks = None
        vars(self).update(changes)


def test_a_result_records_its_images_and_moves_only_the_moving_one(scene):
    added = add_result(scene, Pair())
    role = slicer.vtkMRMLTransformNode
    assert added.transform.GetNodeReference(role.GetFixedNodeReferenceRole()) is added.fixed
    assert added.transform.GetNodeReference(role.GetMovingNodeReferenceRole()) is added.moving
    assert added.moving.GetParentTransformNode() is added.transform
    assert added.fixed.GetParentTransformNode() is None
    assert (added.fixed.GetName(), added.moving.GetName()) == ("CT of May (fixed)", "moving")
    assert added.warped is added.fixed_landmarks is added.errors is None


def test_a_result_goes_into_the_scene_of_the_application(scene, monkeypatch):
    monkeypatch.setattr(slicer, "mrmlScene", scene, raising=False)
    added = add_result(slicer.mrmlScene, Pair())
    assert slicer.mrmlScene.GetFirstNodeByName("fixed to moving") is added.transform


def test_a_very_long_field_is_stored_on_a_coarser_grid(scene, monkeypatch):
    monkeypatch.setattr(result, "MAXIMUM_TRANSFORM_VALUES", 10_000)
    pair = Pair()
    node = add_result(scene, pair).transform
    grid = node.GetTransformFromParent().GetDisplacementGrid()
    assert 3 * grid.GetNumberOfPoints() < 1.2 * 10_000 < pair.transform.array.size
    points = pair.transform.geometry.to_physical(random_indices(pair.transform.geometry))
    expected = np.array([pair.transform.to_sitk_transform().TransformPoint(p) for p in points])
    assert np.abs(from_parent(node, points) - expected).max() < 0.6  # of 3 mm; grid points 1.2 times as far apart
