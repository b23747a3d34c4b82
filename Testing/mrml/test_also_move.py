"""Segmentations, markups, models and volumes of the moving image moved onto the fixed one.

The pair is oblique, anisotropic and under transforms of its own; the node that moves is saved and read again, as a
scene and as a file alone. Truth: SimpleITK, which gets the field itself. All agree to a tenth of a voxel.
"""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

pytest.importorskip("slicer", reason="needs the MRML library: pip install slicer-core")

import slicer
import vtk
from DeepRegLib.errors import BadInput
from DeepRegLib.evidence.landmarks import Landmarks
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.images.volume import Volume
from DeepRegLib.job_folder import JobResult
from DeepRegLib.transforms.displacement_field import DisplacementField
from DeepRegLib.transforms.linear import LinearTransform
from DeepRegSlicer import also_move, nodes
from DeepRegSlicer.also_move import move_in_steps
from DeepRegSlicer.input_nodes import volume_in_steps
from DeepRegSlicer.registration_nodes import WantedOutputs, add_registration_in_steps
from DeepRegSlicer.resampling import ijk_to_local, voxels_of
from DeepRegSlicer.scene import StandaloneScene
from DeepRegSlicer.steps import finish
from node_cases import (
    FIXED_GRID,
    MOVING_GRID,
    RAS,
    apply,
    bend,
    blocks,
    label_map_node,
    linear_node,
    point_list,
    points_of,
    put_under,
    ramp,
    rigid,
    segmentation_node,
    sphere,
    surface_segmentation_node,
    world_points_of,
)

FIXED_PARENT = rigid((0.1, 0.2, -0.1), (4.0, 2.0, -3.0))
MOVING_PARENT = rigid((-0.1, 0.15, 0.2), (-2.0, 4.0, 5.0))
TENTH_OF_A_VOXEL_MM = 0.1 * min(FIXED_GRID.spacing)


class Case:
    """A registered pair in a scene, and things of the moving image that hang under the transform it hangs under."""

    def __init__(self, scene) -> None:
        self.scene = scene
        self.fixed = nodes.add_volume(scene, ramp(FIXED_GRID, 0), "fixed")
        put_under(self.fixed, linear_node(scene, FIXED_PARENT, "fixed table"))
        self.table = linear_node(scene, MOVING_PARENT, "moving table")
        self.moving = self.under_table(nodes.add_volume(scene, ramp(MOVING_GRID, 0), "moving"))
        self.geometry = finish(volume_in_steps(self.fixed)).geometry
        self.field = bend(self.geometry)
        self.truth = self.field.to_sitk_transform()
        result = JobResult(self.field, None, None, None, LinearTransform(), {})
        wanted = WantedOutputs(place_moving_under_transform=True)
        self.transform = finish(add_registration_in_steps(scene, self.fixed, self.moving, result, wanted)).transform

    def under_table(self, node):
        put_under(node, self.table)
        return node

    def own_points(self, count: int = 25) -> np.ndarray:
        """Points of the moving image's own space that T reaches from well inside the fixed image."""
        index = np.random.default_rng(1).uniform(4, np.array(self.geometry.size) - 5, (count, 3))
        world = np.array([self.truth.TransformPoint(p) for p in self.geometry.to_physical(index)])
        return apply(np.linalg.inv(MOVING_PARENT), world)

    def truth_of(self, labels: Volume, interpolation: int, geometry: Geometry) -> np.ndarray:
        """A volume of the moving image's space on a grid over the fixed image, by SimpleITK."""
        own = sitk.AffineTransform(3)
        back = np.linalg.inv(MOVING_PARENT)
        own.SetMatrix(back[:3, :3].ravel().tolist())
        own.SetTranslation(back[:3, 3].tolist())
        both = sitk.CompositeTransform([own, self.truth])  # the last one goes first
        grid = geometry.apply_to(sitk.Image(geometry.size, sitk.sitkUInt8))
        return sitk.GetArrayFromImage(sitk.Resample(labels.to_sitk(), grid, both, interpolation, 0.0))


def saved_and_read(case: Case, how: str, tmp_path):
    """The transform node after saving and reading; also the scene it is in then."""
    if how == "fresh":
        return case.scene, case.transform
    if how == "scene":
        assert case.scene.WriteToMRB(str(tmp_path / "saved.mrb"))
        reopened = StandaloneScene()
        reopened.read(tmp_path / "saved.mrb")
        case.reopened = reopened
        return reopened.scene, reopened.scene.GetFirstNodeByName("moving to fixed")
    storage = slicer.vtkMRMLTransformStorageNode()
    storage.SetFileName(str(tmp_path / "alone.h5"))
    assert storage.WriteData(case.transform) == 1
    node = case.scene.AddNewNodeByClass("vtkMRMLTransformNode", "read alone")
    assert storage.ReadData(node) == 1
    nodes.record_images(node, case.fixed, case.moving)  # a file alone knows no images: the user chooses them
    return case.scene, node


@pytest.fixture
def case():
    with StandaloneScene() as standalone:
        found = Case(standalone.scene)
        yield found
        if hasattr(found, "reopened"):
            found.reopened.close()


@pytest.fixture(params=["fresh", "scene", "file"])
def saved(request, case, tmp_path):
    """``saved(prepare)``: the case with the nodes that ``prepare(case)`` adds, saved and read; gives scene, the node of
    that name and the transform node."""

    def save(name: str):
        scene, transform = saved_and_read(case, request.param, tmp_path)
        return scene, scene.GetFirstNodeByName(name), transform

    return save


# To a tenth of a voxel, saved and read again -----------------------------------------------------------------------


def distance_to_truth(case: Case, moved: np.ndarray, own: np.ndarray) -> float:
    """T(moved) must be where the point was in the world; no inverse is needed to check that. Millimetres."""
    mapped = np.array([case.truth.TransformPoint(p) for p in moved])
    return float(np.linalg.norm(mapped - apply(MOVING_PARENT, own), axis=-1).max())


def test_landmarks_land_where_simpleitk_says(case, saved):
    own = case.own_points()
    case.under_table(point_list(case.scene, own, "marks"))
    scene, node, transform = saved("marks")
    moved = finish(move_in_steps(scene, node, transform))
    assert moved.GetName() == "marks moved"
    assert moved.GetParentTransformNode() is None
    assert distance_to_truth(case, world_points_of(moved), own) < TENTH_OF_A_VOXEL_MM
    assert [moved.GetNthControlPointLabel(i) for i in range(3)] == ["P1", "P2", "P3"]


def test_every_point_of_a_model_lands_where_simpleitk_says(case, saved):
    surface = sphere(case.own_points().mean(0), 5.0)
    model = case.under_table(case.scene.AddNewNodeByClass("vtkMRMLModelNode", "airway"))
    model.SetAndObserveMesh(surface)
    own = points_of(surface)
    scene, node, transform = saved("airway")
    moved = finish(move_in_steps(scene, node, transform))
    assert distance_to_truth(case, points_of(moved.GetMesh()), own) < TENTH_OF_A_VOXEL_MM
    assert moved.GetMesh().GetNumberOfCells() == surface.GetNumberOfCells()
    assert moved.GetMesh().GetPointData().GetNormals() is not None


def test_a_closed_surface_of_a_segmentation_lands_where_simpleitk_says(case, saved):
    surface = sphere(case.own_points().mean(0), 5.0)
    case.under_table(surface_segmentation_node(case.scene, surface, "lesions"))
    own = points_of(surface)
    scene, node, transform = saved("lesions")
    moved = finish(move_in_steps(scene, node, transform))
    segment = moved.GetSegmentation().GetSegment("ball")
    assert moved.GetSegmentation().GetSourceRepresentationName() == "Closed surface"
    assert distance_to_truth(case, points_of(segment.GetRepresentation("Closed surface")), own) < TENTH_OF_A_VOXEL_MM


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_every_voxel_of_a_volume_comes_from_where_simpleitk_says(case, saved, axis):
    source = ramp(MOVING_GRID, axis)  # its values are positions in voxels
    case.under_table(nodes.add_volume(case.scene, source, "dose"))
    scene, node, transform = saved("dose")
    moved = finish(move_in_steps(scene, node, transform))
    geometry = fixed_grid(scene, case)
    assert np.allclose(ijk_to_local(moved), nodes.ijk_to_ras(geometry), atol=1e-4)
    seen, expected = voxels_of(moved.GetImageData()), case.truth_of(source, sitk.sitkLinear, geometry)
    everywhere = Volume(np.ones(MOVING_GRID.shape, np.float32), MOVING_GRID)
    inside = case.truth_of(everywhere, sitk.sitkLinear, geometry) > 0.999
    inside[[0, -1]] = inside[:, [0, -1]] = inside[:, :, [0, -1]] = False
    assert inside.mean() > 0.5
    assert np.abs(seen - expected)[inside].max() < 0.1


def fixed_grid(scene, case: Case) -> Geometry:
    """The voxels of the fixed image in the world. 3D Slicer turns the slices of left-handed images round on reading."""
    geometry = finish(volume_in_steps(scene.GetFirstNodeByName("fixed"))).geometry
    distances = np.linalg.norm(geometry.corners()[:, None] - case.geometry.corners(), axis=-1)
    assert distances.min(0).max() < 1e-3
    return geometry


def centre_of(mask: np.ndarray) -> np.ndarray:
    return np.array(np.nonzero(mask)).mean(1)


@pytest.mark.parametrize("kind", ["segmentation", "label map"])
def test_labels_lie_on_the_fixed_grid_where_simpleitk_puts_them(case, saved, kind):
    labels = blocks(MOVING_GRID)
    if kind == "label map":
        case.under_table(label_map_node(case.scene, labels, "organs"))
    else:
        case.under_table(segmentation_node(case.scene, [(labels, {"left": 1, "right": 2})], "organs"))
    scene, node, transform = saved("organs")
    moved = finish(move_in_steps(scene, node, transform))
    geometry = fixed_grid(scene, case)
    expected = case.truth_of(labels, sitk.sitkNearestNeighbor, geometry)
    for name, label in (("left", 1), ("right", 2)):
        seen = voxels_of(moved.GetImageData()) == label if kind == "label map" else segment_mask(moved, name, geometry)
        truth = expected == label
        assert truth.sum() > 300
        assert (seen != truth).sum() < 0.03 * truth.sum()  # voxels that lie half-way between two of the moving grid
        assert np.abs(centre_of(seen) - centre_of(truth)).max() < 0.1


def segment_mask(node, segment_id: str, geometry: Geometry) -> np.ndarray:
    """The voxels of a segment, after checking that they are those of the fixed image in the world."""
    segment = node.GetSegmentation().GetSegment(segment_id)
    image = segment.GetRepresentation("Binary labelmap")
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    assert np.allclose(np.array(matrix.GetData()).reshape(4, 4), nodes.ijk_to_ras(geometry), atol=1e-3)
    return voxels_of(image) == segment.GetLabelValue()


# What is kept ------------------------------------------------------------------------------------------------------


def test_segments_keep_names_colours_terminology_and_visibility(case):
    node = segmentation_node(case.scene, [(blocks(MOVING_GRID), {"left": 1, "right": 2})], "organs")
    segment = node.GetSegmentation().GetSegment("left")
    segment.SetColor(0.1, 0.7, 0.3)
    terminology = "SCT~85756007~Tissue|SCT~39607008~Lung|"
    segment.SetTag(slicer.vtkSegment.GetTerminologyEntryTagName(), terminology)
    node.GetDisplayNode().SetSegmentOpacity("left", 0.25)
    node.GetDisplayNode().SetSegmentVisibility("right", False)
    moved = finish(move_in_steps(case.scene, node, case.transform))
    copy = moved.GetSegmentation().GetSegment("left")
    assert list(moved.GetSegmentation().GetSegmentIDs()) == ["left", "right"]
    assert (copy.GetName(), copy.GetColor()) == ("left", (0.1, 0.7, 0.3))
    tag = vtk.reference("")
    assert copy.GetTag(slicer.vtkSegment.GetTerminologyEntryTagName(), tag)
    assert str(tag) == terminology
    assert moved.GetDisplayNode() is not node.GetDisplayNode()
    assert moved.GetDisplayNode().GetSegmentOpacity3D("left") == 0.25
    assert not moved.GetDisplayNode().GetSegmentVisibility("right")


def test_segments_of_one_layer_still_share_their_voxels(case):
    node = segmentation_node(case.scene, [(blocks(MOVING_GRID), {"left": 1, "right": 2})], "organs")
    moved = finish(move_in_steps(case.scene, node, case.transform)).GetSegmentation()
    assert moved.GetNumberOfLayers("Binary labelmap") == 1


def test_the_original_stays_untouched(case):
    model = case.under_table(case.scene.AddNewNodeByClass("vtkMRMLModelNode", "airway"))
    model.SetAndObserveMesh(sphere(case.own_points().mean(0), 5.0))
    marks = case.under_table(point_list(case.scene, case.own_points(), "marks"))
    before = points_of(model.GetMesh()), world_points_of(marks)
    for node in (model, marks):
        moved = finish(move_in_steps(case.scene, node, case.transform))
        assert moved is not node
        assert node.GetParentTransformNode() is case.table
    assert np.array_equal(points_of(model.GetMesh()), before[0])
    assert np.array_equal(world_points_of(marks), before[1])


@pytest.mark.parametrize(
    "kind", ["Line", "Angle", "Curve", "ClosedCurve", "Plane", "ROI"], ids=lambda kind: kind.lower()
)
def test_markups_of_any_type_move_as_their_points_do(case, kind):
    node = case.under_table(case.scene.AddNewNodeByClass(f"vtkMRMLMarkups{kind}Node", kind))
    own = case.own_points(3)
    for point in own:
        node.AddControlPoint(vtk.vtkVector3d(*(point * RAS)), "")
    own = np.array([node.GetNthControlPointPosition(i) for i in range(node.GetNumberOfControlPoints())]) * RAS
    moved = finish(move_in_steps(case.scene, node, case.transform))
    assert moved.GetClassName() == node.GetClassName()
    if kind == "ROI":
        own = np.array([node.GetCenter()]) * RAS
        there = np.array([moved.GetCenterWorld()]) * RAS
        assert np.allclose(moved.GetSize(), node.GetSize(), rtol=0.5)  # the space is stretched there
    else:
        there = world_points_of(moved)
        assert len(own) >= 1
    assert distance_to_truth(case, there, own) < TENTH_OF_A_VOXEL_MM


def test_a_locked_list_is_moved_too_and_stays_locked(case):
    own = case.own_points(4)
    node = case.under_table(nodes.add_landmarks(case.scene, Landmarks(own), "marks", (1.0, 0.0, 0.0)))
    node.SetNthControlPointLocked(1, True)
    moved = finish(move_in_steps(case.scene, node, case.transform))
    assert distance_to_truth(case, world_points_of(moved), own) < TENTH_OF_A_VOXEL_MM
    assert moved.GetLocked() and moved.GetNthControlPointLocked(1)
    assert moved.GetDisplayNode().GetSelectedColor() == (1.0, 0.0, 0.0)


# Where the node hangs already --------------------------------------------------------------------------------------


def test_what_hangs_under_the_transform_already_is_copied_where_it_appears(case):
    world = apply(MOVING_PARENT, case.own_points())
    node = point_list(case.scene, world, "marks")
    put_under(node, case.transform)
    moved = finish(move_in_steps(case.scene, node, case.transform))
    assert np.allclose(world_points_of(moved), world_points_of(node), atol=1e-6)


def test_an_earlier_result_above_the_node_does_not_move_it_twice(case):
    earlier = case.transform
    result = JobResult(bend(case.geometry, 1.0), None, None, None, LinearTransform(), {})
    latest = finish(add_registration_in_steps(case.scene, case.fixed, case.moving, result, WantedOutputs())).transform
    world = case.geometry.to_physical(np.random.default_rng(0).uniform(6, 15, (5, 3)))
    node = point_list(case.scene, world, "marks")
    put_under(node, earlier)
    moved = world_points_of(finish(move_in_steps(case.scene, node, latest)))
    truth = result.transform.to_sitk_transform()
    assert np.abs([truth.TransformPoint(p) for p in moved] - world).max() < TENTH_OF_A_VOXEL_MM


def test_the_copy_lies_in_the_folder_of_the_result(case):
    moved = finish(move_in_steps(case.scene, point_list(case.scene, case.own_points()), case.transform))
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(case.scene)
    folder = hierarchy.GetItemParent(hierarchy.GetItemByDataNode(moved))
    assert hierarchy.GetItemName(folder) == "moving to fixed"


def test_the_inverse_moves_things_of_the_fixed_image_onto_the_moving_one(case):
    field = DisplacementField(np.full((*MOVING_GRID.shape, 3), 2.0, np.float32), MOVING_GRID)
    result = JobResult(case.field, None, field, None, LinearTransform(), {})
    wanted = WantedOutputs(transform=None, warped=None, inverse="new")
    inverse = finish(add_registration_in_steps(case.scene, case.fixed, case.moving, result, wanted)).inverse
    points = MOVING_GRID.to_physical([[10, 10, 10]])
    moved = finish(move_in_steps(case.scene, point_list(case.scene, points), inverse))
    assert np.abs(world_points_of(moved) - (points - 2.0)).max() < 0.02


# What is refused ---------------------------------------------------------------------------------------------------


def test_the_fixed_image_is_refused(case):
    with pytest.raises(BadInput, match="'fixed' is the fixed image"):
        finish(move_in_steps(case.scene, case.fixed, case.transform))


@pytest.mark.parametrize(
    "kind", ["vtkMRMLTableNode", "vtkMRMLTransformNode", "vtkMRMLScalarVolumeNode", "vtkMRMLModelNode"]
)
def test_what_has_no_place_in_space_is_refused_by_name(case, kind):
    with pytest.raises(BadInput, match="'thing' cannot be moved"):
        finish(move_in_steps(case.scene, case.scene.AddNewNodeByClass(kind, "thing"), case.transform))


def test_nothing_chosen_and_no_transform_are_refused(case):
    with pytest.raises(BadInput, match="what is to be moved"):
        finish(move_in_steps(case.scene, None, case.transform))
    with pytest.raises(BadInput, match="transform"):
        finish(move_in_steps(case.scene, case.moving, None))


def test_without_its_fixed_image_a_transform_has_no_grid_for_volumes(case):
    case.scene.RemoveNode(case.fixed)
    with pytest.raises(BadInput, match="fixed image"):
        finish(move_in_steps(case.scene, case.moving, case.transform))
    assert finish(move_in_steps(case.scene, point_list(case.scene, case.own_points()), case.transform)) is not None


def test_an_error_half_way_leaves_no_copy(case, monkeypatch):
    node = point_list(case.scene, case.own_points())
    before = case.scene.GetNumberOfNodes()

    def fail(*_):
        raise RuntimeError("no")

    monkeypatch.setattr(also_move.SceneChanges, "put_into", fail)
    with pytest.raises(RuntimeError):
        finish(move_in_steps(case.scene, node, case.transform))
    assert case.scene.GetNumberOfNodes() == before
