"""Landmark files become point lists at the right place, in colour and locked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

pytest.importorskip("slicer", reason="needs the MRML library: pip install slicer-core")


from DeepRegLib.errors import BadLandmarks
from DeepRegLib.evidence.landmarks import Landmarks, write_landmarks
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.images.volume import Volume
from DeepRegSlicer import nodes
from DeepRegSlicer.landmark_files import load_landmarks
from DeepRegSlicer.result import MOVING_COLOUR
from DeepRegSlicer.scene import StandaloneScene

RAS = np.array([-1.0, -1.0, 1.0])
POINTS = np.array([[10.0, -20.0, 30.0], [-5.0, 4.0, 12.0], [7.5, 8.5, -9.5]])
HEAD_FIRST = Geometry((40, 36, 30), (0.97, 0.97, 2.5), (-20.0, -18.0, 72.5), (1, 0, 0, 0, 1, 0, 0, 0, -1))
"""Slices from top to bottom, as DIR-Lab stores them."""
VOXELS = np.array([[1, 1, 1], [12, 30, 5], [40, 36, 30]])
"""Counted from 1; slice 1 is the most superior one."""


@pytest.fixture
def scene():
    with StandaloneScene() as standalone:
        yield standalone.scene


def positions(node) -> np.ndarray:
    """World positions of all points, LPS mm."""
    count = node.GetNumberOfControlPoints()
    return np.array([node.GetNthControlPointPositionWorld(i) for i in range(count)]) * RAS


def voxel_file(folder: Path) -> Path:
    path = folder / "case1_300_T00_xyz.txt"
    path.write_text("".join(f"{x}\t{y}\t{z}\t\n" for x, y, z in VOXELS), encoding="ascii")
    return path


@pytest.mark.parametrize("ending", [".csv", ".mrk.json"])
def test_points_in_millimetres_are_where_the_file_says(scene, tmp_path: Path, ending):
    path = write_landmarks(tmp_path / f"apex to base{ending}", Landmarks(POINTS, ("a", "b", "c")))
    node = load_landmarks(scene, path, colour=MOVING_COLOUR)
    assert node.GetName() == "apex to base"
    assert np.allclose(positions(node), POINTS)
    assert [node.GetNthControlPointLabel(i) for i in range(3)] == ["a", "b", "c"]
    assert node.GetLocked()
    assert node.GetDisplayNode().GetSelectedColor() == MOVING_COLOUR


def test_an_fcsv_list_in_ras_is_turned_to_lps(scene, tmp_path: Path):
    rows = "\n".join(f"id{i},{-x},{-y},{z},0,0,0,1,1,1,0,L{i},," for i, (x, y, z) in enumerate(POINTS))
    header = "# Markups fiducial file version = 5.0\n# CoordinateSystem = RAS\n# columns = id,x,y,z\n"
    (tmp_path / "points.fcsv").write_text(header + rows + "\n", encoding="ascii")
    assert np.allclose(positions(load_landmarks(scene, tmp_path / "points.fcsv")), POINTS)


def test_dirlab_voxels_lie_in_the_slices_from_the_top(scene, tmp_path: Path):
    image = nodes.add_volume(scene, Volume(np.zeros(HEAD_FIRST.shape, np.int16), HEAD_FIRST), "case 1")
    node = load_landmarks(scene, voxel_file(tmp_path), image)
    spacing = np.array(HEAD_FIRST.spacing)
    expected = np.array([-20.0, -18.0, 72.5]) + (VOXELS - 1) * spacing * [1, 1, -1]
    assert np.allclose(positions(node), expected)


def test_voxels_follow_their_image_under_a_transform(scene, tmp_path: Path):
    image = nodes.add_volume(scene, Volume(np.zeros(HEAD_FIRST.shape, np.int16), HEAD_FIRST), "case 1")
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", (10, 20, 30), degrees=True).as_matrix()
    matrix[:3, 3] = (5.0, 6.0, 7.0)
    parent = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "parent")
    parent.SetMatrixTransformToParent(nodes.vtk_matrix(matrix))
    image.SetAndObserveTransformNodeID(parent.GetID())
    node = load_landmarks(scene, voxel_file(tmp_path), image)
    in_image = HEAD_FIRST.to_physical(VOXELS - 1) * RAS
    assert np.allclose(positions(node) * RAS, in_image @ matrix[:3, :3].T + matrix[:3, 3])


def test_an_elastix_list_in_millimetres_stays_where_it_is_whatever_the_image_hangs_under(scene, tmp_path: Path):
    image = nodes.add_volume(scene, Volume(np.zeros(HEAD_FIRST.shape, np.int16), HEAD_FIRST), "fixed")
    parent = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "parent")
    image.SetAndObserveTransformNodeID(parent.GetID())
    path = tmp_path / "points.txt"
    path.write_text("point\n3\n" + "\n".join(" ".join(map(str, p)) for p in POINTS) + "\n", encoding="ascii")
    node = load_landmarks(scene, path, image)
    assert node.GetParentTransformNode() is None
    assert np.allclose(positions(node), POINTS)


def test_voxels_without_their_image_are_refused(scene, tmp_path: Path):
    with pytest.raises(BadLandmarks, match="lists voxels"):
        load_landmarks(scene, voxel_file(tmp_path))
    assert scene.GetNumberOfNodesByClass("vtkMRMLMarkupsFiducialNode") == 0


@pytest.mark.parametrize("name", ["nothing.csv", "nothing.txt", "nothing.mrk.json", "picture.png"])
def test_a_file_that_is_not_there_or_no_landmarks_is_named(scene, tmp_path: Path, name):
    with pytest.raises(BadLandmarks, match=name):
        load_landmarks(scene, tmp_path / name)


def test_many_points_lose_their_labels_and_few_keep_them(scene, tmp_path: Path):
    few, many = (write_landmarks(tmp_path / f"{n}.csv", Landmarks(np.tile(POINTS, (n, 1)))) for n in (2, 20))
    displays = [load_landmarks(scene, path).GetDisplayNode() for path in (few, many)]
    assert [display.GetPointLabelsVisibility() for display in displays] == [True, False]
    assert all(display.GetUseGlyphScale() and display.GetGlyphScale() < 3 for display in displays)


def test_two_files_of_one_name_become_two_lists(scene, tmp_path: Path):
    path = write_landmarks(tmp_path / "points.csv", Landmarks(POINTS))
    names = {load_landmarks(scene, path).GetName() for _ in range(2)}
    assert len(names) == 2
