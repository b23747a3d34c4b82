"""The scene file, written and read back by the MRML library."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

pytest.importorskip("slicer", reason="needs the MRML library: pip install slicer-core")

import slicer
import vtk
from DeepRegLib.errors import OutputProblem
from DeepRegLib.evidence.landmarks import Landmarks
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.images.volume import Volume
from DeepRegLib.transforms.displacement_field import DisplacementField
from DeepRegSlicer import scene_file
from DeepRegSlicer.scene import StandaloneScene
from DeepRegSlicer.scene_file import write_scene
from vtk.util.numpy_support import vtk_to_numpy

RAS = np.array([-1.0, -1.0, 1.0])
LEFT_HANDED_OBLIQUE = Rotation.from_euler("xyz", (0.2, -0.1, 0.3)).as_matrix() @ np.diag([1.0, -1.0, 1.0])
FIXED_GRID = Geometry((30, 26, 18), (1.5, 1.2, 2.5), (60.0, 110.0, -840.0), tuple(LEFT_HANDED_OBLIQUE.ravel()))
MOVING_GRID = Geometry((34, 30, 20), (1.5, 1.3, 2.4), (55.0, 70.0, -810.0))
FIELD_GRID = FIXED_GRID.with_spacing((3.0, 3.0, 3.0))
SHIFT_MM = np.array([2.0, -30.0, 18.0])


@dataclass
class Pair:
    fixed: Volume
    moving: Volume
    warped: Volume | None
    transform: DisplacementField
    fixed_landmarks: Landmarks | None
    moving_landmarks: Landmarks | None


@pytest.fixture(scope="module")
def pair() -> Pair:
    """A left-handed oblique fixed image, a field on a coarser grid, and landmarks that miss by 1 mm."""
    rng = np.random.default_rng(0)
    points = FIELD_GRID.points()
    bump = 3 * np.sin((points - FIELD_GRID.centre) / 9)
    field = DisplacementField((bump + SHIFT_MM).astype(np.float32), FIELD_GRID)
    places = FIELD_GRID.to_physical(rng.integers(2, np.array(FIELD_GRID.size) - 2, (4, 3)))
    truth = field.to_sitk_transform()
    matches = np.array([truth.TransformPoint(p) for p in places]) + np.array([0.0, 0.0, 1.0])
    labels = ("apex", "carina", "L3", "L4")
    return Pair(
        Volume(rng.integers(-1000, 300, FIXED_GRID.shape).astype(np.int16), FIXED_GRID),
        Volume(rng.integers(-1000, 300, MOVING_GRID.shape).astype(np.int16), MOVING_GRID),
        Volume(rng.normal(size=FIXED_GRID.shape).astype(np.float32), FIXED_GRID),
        field,
        Landmarks(places, labels),
        Landmarks(matches, labels),
    )


@pytest.fixture(scope="module")
def path(pair, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("scene folder") / "Baseline – follow-up.mrb"
    write_scene(path, pair)
    return path


@pytest.fixture(scope="module")
def scene(path):
    with StandaloneScene() as standalone:
        standalone.read(path)
        yield standalone.scene


def test_every_node_comes_back_by_its_name(scene):
    expected = {
        "fixed": "vtkMRMLScalarVolumeNode",
        "moving": "vtkMRMLScalarVolumeNode",
        "warped": "vtkMRMLScalarVolumeNode",
        "fixed to moving": "vtkMRMLGridTransformNode",
        "deformation grid": "vtkMRMLGridTransformNode",
        "fixed landmarks": "vtkMRMLMarkupsFiducialNode",
        "moving landmarks": "vtkMRMLMarkupsFiducialNode",
        "landmark errors": "vtkMRMLTableNode",
    }
    found = {name: scene.GetFirstNodeByName(name) for name in expected}
    assert {name: node and node.GetClassName() for name, node in found.items()} == expected


def test_the_moving_image_and_its_landmarks_hang_under_the_transform(scene):
    transform = scene.GetFirstNodeByName("fixed to moving")
    assert scene.GetFirstNodeByName("moving").GetParentTransformNode() is transform
    assert scene.GetFirstNodeByName("moving landmarks").GetParentTransformNode() is transform
    for name in ("fixed", "warped", "fixed landmarks"):
        assert scene.GetFirstNodeByName(name).GetParentTransformNode() is None


def test_the_transform_remembers_its_two_images(scene):
    node = scene.GetFirstNodeByName("fixed to moving")
    assert node.GetNodeReference(node.GetFixedNodeReferenceRole()) is scene.GetFirstNodeByName("fixed")
    assert node.GetNodeReference(node.GetMovingNodeReferenceRole()) is scene.GetFirstNodeByName("moving")


def test_the_transform_maps_grid_points_as_simpleitk_does(scene, pair):
    transform = scene.GetFirstNodeByName("fixed to moving").GetTransformFromParent()
    truth = pair.transform.to_sitk_transform()
    index = np.random.default_rng(1).integers(0, FIELD_GRID.size, (50, 3))
    points = FIELD_GRID.to_physical(index)
    seen = np.array([transform.TransformPoint(*(p * RAS)) for p in points]) * RAS
    assert np.abs(seen - [truth.TransformPoint(p) for p in points]).max() < 1e-3


@pytest.mark.parametrize("name", ["fixed", "moving"])
def test_every_voxel_comes_back_to_its_place(scene, pair, name):
    image = getattr(pair, name).to_sitk()
    node = scene.GetFirstNodeByName(name)
    ras_to_ijk = vtk.vtkMatrix4x4()
    node.GetRASToIJKMatrix(ras_to_ijk)
    assert node.GetImageData().GetScalarTypeAsString() == "short"
    for index in np.random.default_rng(2).integers(0, image.GetSize(), (20, 3)).tolist():
        position = np.array(image.TransformIndexToPhysicalPoint(index)) * RAS
        there = np.array(ras_to_ijk.MultiplyPoint((*position, 1.0))[:3])
        assert np.abs(there - there.round()).max() < 1e-3
        assert node.GetImageData().GetScalarComponentAsDouble(*there.round().astype(int).tolist(), 0) == image[index]


def test_fixed_landmarks_come_back_red_and_locked_in_their_places(scene, pair):
    node = scene.GetFirstNodeByName("fixed landmarks")
    seen = np.array([node.GetNthControlPointPositionWorld(i) for i in range(4)]) * RAS
    assert np.abs(seen - pair.fixed_landmarks.points).max() < 1e-3
    assert [node.GetNthControlPointLabel(i) for i in range(4)] == list(pair.fixed_landmarks.labels)
    red, green, _ = node.GetDisplayNode().GetSelectedColor()
    assert red > 0.8 > 0.3 > green
    assert node.GetLocked()


def test_the_distance_of_a_moving_landmark_from_its_fixed_one_is_the_residual(scene, pair):
    node = scene.GetFirstNodeByName("moving landmarks")
    own = np.array([node.GetNthControlPointPosition(i) for i in range(4)]) * RAS
    assert np.abs(own - pair.moving_landmarks.points).max() < 1e-3
    world = np.array([node.GetNthControlPointPositionWorld(i) for i in range(4)]) * RAS
    residual = np.linalg.norm(world - pair.fixed_landmarks.points, axis=-1)
    assert ((residual > 0.6) & (residual < 1.8)).all()  # 1 mm in the moving image, stretched by the inverse
    red, green, _ = node.GetDisplayNode().GetSelectedColor()
    assert green > 0.8 > 0.3 > red


def test_the_table_lists_the_errors_in_millimetres(scene, pair):
    table = scene.GetFirstNodeByName("landmark errors").GetTable()
    assert [table.GetColumnName(i) for i in range(3)] == ["landmark", "before (mm)", "after (mm)"]
    assert [table.GetValue(row, 0).ToString() for row in range(4)] == list(pair.fixed_landmarks.labels)
    before = np.linalg.norm(pair.moving_landmarks.points - pair.fixed_landmarks.points, axis=-1)
    assert np.allclose(vtk_to_numpy(table.GetColumn(1)), before, atol=1e-3)
    assert np.allclose(vtk_to_numpy(table.GetColumn(2)), 1.0, atol=1e-3)


def test_the_grid_is_on_in_slice_views_and_as_fine_as_suits_the_image(scene):
    display = scene.GetFirstNodeByName("deformation grid").GetDisplayNode()
    assert display.GetVisualizationMode() == display.VIS_MODE_GRID
    assert display.GetVisibility() and display.GetVisibility2D() and not display.GetVisibility3D()
    assert display.GetRegionNode() is scene.GetFirstNodeByName("fixed")
    cells = 45 / display.GetGridSpacingMm()  # the longest side of the fixed image is 45 mm
    assert 10 <= cells <= 30


def test_the_grid_shows_the_deformation_without_the_shift(scene):
    transform = scene.GetFirstNodeByName("deformation grid").GetTransformFromParent()
    points = FIELD_GRID.points().reshape(-1, 3)[::50]
    moved = np.array([transform.TransformPoint(*(p * RAS)) for p in points]) * RAS - points
    assert np.linalg.norm(moved, axis=-1).max() < 8  # the bumps; the shift is 35 mm
    assert np.linalg.norm(moved, axis=-1).max() > 1


def test_it_opens_in_four_views_with_moving_over_fixed(scene):
    layout = scene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    assert layout.GetViewArrangement() == slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView
    for name in ("Red", "Green", "Yellow"):
        composite = scene.GetSingletonNode(name, "vtkMRMLSliceCompositeNode")
        assert composite.GetBackgroundVolumeID() == scene.GetFirstNodeByName("fixed").GetID()
        assert composite.GetForegroundVolumeID() == scene.GetFirstNodeByName("moving").GetID()
        assert composite.GetForegroundOpacity() == 0.5


def test_every_view_is_centred_on_the_fixed_image_and_shows_all_of_it(scene):
    corners = FIXED_GRID.corners() * RAS
    centre, size = (corners.max(0) + corners.min(0)) / 2, corners.max(0) - corners.min(0)
    axes = {"Red": (0, 1, 2), "Green": (0, 2, 1), "Yellow": (1, 2, 0)}  # across, up, through
    for name, (across, up, through) in axes.items():
        node = scene.GetSingletonNode(name, "vtkMRMLSliceNode")
        position = np.array([node.GetSliceToRAS().GetElement(row, 3) for row in range(3)])
        assert np.abs(position - centre)[[across, up]].max() < 3
        assert abs(position[through] - centre[through]) < 3
        assert node.GetFieldOfView()[0] >= size[across] and node.GetFieldOfView()[1] >= size[up]
        assert max(node.GetFieldOfView()[:2]) < 2 * max(size[across], size[up])


def test_the_camera_and_the_crosshair_are_at_the_image(scene):
    centre = FIXED_GRID.centre * RAS
    camera = scene.GetFirstNodeByClass("vtkMRMLCameraNode")
    assert np.abs(np.array(camera.GetFocalPoint()) - centre).max() < 3
    assert camera.GetLayoutName() == "1"
    crosshair = scene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
    assert np.abs(np.array(crosshair.GetCrosshairRAS()) - centre).max() < 3
    assert crosshair.GetCrosshairMode() == crosshair.ShowBasic


def test_a_registration_without_landmarks_and_warped_image_is_written_too(pair, tmp_path):
    write_scene(tmp_path / "bare.mrb", Pair(pair.fixed, pair.moving, None, pair.transform, None, None))
    with StandaloneScene() as standalone:
        standalone.read(tmp_path / "bare.mrb")
        assert standalone.scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 2
        assert standalone.scene.GetNumberOfNodesByClass("vtkMRMLMarkupsFiducialNode") == 0
        assert standalone.scene.GetNumberOfNodesByClass("vtkMRMLTableNode") == 0


def test_the_scene_names_no_place_on_this_machine(path):
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            content = archive.read(name)
            for place in (str(path.parent), str(Path.home()), "mrml_bundle_", "mrml_scene_"):
                assert place.encode() not in content, name


def test_the_folder_inside_has_the_name_of_the_file(path):
    with zipfile.ZipFile(path) as archive:
        assert {Path(name).parts[0] for name in archive.namelist()} == {path.stem}


def test_nothing_but_the_file_is_left_behind(pair, tmp_path, monkeypatch):
    work, target = tmp_path / "temporary", tmp_path / "target"
    work.mkdir()
    target.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(work))
    write_scene(target / "a.mrb", pair)
    assert [p.name for p in target.iterdir()] == ["a.mrb"]
    assert list(work.iterdir()) == []


def test_a_failure_half_way_leaves_the_old_file_and_nothing_else(pair, tmp_path, monkeypatch):
    target = tmp_path / "a.mrb"
    target.write_bytes(b"the old scene")

    def full_disk(folder: Path, unfinished: Path) -> None:
        unfinished.write_bytes(b"half a scene")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(scene_file, "_zip", full_disk)
    with pytest.raises(OutputProblem, match=r"a\.mrb"):
        write_scene(target, pair)
    assert [p.name for p in tmp_path.iterdir()] == ["a.mrb"]
    assert target.read_bytes() == b"the old scene"


def test_a_folder_that_cannot_be_written_is_reported(pair, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(OutputProblem):
        write_scene(tmp_path / "file" / "a.mrb", pair)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_disk_that_is_full_while_mrml_writes_is_reported(pair, tmp_path, monkeypatch):
    def refuse(*_: object) -> bool:
        return False

    class FullDisk(StandaloneScene):
        def __init__(self) -> None:
            super().__init__()
            monkeypatch.setattr(self.scene, "SaveSceneToSlicerDataBundleDirectory", refuse)

    monkeypatch.setattr(scene_file, "StandaloneScene", FullDisk)
    with pytest.raises(OutputProblem, match="could not be written"):
        write_scene(tmp_path / "a.mrb", pair)
    assert list(tmp_path.iterdir()) == []
