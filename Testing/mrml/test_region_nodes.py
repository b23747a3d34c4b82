"""Regions that somebody drew in the scene, on the voxels of an image, held against SimpleITK."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

pytest.importorskip("slicer", reason="needs the MRML library: pip install slicer-core")


from DeepRegLib.errors import BadMask
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.images.volume import Volume
from DeepRegSlicer import nodes
from DeepRegSlicer.input_nodes import volume_in_steps
from DeepRegSlicer.region_nodes import mask_in_steps
from DeepRegSlicer.scene import StandaloneScene
from DeepRegSlicer.steps import finish
from node_cases import (
    FIXED_GRID,
    MOVING_GRID,
    SHEAR,
    TURN,
    apply,
    bend,
    blocks,
    label_map_node,
    linear_node,
    put_under,
    ramp,
    rigid,
    segmentation_node,
    sphere,
    surface_segmentation_node,
)


@pytest.fixture
def scene():
    with StandaloneScene() as standalone:
        yield standalone.scene


@pytest.fixture
def reference(scene):
    node = nodes.add_volume(scene, ramp(FIXED_GRID, 0), "scan")
    put_under(node, linear_node(scene, rigid((0.1, 0.2, -0.1), (4.0, 2.0, -3.0)), "table"))
    return node


def nearest_by_simpleitk(labels: Volume, to_world: np.ndarray, geometry: Geometry) -> np.ndarray:
    transform = sitk.AffineTransform(3)
    inverse = np.linalg.inv(to_world)
    transform.SetMatrix(inverse[:3, :3].ravel().tolist())
    transform.SetTranslation(inverse[:3, 3].tolist())
    grid = geometry.apply_to(sitk.Image(geometry.size, sitk.sitkUInt8))
    return sitk.GetArrayFromImage(sitk.Resample(labels.to_sitk(), grid, transform, sitk.sitkNearestNeighbor, 0))


@pytest.fixture
def drawn(scene):
    """Two segments that share their voxels and one with its own, under a sheared transform."""
    other = Volume(np.roll(blocks(MOVING_GRID).array, 6, 2) // 2, MOVING_GRID)
    node = segmentation_node(scene, [(blocks(MOVING_GRID), {"left": 1, "right": 2}), (other, {"third": 1})])
    put_under(node, linear_node(scene, SHEAR))
    return node, other


@pytest.mark.parametrize("segment", ["left", "right", "third"])
def test_one_segment_becomes_the_mask_that_simpleitk_gives(drawn, reference, segment):
    node, other = drawn
    mask = finish(mask_in_steps(node, segment, reference))
    labels, value = (other, 1) if segment == "third" else (blocks(MOVING_GRID), {"left": 1, "right": 2}[segment])
    truth = nearest_by_simpleitk(labels, SHEAR, mask.geometry) == value
    assert mask.array.dtype == bool
    assert mask.geometry.matches(finish(volume_in_steps(reference)).geometry)
    assert truth.sum() > 300
    assert (mask.array != truth).sum() <= 0.002 * truth.sum()  # voxels exactly half-way
    assert mask.name == segment


def test_all_visible_segments_together_make_the_mask(drawn, reference):
    node, other = drawn
    node.GetDisplayNode().SetSegmentVisibility("right", False)
    mask = finish(mask_in_steps(node, None, reference))
    truth = nearest_by_simpleitk(blocks(MOVING_GRID), SHEAR, mask.geometry) == 1
    truth |= nearest_by_simpleitk(other, SHEAR, mask.geometry) == 1
    assert (mask.array != truth).sum() <= 0.002 * truth.sum()


def test_a_label_map_becomes_the_mask_that_simpleitk_gives(scene, reference):
    node = label_map_node(scene, blocks(MOVING_GRID))
    put_under(node, linear_node(scene, TURN @ rigid((0, 0, 0), (-20.0, 0.0, -40.0))))
    mask = finish(mask_in_steps(node, None, reference))
    truth = nearest_by_simpleitk(blocks(MOVING_GRID), TURN @ rigid((0, 0, 0), (-20.0, 0.0, -40.0)), mask.geometry) > 0
    assert truth.sum() > 300
    assert (mask.array != truth).sum() <= 0.002 * truth.sum()


def test_a_closed_surface_is_filled(scene, reference):
    centre = finish(volume_in_steps(reference)).geometry.centre
    parent = rigid((0.4, 0.0, 0.2), (10.0, 0.0, 5.0))
    node = surface_segmentation_node(scene, sphere(apply(np.linalg.inv(parent), centre[None])[0], 8.0))
    put_under(node, linear_node(scene, parent))
    mask = finish(mask_in_steps(node, None, reference))
    distance = np.linalg.norm(mask.geometry.points() - centre, axis=-1)
    assert mask.array[distance < 7.8].all()
    assert not mask.array[distance > 8.05].any()
    assert node.GetSegmentation().GetSegment("ball").GetRepresentation("Binary labelmap") is None


def test_a_region_under_an_earlier_result_is_taken_from_where_it_was_drawn(scene):
    image = nodes.add_volume(scene, ramp(MOVING_GRID, 0), "image")
    node = label_map_node(scene, blocks(MOVING_GRID))
    earlier = nodes.add_transform(scene, bend(MOVING_GRID), "earlier result")
    put_under(image, earlier)
    put_under(node, earlier)
    mask = finish(mask_in_steps(node, None, image, without=[earlier]))
    assert np.array_equal(mask.array, blocks(MOVING_GRID).array > 0)


def test_an_empty_region_and_one_that_misses_the_image_are_told_apart(scene, reference):
    empty = label_map_node(scene, Volume(np.zeros(MOVING_GRID.shape, np.uint8), MOVING_GRID), "nothing")
    with pytest.raises(BadMask, match="'nothing' is empty"):
        finish(mask_in_steps(empty, None, reference))
    elsewhere = label_map_node(scene, blocks(MOVING_GRID), "elsewhere")
    put_under(elsewhere, linear_node(scene, rigid((0, 0, 0), (500.0, 0.0, 0.0))))
    with pytest.raises(BadMask, match="'elsewhere' does not meet the image 'scan'"):
        finish(mask_in_steps(elsewhere, None, reference))


def test_a_segmentation_without_usable_segments_says_why(scene, reference, drawn):
    node, _ = drawn
    with pytest.raises(BadMask, match="no segments"):
        finish(mask_in_steps(segmentation_node(scene, [], "bare"), None, reference))
    with pytest.raises(BadMask, match="no longer"):
        finish(mask_in_steps(node, "deleted", reference))
    for segment in ("left", "right", "third"):
        node.GetDisplayNode().SetSegmentVisibility(segment, False)
    with pytest.raises(BadMask, match="hidden"):
        finish(mask_in_steps(node, None, reference))
