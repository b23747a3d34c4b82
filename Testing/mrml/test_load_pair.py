"""Pairs from disk as nodes of a scene."""

from __future__ import annotations

import gc

import numpy as np
import pytest
import SimpleITK as sitk

pytest.importorskip("slicer", reason="needs the MRML library: pip install slicer-core")

import slicer
import vtk
from DeepRegLib.datasets import sample_pairs
from DeepRegLib.datasets.dirlab_copdgene import COPDGENE
from DeepRegLib.errors import BadInput, BadLandmarks
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.phantom import make_phantom, write_pair
from DeepRegSlicer.load_pair import load_pair_nodes_in_steps, load_sample_nodes_in_steps
from DeepRegSlicer.result import FIXED_COLOUR, MOVING_COLOUR
from DeepRegSlicer.scene import StandaloneScene
from DeepRegSlicer.steps import finish

RAS = np.array([-1.0, -1.0, 1.0])


@pytest.fixture
def scene():
    with StandaloneScene() as standalone:
        yield standalone.scene
        gc.collect()


@pytest.fixture(scope="module")
def phantom():
    return make_phantom((40, 36, 32), seed=2)


@pytest.fixture
def phantom_folder(phantom, tmp_path):
    return write_pair(phantom, tmp_path / "pair")


def points_of(node):
    places = [node.GetNthControlPointPositionWorld(i) for i in range(node.GetNumberOfControlPoints())]
    return np.array(places) * RAS


def node_count(scene):
    return scene.GetNumberOfNodes()


def test_a_folder_of_files_becomes_images_masks_and_landmarks(scene, phantom, phantom_folder):
    pair = finish(load_pair_nodes_in_steps(scene, phantom_folder))
    assert (pair.fixed.GetName(), pair.moving.GetName()) == ("fixed", "moving")
    for node, truth in ((pair.fixed, phantom.fixed), (pair.moving, phantom.moving)):
        assert np.array_equal(slicer.util.arrayFromVolume(node), truth.array)
        assert np.array(node.GetOrigin()) * RAS == pytest.approx(truth.geometry.origin, abs=1e-4)
    for node, truth in ((pair.fixed_mask, phantom.fixed_mask), (pair.moving_mask, phantom.moving_mask)):
        assert node.IsA("vtkMRMLLabelMapVolumeNode")
        assert np.array_equal(slicer.util.arrayFromVolume(node) > 0, truth.array > 0)
    assert points_of(pair.fixed_landmarks) == pytest.approx(phantom.fixed_landmarks, abs=1e-3)
    assert points_of(pair.moving_landmarks) == pytest.approx(phantom.moving_landmarks, abs=1e-3)
    assert pair.fixed_landmarks.GetDisplayNode().GetSelectedColor() == pytest.approx(FIXED_COLOUR)
    assert pair.moving_landmarks.GetDisplayNode().GetSelectedColor() == pytest.approx(MOVING_COLOUR)


def test_a_copdgene_case_lies_where_its_voxels_say(scene, tmp_path, monkeypatch):
    """x and y from 1, slice 1 on top: the first slice of the file is the last of the image, at the highest z."""
    grid = Geometry((20, 18, 16), (0.6, 0.6, 2.5))
    monkeypatch.setitem(COPDGENE.cases, 3, grid)
    stored = np.random.default_rng(0).integers(0, 2000, grid.shape).astype("<i2")
    for phase in "ie":
        stored.tofile(tmp_path / f"copd3_{phase}BHCT.img")
        (tmp_path / f"copd3_300_{phase}BH_xyz_r1.txt").write_text("1\t1\t1\n20\t18\t16\n7\t5\t3\n")
    pair = finish(load_pair_nodes_in_steps(scene, tmp_path))
    assert (pair.fixed.GetName(), pair.moving.GetName()) == ("case 3 inhale", "case 3 exhale")
    found = points_of(pair.fixed_landmarks)
    assert found == pytest.approx(np.array([[0, 0, 37.5], [11.4, 10.2, 0], [3.6, 2.4, 32.5]]))
    to_ijk = vtk.vtkMatrix4x4()
    pair.fixed.GetRASToIJKMatrix(to_ijk)
    i, j, k = np.rint(to_ijk.MultiplyPoint([*(found[2] * RAS), 1])[:3]).astype(int)
    assert slicer.util.arrayFromVolume(pair.fixed)[k, j, i] == stored[2, 4, 6] - 1024
    assert to_ijk.Determinant() > 0  # right-handed, as 3D Slicer wants its volumes


def test_masks_and_landmarks_that_are_not_there_are_none(scene, phantom_folder):
    for path in phantom_folder.iterdir():
        if "mask" in path.name or "landmarks" in path.name:
            path.unlink()
    pair = finish(load_pair_nodes_in_steps(scene, phantom_folder))
    assert (pair.fixed_mask, pair.moving_mask, pair.fixed_landmarks, pair.moving_landmarks) == (None,) * 4


def test_notes_say_which_scan_was_taken_as_the_fixed_one(scene, phantom_folder):
    for name in ("fixed", "moving"):
        (phantom_folder / f"{name}.nii.gz").rename(phantom_folder / f"{'in' if name == 'fixed' else 'ex'}hale.nii.gz")
    for path in phantom_folder.iterdir():
        if "mask" in path.name or "landmarks" in path.name:
            path.unlink()
    pair = finish(load_pair_nodes_in_steps(scene, phantom_folder))
    assert pair.fixed.GetName() == "exhale"
    assert "'exhale.nii.gz' was taken as the fixed" in pair.notes[0]
    turned = finish(load_pair_nodes_in_steps(scene, phantom_folder, swap=True))
    assert turned.fixed.GetName().startswith("inhale") and turned.notes == ()


def test_nothing_stays_in_the_scene_when_the_landmarks_are_wrong(scene, phantom_folder):
    (phantom_folder / "moving_landmarks.csv").write_text("x,y,z\n1,2,3\n")
    before = node_count(scene)
    with pytest.raises(BadLandmarks):
        finish(load_pair_nodes_in_steps(scene, phantom_folder))
    assert node_count(scene) == before


def test_nothing_stays_in_the_scene_when_loading_is_stopped(scene, phantom_folder):
    before = node_count(scene)
    steps = load_pair_nodes_in_steps(scene, phantom_folder)
    while scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") < 2:
        next(steps)
    steps.close()
    assert node_count(scene) == before


def test_a_pair_that_is_loaded_twice_gets_names_of_its_own(scene, phantom_folder):
    first = finish(load_pair_nodes_in_steps(scene, phantom_folder))
    second = finish(load_pair_nodes_in_steps(scene, phantom_folder))
    assert first.fixed.GetName() != second.fixed.GetName()


def test_the_phantom_sample_is_made_without_a_folder(scene, phantom, monkeypatch):
    monkeypatch.setattr("DeepRegLib.phantom.make_phantom", lambda: phantom)
    pair = finish(load_sample_nodes_in_steps(scene, sample_pairs.PHANTOM_PAIR))
    assert pair.name == "Breathing phantom"
    assert points_of(pair.moving_landmarks) == pytest.approx(phantom.moving_landmarks)
    assert np.array_equal(slicer.util.arrayFromVolume(pair.fixed_mask) > 0, phantom.fixed_mask.array > 0)


class Application:
    """Slicer's loaders, as far as they are called: real storage nodes, and a record of what was asked for."""

    def __init__(self, scene):
        self.scene, self.asked = scene, []

    def load(self, node_class, path, properties):
        self.asked.append((path, properties))
        node = self.scene.AddNewNodeByClass(node_class, properties["name"])
        storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
        storage.SetFileName(path)
        self.scene.AddNode(storage)
        node.SetAndObserveStorageNodeID(storage.GetID())
        if not storage.ReadData(node):
            self.scene.RemoveNode(node)
            raise RuntimeError("Failed to load node from file")
        return node


@pytest.fixture
def application(scene, monkeypatch):
    found = Application(scene)
    monkeypatch.setattr(slicer, "app", found, raising=False)
    monkeypatch.setattr(slicer, "mrmlScene", scene, raising=False)
    monkeypatch.setattr(slicer.util, "loadVolume", lambda p, o: found.load("vtkMRMLScalarVolumeNode", p, o))
    monkeypatch.setattr(slicer.util, "loadLabelVolume", lambda p, o: found.load("vtkMRMLLabelMapVolumeNode", p, o))
    return found


def test_in_the_application_files_are_loaded_by_slicer_itself(scene, phantom, phantom_folder, application):
    pair = finish(load_pair_nodes_in_steps(scene, phantom_folder))
    assert [path for path, _ in application.asked] == [
        str(phantom_folder / f"{name}.nii.gz") for name in ("fixed", "moving", "fixed_mask", "moving_mask")
    ]
    assert all(options["singleFile"] and not options["show"] for _, options in application.asked)
    assert pair.fixed.GetStorageNode().GetFileName() == str(phantom_folder / "fixed.nii.gz")
    assert np.array_equal(slicer.util.arrayFromVolume(pair.moving), phantom.moving.array)
    assert points_of(pair.fixed_landmarks) == pytest.approx(phantom.fixed_landmarks, abs=1e-3)
    assert pair.fixed_mask.IsA("vtkMRMLLabelMapVolumeNode")


def test_in_the_application_a_damaged_file_is_a_sentence_and_leaves_nothing(scene, phantom_folder, application):
    (phantom_folder / "moving.nii.gz").write_bytes(b"no image")
    volumes = scene.GetNumberOfNodesByClass("vtkMRMLVolumeNode")
    with pytest.raises(BadInput, match=r"'moving\.nii\.gz' cannot be read as an image"):
        finish(load_pair_nodes_in_steps(scene, phantom_folder))
    assert scene.GetNumberOfNodesByClass("vtkMRMLVolumeNode") == volumes


def test_in_the_application_voxel_lists_use_the_image_that_slicer_loaded(scene, phantom, tmp_path, application):
    grid = phantom.fixed.geometry
    voxels = np.rint(grid.to_index(phantom.fixed_landmarks)).astype(int)
    rows = [f"{x + 1} {y + 1} {grid.size[2] - z}" for x, y, z in voxels.tolist()]
    for name in ("inhale", "exhale"):
        sitk.WriteImage(phantom.fixed.to_sitk(), str(tmp_path / f"{name}.nrrd"))
        (tmp_path / f"{name}.txt").write_text("\n".join(rows))
    pair = finish(load_pair_nodes_in_steps(scene, tmp_path))
    assert points_of(pair.fixed_landmarks) == pytest.approx(grid.to_physical(voxels), abs=1e-3)
