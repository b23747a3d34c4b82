"""What the review measures and paints, against formulas."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

pytest.importorskip("slicer", reason="needs the MRML library: pip install slicer-core")

import slicer
import vtk
from DeepRegLib.evidence.jacobian import jacobian_determinant
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.images.volume import Volume
from DeepRegLib.transforms.displacement_field import DisplacementField
from DeepRegLib.transforms.linear import LinearTransform
from DeepRegSlicer import compared_images, nodes, overlays
from DeepRegSlicer.deformation_grid import rigid_motion_of
from DeepRegSlicer.field_maps import (
    determinant_in_steps,
    displacement_in_steps,
    folding_of,
    largest_on_scale,
    rigid_shift_mm,
)
from DeepRegSlicer.linked_crosshair import corresponding_point
from DeepRegSlicer.resampling import voxels_of
from DeepRegSlicer.result_marks import WARPED
from DeepRegSlicer.review_pair import ReviewPair, moved_image, pair_of, unmoved_image
from DeepRegSlicer.scene import StandaloneScene
from DeepRegSlicer.segment_measures import measure
from DeepRegSlicer.steps import finish
from DeepRegSlicer.transform_chain import local_to_world, map_points
from DeepRegSlicer.transform_field import field_in_steps

OBLIQUE = Rotation.from_euler("xyz", (0.25, -0.3, 0.4)).as_matrix()
GRID = Geometry((24, 20, 16), (1.5, 2.0, 2.5), (10.0, -40.0, 70.0), tuple((OBLIQUE @ np.diag([1, 1, -1])).ravel()))
STRAIGHT = Geometry((32, 28, 20), (2.0, 2.0, 3.0), (-30.0, -20.0, 50.0))
RIGID = LinearTransform(Rotation.from_euler("z", 0.2).as_matrix(), np.array([20.0, -10.0, 5.0]))
AFFINE = LinearTransform(np.array([[1.2, 0.1, 0.0], [0.0, 0.9, 0.05], [0.1, 0.0, 1.1]]), np.array([1.0, 2.0, 3.0]))


@pytest.fixture
def scene():
    with StandaloneScene() as standalone:
        yield standalone.scene


def waves(geometry: Geometry, amplitude_mm: float = 3.0) -> DisplacementField:
    points = geometry.points() - geometry.centre
    vectors = amplitude_mm * np.sin(points[..., [1, 2, 0]] / 12)
    return DisplacementField(vectors.astype(np.float32), geometry)


def fold(geometry: Geometry) -> DisplacementField:
    """T' is -0.8 along x over three voxels, and between 0 and 1 beside them."""
    index = np.arange(geometry.size[0])
    ramp = np.interp(index, [10, 14], [0.0, -1.8 * 4]) * geometry.spacing[0]
    vectors = np.zeros((*geometry.shape, 3), np.float32)
    vectors[..., 0] = ramp
    return DisplacementField(vectors, geometry)


def make_pair(scene, fixed: Volume, moving: Volume, field: DisplacementField) -> ReviewPair:
    transform = nodes.add_transform(scene, field, "T")
    nodes.record_images(transform, nodes.add_volume(scene, fixed, "fixed"), nodes.add_volume(scene, moving, "moving"))
    return pair_of(transform)


def image(geometry: Geometry, seed: int = 0) -> Volume:
    return Volume(np.random.default_rng(seed).uniform(0, 1000, geometry.shape).astype(np.float32), geometry)


def test_a_grid_of_a_node_is_read_back_as_it_was(scene):
    field = waves(GRID)
    node = nodes.add_transform(scene, field, "T")
    read = finish(field_in_steps(node, STRAIGHT))
    assert read.geometry.matches(GRID)
    assert np.abs(read.array - field.array).max() < 1e-5


def test_a_transform_that_is_no_grid_is_sampled(scene):
    node = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "turned")
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("y", 0.3).as_matrix()
    matrix[:3, 3] = (4.0, 5.0, 6.0)
    node.SetMatrixTransformFromParent(nodes.vtk_matrix(matrix))
    read = finish(field_in_steps(node, STRAIGHT))
    signs = np.array([-1.0, -1.0, 1.0])
    expected = ((STRAIGHT.points() * signs) @ matrix[:3, :3].T + matrix[:3, 3]) * signs
    assert np.abs(STRAIGHT.points() + read.array - expected).max() < 1e-3


def test_a_grid_that_is_kept_as_the_inverse_is_inverted(scene):
    there = nodes.add_transform(scene, waves(STRAIGHT), "there")
    back = scene.AddNewNodeByClass("vtkMRMLGridTransformNode", "back")
    back.SetAndObserveTransformToParent(there.GetTransformFromParent())
    inner = Geometry((12, 10, 6), (2.0, 2.0, 3.0), (-10.0, -4.0, 68.0))
    read = finish(field_in_steps(back, inner))
    assert np.abs(waves(STRAIGHT).map_points(inner.points() + read.array) - inner.points()).max() < 0.05


def test_displacement_is_the_length_of_what_is_left_beside_the_rigid_motion():
    field = waves(GRID)
    whole = finish(displacement_in_steps(field, LinearTransform()))
    assert np.abs(whole - np.linalg.norm(field.array, axis=-1)).max() < 1e-4
    moved = DisplacementField((RIGID.map_points(GRID.points() + field.array) - GRID.points()).astype(np.float32), GRID)
    assert np.abs(finish(displacement_in_steps(moved, RIGID)) - whole).max() < 1e-4


def test_a_patient_who_only_lies_elsewhere_shows_no_displacement():
    field = RIGID.to_field(GRID)
    rigid = rigid_motion_of(field)
    assert finish(displacement_in_steps(field, rigid)).max() < 1e-3
    there = RIGID.map_points(GRID.centre) - GRID.centre
    assert rigid_shift_mm(rigid, GRID) == pytest.approx(np.linalg.norm(there), abs=1e-3)


def test_what_moves_by_itself_does_not_shift_the_rest():
    """A third of the image moves by 15 mm inside a patient who was placed elsewhere; the spine does not."""
    points = STRAIGHT.points()
    breathing = np.zeros_like(points)
    breathing[:7, ..., 2] = 15.0
    field = DisplacementField((RIGID.map_points(points + breathing) - points).astype(np.float32), STRAIGHT)
    left = finish(displacement_in_steps(field, rigid_motion_of(field)))
    assert left[8:].max() < 0.2
    assert np.abs(left[:7] - 15).max() < 0.2


@pytest.mark.parametrize("geometry", [GRID, STRAIGHT], ids=["oblique", "straight"])
def test_the_determinant_of_an_affine_map_is_that_of_its_matrix(geometry):
    determinant = finish(determinant_in_steps(AFFINE.to_field(geometry)))
    assert np.abs(determinant - np.linalg.det(AFFINE.matrix)).max() < 1e-3


def test_the_determinant_in_steps_is_that_in_one_go():
    field = waves(GRID)
    assert np.array_equal(finish(determinant_in_steps(field)), jacobian_determinant(field))


def test_folded_voxels_are_counted_in_the_region():
    determinant = finish(determinant_in_steps(fold(STRAIGHT)))
    everywhere = folding_of(determinant, None)
    slices = STRAIGHT.size[1] * STRAIGHT.size[2]
    assert everywhere.voxels == 3 * slices
    assert everywhere.percent == pytest.approx(100 * 3 / STRAIGHT.size[0])
    assert sorted(set(np.nonzero(everywhere.mask)[2])) == [11, 12, 13]
    region = np.zeros(STRAIGHT.shape, bool)
    region[..., 12:16] = True
    assert folding_of(determinant, region).voxels == 2 * slices
    assert folding_of(determinant, region).percent == pytest.approx(50.0)


def test_segments_tell_motion_and_volume():
    grown = LinearTransform(1.1 * np.eye(3))
    field = grown.to_field(STRAIGHT)
    mask = np.zeros(STRAIGHT.shape, bool)
    mask[5:10, 4:8, 3:9] = True
    length = np.linalg.norm(field.array, axis=-1)
    row = measure("liver", mask, length, finish(determinant_in_steps(field)), STRAIGHT)
    assert row.volume_ml == pytest.approx(5 * 4 * 6 * 12.0 / 1000)
    assert row.mean_displacement_mm == pytest.approx(
        0.1 * np.linalg.norm(STRAIGHT.points()[mask], axis=-1).mean(), 1e-4
    )
    assert row.largest_displacement_mm == pytest.approx(length[mask].max())
    assert row.mean_jacobian == pytest.approx(1.1**3, abs=1e-3)
    assert row.volume_change_percent == pytest.approx(33.1, abs=0.1)
    assert row.folded_voxels == 0


@pytest.mark.parametrize(("largest", "end"), [(0.2, 1.0), (3.4, 4.0), (11.0, 15.0), (21.0, 25.0), (98.0, 100.0)])
def test_a_scale_ends_at_a_round_number(largest, end):
    assert largest_on_scale(np.linspace(0, largest, 1000)) == pytest.approx(end)


def test_an_overlay_lies_where_the_field_lies(scene):
    field = waves(GRID)
    pair = make_pair(scene, image(STRAIGHT), image(STRAIGHT, 1), field)
    values = np.linalg.norm(field.array, axis=-1)
    node = finish(overlays.add_displacement_in_steps(pair, values, GRID))
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    corner = np.array(matrix.MultiplyPoint((5, 6, 7, 1)))[:3] * [-1, -1, 1]
    assert np.abs(corner - GRID.to_physical([5, 6, 7])).max() < 1e-9
    assert voxels_of(node.GetImageData())[7, 6, 5] == values[7, 6, 5]
    assert node.GetHideFromEditors() and not node.GetSaveWithScene()


@pytest.mark.parametrize(("determinant", "channel"), [(0.5, 2), (2.0, 0)])
def test_shrunk_tissue_is_blue_and_grown_tissue_red(scene, determinant, channel):
    pair = make_pair(scene, image(STRAIGHT), image(STRAIGHT, 1), waves(STRAIGHT))
    node = finish(overlays.add_jacobian_in_steps(pair, np.full(GRID.shape, determinant, np.float32), GRID))
    display = node.GetDisplayNode()
    low = display.GetLevel() - display.GetWindow() / 2
    entry = round((determinant - low) / display.GetWindow() * (display.GetColorNode().GetNumberOfColors() - 1))
    colour = [0.0] * 4
    display.GetColorNode().GetColor(entry, colour)
    assert np.argmax(colour[:3]) == channel


def test_the_folding_mark_holds_the_folded_voxels(scene):
    pair = make_pair(scene, image(STRAIGHT), image(STRAIGHT, 1), fold(STRAIGHT))
    mask = jacobian_determinant(fold(STRAIGHT)) <= 0
    node = finish(overlays.add_folding_in_steps(pair, mask, STRAIGHT, "folding"))
    segment = node.GetSegmentation().GetNthSegment(0)
    label = segment.GetRepresentation(slicer.vtkSegmentationConverter.GetBinaryLabelmapRepresentationName())
    assert voxels_of(label).sum() == mask.sum()
    assert not node.GetDisplayNode().GetVisibility()


def test_the_difference_is_fixed_minus_moving_where_both_are(scene):
    fixed = image(STRAIGHT)
    smaller = Geometry((16, 28, 20), STRAIGHT.spacing, STRAIGHT.origin)
    moving = Volume(fixed.array[..., :16] - 40.0, smaller)
    pair = make_pair(scene, fixed, moving, DisplacementField.zero(STRAIGHT))
    shown = voxels_of(finish(compared_images.difference_in_steps(pair, registered=True)).GetImageData())
    assert np.abs(shown[..., :16] - 40.0).max() < 1e-2
    assert (shown[..., 17:] == 0).all()


def test_the_difference_before_registration_ignores_the_transform(scene):
    fixed = image(STRAIGHT)
    shifted = DisplacementField(np.full((*STRAIGHT.shape, 3), 2.0 * 3, np.float32) * [1, 0, 0], STRAIGHT)
    pair = make_pair(scene, fixed, fixed, shifted)
    pair.moving.SetAndObserveTransformNodeID(pair.transform.GetID())  # the result does not count as "before"
    before = voxels_of(finish(compared_images.difference_in_steps(pair, registered=False)).GetImageData())
    assert np.abs(before).max() == 0
    after = voxels_of(finish(compared_images.difference_in_steps(pair, registered=True)).GetImageData())
    expected = fixed.array[..., :-3] - fixed.array[..., 3:]
    assert np.abs(after[..., : expected.shape[2]] - expected).max() < 1e-2


def test_another_contrast_is_brought_to_the_grey_scale_of_the_fixed_image(scene):
    fixed = image(STRAIGHT)
    pair = make_pair(scene, fixed, Volume(fixed.array * 7 + 3000, STRAIGHT), DisplacementField.zero(STRAIGHT))
    shown = voxels_of(finish(compared_images.difference_in_steps(pair, registered=True)).GetImageData())
    assert np.abs(shown).max() < 1.0


def test_tiles_of_the_checkerboard_alternate(scene):
    fixed = Volume(np.full(STRAIGHT.shape, 100, np.int16), STRAIGHT)
    fixed.array[::2] = 110
    moving = Volume(fixed.array + np.int16(5), STRAIGHT)
    pair = make_pair(scene, fixed, moving, DisplacementField.zero(STRAIGHT))
    board = voxels_of(finish(compared_images.checkerboard_in_steps(pair, registered=True)).GetImageData())
    tile = compared_images.tile_size_mm(STRAIGHT)
    index = [np.floor(np.arange(n) * s / tile) for n, s in zip(STRAIGHT.shape, STRAIGHT.spacing[::-1], strict=True)]
    odd = (index[0][:, None, None] + index[1][:, None] + index[2]) % 2 == 1
    assert np.array_equal(board - fixed.array, 5 * odd)
    assert board.dtype == np.int16


def test_the_warped_image_that_a_registration_left_is_found(scene):
    pair = make_pair(scene, image(STRAIGHT), image(STRAIGHT, 1), waves(STRAIGHT))
    assert pair.warped is None
    warped = nodes.add_volume(scene, image(STRAIGHT, 2), "warped")
    pair.transform.SetNodeReferenceID(WARPED, warped.GetID())
    assert moved_image(pair_of(pair.transform)) is warped


def test_a_transform_without_its_images_has_no_review(scene):
    transform = nodes.add_transform(scene, waves(STRAIGHT), "T")
    assert pair_of(transform) is None
    assert pair_of(None) is None
    volume = nodes.add_volume(scene, image(STRAIGHT), "only one")
    assert pair_of(transform, volume, volume) is None


def put_under(scene, node, name: str, matrix: np.ndarray):
    parent = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", name)
    parent.SetMatrixTransformToParent(nodes.vtk_matrix(matrix))
    node.SetAndObserveTransformNodeID(parent.GetID())
    return parent


def shifted(x: float) -> np.ndarray:
    matrix = np.eye(4)
    matrix[0, 3] = x
    return matrix


def test_a_moving_image_with_a_transform_of_its_own_is_shown_through_both(scene):
    pair = make_pair(scene, image(STRAIGHT), image(STRAIGHT, 1), waves(STRAIGHT))
    put_under(scene, pair.moving, "couch", shifted(25.0))
    shown = moved_image(pair)
    point = np.array([-STRAIGHT.centre[0], -STRAIGHT.centre[1], STRAIGHT.centre[2]])
    in_couch = np.array(pair.transform.GetTransformFromParent().TransformPoint(point)) - [25.0, 0.0, 0.0]
    assert np.abs(map_points(local_to_world(shown), in_couch) - point).max() < 0.05
    assert unmoved_image(pair) is pair.moving


def test_the_unmoved_image_keeps_what_it_hung_under_before(scene):
    pair = make_pair(scene, image(STRAIGHT), image(STRAIGHT, 1), waves(STRAIGHT))
    couch = put_under(scene, pair.moving, "couch", shifted(25.0))
    couch.SetAndObserveTransformNodeID(pair.transform.GetID())
    shown = unmoved_image(pair)
    assert shown is not pair.moving
    assert map_points(local_to_world(shown), np.zeros(3)) == pytest.approx([25.0, 0.0, 0.0])


def test_the_linked_point_goes_forward_through_the_transform(scene):
    field = waves(STRAIGHT)
    pair = make_pair(scene, image(STRAIGHT), image(STRAIGHT, 1), field)
    here = STRAIGHT.to_physical([10, 12, 7])
    there = np.array(corresponding_point(pair, tuple(nodes.to_ras(here))))
    assert np.abs(nodes.to_ras(there) - field.map_points(here)).max() < 1e-4
