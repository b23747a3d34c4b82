"""The control points of a thin-plate spline as nodes, held against the library's own spline."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("slicer", reason="needs the MRML library: pip install slicer-core")

import slicer
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.transforms.displacement_field import DisplacementField
from DeepRegLib.transforms.thin_plate_spline import ThinPlateSpline
from DeepRegSlicer.control_points import add_control_points
from DeepRegSlicer.scene import StandaloneScene
from node_cases import LEFT_HANDED, from_parent, world_points_of

NODES = Geometry((6, 6, 6), (55.0, 50.0, 48.0), (-140.0, -120.0, -900.0), tuple(LEFT_HANDED.ravel()))


@pytest.fixture
def scene():
    with StandaloneScene() as standalone:
        yield standalone.scene


@pytest.fixture
def control() -> DisplacementField:
    """Breathing of some centimetres, with a shift as of another table position."""
    random = np.random.default_rng(0).normal(0, 4, (6, 6, 6, 3))
    return DisplacementField((random + np.array([3.0, -25.0, 40.0])).astype(np.float32), NODES)


def spline_of(control: DisplacementField) -> ThinPlateSpline:
    return ThinPlateSpline.fit(NODES.points().reshape(-1, 3), control.array.reshape(-1, 3))


def some_points() -> np.ndarray:
    """Inside the nodes and beyond them."""
    return NODES.to_physical(np.random.default_rng(1).uniform(-1, 6, (60, 3)))


def test_the_node_is_the_spline_of_the_library_everywhere(scene, control):
    node = add_control_points(scene, control, "a to b").transform
    points = some_points()
    expected = points + spline_of(control).at(points)
    assert np.abs(expected - points).max() > 20
    assert np.abs(from_parent(node, points) - expected).max() < 1e-4


def test_the_lists_hold_both_ends_of_each_displacement(scene, control):
    added = add_control_points(scene, control, "a to b")
    source, target = world_points_of(added.source), world_points_of(added.target)
    assert np.allclose(source, NODES.points().reshape(-1, 3))
    assert np.allclose(target - source, control.array.reshape(-1, 3), atol=1e-4)
    assert added.source.GetNthControlPointLabel(7) == added.target.GetNthControlPointLabel(7)
    assert added.source.GetLocked() and added.target.GetLocked()


def test_target_points_under_the_transform_land_on_the_source_points(scene, control):
    added = add_control_points(scene, control, "a to b")
    added.target.SetAndObserveTransformNodeID(added.transform.GetID())
    assert np.abs(world_points_of(added.target) - world_points_of(added.source)).max() < 0.05


def test_saved_and_read_again_it_is_the_same_spline(scene, control, tmp_path):
    add_control_points(scene, control, "a to b")
    assert scene.WriteToMRB(str(tmp_path / "saved.mrb"))
    with StandaloneScene() as other:
        other.read(tmp_path / "saved.mrb")
        node = other.scene.GetFirstNodeByName("a to b thin-plate spline")
        points = some_points()
        assert np.abs(from_parent(node, points) - points - spline_of(control).at(points)).max() < 1e-3
        assert other.scene.GetFirstNodeByName("a to b control points fixed").GetNumberOfControlPoints() == 216


def test_all_lie_in_the_folder_that_is_given_or_in_one_of_their_own(scene, control):
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    mine = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), "result")
    for folder, name in ((mine, "result"), (None, "a to b control points")):
        added = add_control_points(scene, control, "a to b", folder)
        for node in (added.transform, added.source, added.target):
            item = hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node))
            assert hierarchy.GetItemName(item) == name
