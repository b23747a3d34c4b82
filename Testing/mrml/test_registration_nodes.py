"""What a registration leaves in the scene."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

pytest.importorskip("slicer", reason="needs the MRML library: pip install slicer-core")

import slicer
from DeepRegLib.errors import BadInput
from DeepRegLib.images.volume import Volume
from DeepRegSlicer import nodes, registration_nodes
from DeepRegSlicer.input_nodes import volume_in_steps
from DeepRegSlicer.registration_nodes import (
    WantedOutputs,
    add_registration_in_steps,
    check_outputs,
)
from DeepRegSlicer.resampling import ijk_to_local, voxels_of
from DeepRegSlicer.result_marks import former_results, notes_on_earlier_results
from DeepRegSlicer.scene import StandaloneScene
from DeepRegSlicer.steps import finish
from node_cases import (
    FIXED_GRID,
    MOVING_GRID,
    SHEAR,
    TABLE,
    add,
    bend,
    from_parent,
    image_pair,
    job_result,
    linear_node,
    places,
    put_under,
    ramp,
)


@pytest.fixture
def scene():
    with StandaloneScene() as standalone:
        yield standalone.scene


@pytest.fixture
def pair(scene):
    return image_pair(scene)


def names_in(scene) -> list[str]:
    found = (scene.GetNthNode(i) for i in range(scene.GetNumberOfNodes()))
    return sorted(node.GetName() or "" for node in found if node.IsA("vtkMRMLTransformableNode"))


def test_the_transform_maps_fixed_points_as_simpleitk_does_and_the_inverse_has_its_own_field(scene, pair):
    result = job_result(pair[0])
    added = add(scene, pair, result, inverse="new")
    points = places(FIXED_GRID)
    for node, field in ((added.transform, result.transform), (added.inverse, result.inverse)):
        truth = field.to_sitk_transform()
        assert np.abs(from_parent(node, points) - [truth.TransformPoint(p) for p in points]).max() < 1e-3
    assert added.transform.IsA("vtkMRMLGridTransformNode")


def test_every_output_has_a_telling_name_and_lies_in_one_folder(scene, pair):
    added = add(scene, pair, inverse="new")
    assert added.transform.GetName() == "Follow-up to Baseline"
    assert added.warped.GetName() == "Follow-up warped"
    assert added.inverse.GetName() == "Follow-up to Baseline inverse"
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    assert hierarchy.GetItemName(added.folder) == "Follow-up to Baseline"
    for node in (added.transform, added.warped, added.inverse):
        assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node)) == added.folder


def test_both_images_are_recorded_and_the_other_way_round_for_the_inverse(scene, pair):
    added = add(scene, pair, inverse="new")
    fixed_role = added.transform.GetFixedNodeReferenceRole()
    moving_role = added.transform.GetMovingNodeReferenceRole()
    assert added.transform.GetNodeReference(fixed_role) is pair[0]
    assert added.transform.GetNodeReference(moving_role) is pair[1]
    assert added.inverse.GetNodeReference(fixed_role) is pair[1]
    assert added.inverse.GetNodeReference(moving_role) is pair[0]


def test_the_warped_image_lies_on_the_fixed_grid_and_looks_like_the_moving_one(scene, pair):
    display = pair[1].GetDisplayNode()
    display.SetAutoWindowLevel(False)
    display.SetWindowLevel(123, 45)
    display.SetAndObserveColorNodeID("vtkMRMLColorTableNodeWarm1")
    added = add(scene, pair)
    assert np.allclose(ijk_to_local(added.warped), ijk_to_local(pair[0]))
    assert np.array_equal(voxels_of(added.warped.GetImageData()).ravel(), np.arange(FIXED_GRID.voxel_count))
    shown = added.warped.GetDisplayNode()
    assert shown is not display
    assert (shown.GetWindow(), shown.GetLevel(), shown.GetAutoWindowLevel()) == (123, 45, 0)
    assert shown.GetColorNodeID() == "vtkMRMLColorTableNodeWarm1"


def test_the_warped_image_of_a_turned_fixed_one_is_in_the_world(scene, pair):
    put_under(pair[0], linear_node(scene, TABLE, "table"))
    added = add(scene, pair)
    assert added.warped.GetParentTransformNode() is None
    signs = np.diag([-1.0, -1.0, 1.0, 1.0])
    assert np.allclose(ijk_to_local(added.warped), signs @ TABLE @ signs @ ijk_to_local(pair[0]))
    assert pair[0].GetParentTransformNode().GetName() == "table"


@pytest.mark.parametrize(
    ("transform", "warped", "inverse"),
    list(itertools.product(("new", None), ("new", False), ("new", None))),
)
def test_each_output_may_be_left_out(scene, pair, transform, warped, inverse):
    before = names_in(scene)
    added = add(scene, pair, transform=transform, warped=warped, inverse=inverse)
    assert (added.transform is None, added.warped is None, added.inverse is None) == (
        not transform,
        not warped,
        not inverse,
    )
    assert len(names_in(scene)) - len(before) == sum(map(bool, (transform, warped, inverse)))
    assert (added.folder is None) == (not (transform or warped or inverse))


# The moving image under the transform ------------------------------------------------------------------------------


def test_a_moving_image_without_a_transform_is_put_under_the_new_one(scene, pair):
    added = add(scene, pair, place_moving_under_transform=True)
    assert pair[1].GetParentTransformNode() is added.transform
    assert added.moved is pair[1]
    assert added.notes == ()


@pytest.mark.parametrize("parent", [TABLE, SHEAR], ids=["turned", "sheared"])
def test_of_a_moving_image_with_a_transform_of_its_own_a_copy_is_put_under_the_new_one(scene, pair, parent):
    table = linear_node(scene, parent, "table")
    put_under(pair[1], table)
    added = add(scene, pair, place_moving_under_transform=True)
    assert pair[1].GetParentTransformNode() is table
    assert table.GetParentTransformNode() is None
    assert added.moved is not pair[1]
    assert added.moved.GetParentTransformNode() is added.transform
    assert added.moved.GetName() == "Follow-up hardened"
    there = finish(volume_in_steps(pair[1]))
    copy = Volume(voxels_of(added.moved.GetImageData()), there.geometry)
    assert np.array_equal(copy.array, there.array)
    assert not np.shares_memory(copy.array, there.array)
    assert "table" in added.notes[0] and "copy" in added.notes[0]


def test_without_the_wish_the_moving_image_stays_where_it_is(scene, pair):
    assert add(scene, pair).moved is None
    assert pair[1].GetParentTransformNode() is None


# Once more ---------------------------------------------------------------------------------------------------------


def test_a_second_run_starts_from_the_moving_image_as_it_was_and_says_so(scene, pair):
    first = add(scene, pair, place_moving_under_transform=True)
    assert former_results(pair[1]) == [first.transform]
    (note,) = notes_on_earlier_results(*pair)
    assert "'Follow-up' is under the earlier result 'Follow-up to Baseline'" in note
    volume = finish(volume_in_steps(pair[1], without=former_results(pair[1])))
    assert volume.geometry.matches(MOVING_GRID)
    second = add(scene, pair, place_moving_under_transform=True)
    assert second.transform is not first.transform
    assert second.transform.GetName() != first.transform.GetName()
    assert pair[1].GetParentTransformNode() is second.transform
    assert second.moved is pair[1]


def test_a_first_run_has_nothing_to_say_about_earlier_results(scene, pair):
    put_under(pair[1], linear_node(scene, TABLE, "table"))
    assert notes_on_earlier_results(*pair) == ()


def test_swapping_the_images_after_a_run_is_remarked_upon(scene, pair):
    add(scene, pair, place_moving_under_transform=True)
    fixed, moving = reversed(pair)
    (note,) = notes_on_earlier_results(fixed, moving)
    assert "'Follow-up' is used as it appears" in note


def test_the_hardened_copy_is_known_as_moved_by_its_result(scene, pair):
    put_under(pair[1], linear_node(scene, TABLE, "table"))
    first = add(scene, pair, place_moving_under_transform=True)
    assert former_results(first.moved) == [first.transform]


def test_a_result_of_another_image_above_the_moving_one_counts_as_placed_on_purpose(scene, pair):
    other = nodes.add_volume(scene, ramp(MOVING_GRID, 0), "PET")
    first = add(scene, pair)
    put_under(other, first.transform)
    assert former_results(other) == []
    assert notes_on_earlier_results(pair[0], other) == ()


def test_nodes_can_be_overwritten_in_place(scene, pair):
    put_under(pair[1], linear_node(scene, TABLE, "table"))
    first = add(scene, pair, inverse="new", place_moving_under_transform=True)
    count, image = scene.GetNumberOfNodes(), first.warped.GetImageData()
    result = job_result(pair[0], amplitude_mm=1.0)
    again = add(
        scene,
        pair,
        result,
        transform=first.transform,
        warped=first.warped,
        inverse=first.inverse,
        place_moving_under_transform=True,
    )
    assert (again.transform, again.warped, again.inverse) == (first.transform, first.warped, first.inverse)
    assert again.moved is first.moved
    assert again.folder == first.folder
    assert scene.GetNumberOfNodes() == count
    points = places(FIXED_GRID)
    assert np.abs(from_parent(again.transform, points) - result.transform.map_points(points)).max() < 1e-3
    assert again.warped.GetImageData() is not image


def test_an_output_node_that_was_deleted_meanwhile_is_replaced(scene, pair):
    first = add(scene, pair)
    steps = add_registration_in_steps(
        scene, *pair, job_result(pair[0]), WantedOutputs(transform=first.transform, warped=first.warped)
    )
    next(steps)
    scene.RemoveNode(first.transform)
    scene.RemoveNode(first.warped)
    added = finish(steps)
    assert scene.IsNodePresent(added.transform) and scene.IsNodePresent(added.warped)
    assert added.transform is not first.transform


def test_images_that_were_deleted_meanwhile_do_not_cost_the_result(scene, pair):
    steps = add_registration_in_steps(
        scene, *pair, job_result(pair[0]), WantedOutputs(place_moving_under_transform=True)
    )
    next(steps)
    scene.RemoveNode(pair[1])
    added = finish(steps)
    assert scene.IsNodePresent(added.transform)
    assert added.moved is None


@pytest.mark.parametrize("output", ["warped", "transform", "parent", "linear"])
def test_inputs_and_what_they_hang_under_are_never_overwritten(scene, pair, output):
    table = nodes.add_transform(scene, bend(MOVING_GRID), "table")
    put_under(pair[0], table)
    other = nodes.add_transform(scene, bend(MOVING_GRID), "other")
    wanted = {
        "warped": WantedOutputs(warped=pair[1]),
        "transform": WantedOutputs(transform=other, inverse=other),
        "parent": WantedOutputs(transform=table),
        "linear": WantedOutputs(inverse=linear_node(scene, TABLE)),
    }[output]
    with pytest.raises(BadInput):
        check_outputs(wanted, *pair)
    assert check_outputs(WantedOutputs(transform=other), *pair) is None


def test_the_earlier_result_above_the_moving_image_may_be_overwritten(scene, pair):
    first = add(scene, pair, place_moving_under_transform=True)
    assert check_outputs(WantedOutputs(transform=first.transform, warped=first.warped), *pair) is None


# When something goes wrong -----------------------------------------------------------------------------------------


def state_of(scene) -> tuple[list[str], list[str], int]:
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    everything = sorted(scene.GetNthNode(i).GetID() for i in range(scene.GetNumberOfNodes()))
    return names_in(scene), everything, hierarchy.GetNumberOfItems()


def test_an_error_half_way_leaves_the_scene_as_it_was(scene, pair, monkeypatch):
    put_under(pair[1], linear_node(scene, TABLE, "table"))
    earlier = nodes.add_transform(scene, bend(FIXED_GRID, 1.0), "mine")
    before, map_before = state_of(scene), from_parent(earlier, places(FIXED_GRID))

    def fail(*_):
        raise RuntimeError("no")

    monkeypatch.setattr(registration_nodes.SceneChanges, "put_into", fail)
    with pytest.raises(RuntimeError):
        add(scene, pair, transform=earlier, inverse="new", place_moving_under_transform=True)
    assert state_of(scene) == before
    assert np.array_equal(from_parent(earlier, places(FIXED_GRID)), map_before)
    assert earlier.GetAttributeNames() == ()
    assert pair[1].GetParentTransformNode().GetName() == "table"


def test_steps_that_are_dropped_leave_the_scene_as_it_was(scene, pair):
    before = state_of(scene)
    steps = add_registration_in_steps(scene, *pair, job_result(pair[0]), WantedOutputs(inverse="new"))
    for _ in range(3):
        next(steps)
    steps.close()
    assert state_of(scene) == before
