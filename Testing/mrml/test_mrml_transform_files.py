"""Transform files that we write, read by MRML, and the other way round."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

pytest.importorskip("slicer", reason="needs the MRML library: pip install slicer-core")

import slicer
from DeepRegLib.errors import BadInput
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.transforms.displacement_field import DisplacementField
from DeepRegLib.transforms.linear import LinearTransform
from DeepRegLib.transforms.read_write import read_transform, write_transform

TOLERANCE_MM = 1e-3
LPS_TO_RAS = np.array([-1.0, -1.0, 1.0])
LEFT_HANDED = Rotation.from_euler("xyz", (0.25, -0.3, 0.4)).as_matrix() @ np.diag([1.0, 1.0, -1.0])
GRID = Geometry((9, 8, 7), (1.5, 2.0, 3.5), (10.0, -20.0, 400.0), tuple(LEFT_HANDED.ravel()))


@pytest.fixture
def scene():
    return slicer.vtkMRMLScene()


@pytest.fixture
def field() -> DisplacementField:
    return DisplacementField(np.random.default_rng(0).normal(size=(*GRID.shape, 3)).astype(np.float32) * 4, GRID)


def read_by_mrml(scene, path):
    storage = slicer.vtkMRMLTransformStorageNode()
    storage.SetFileName(str(path))
    node = scene.AddNewNodeByClass("vtkMRMLTransformNode")
    assert storage.ReadData(node) == 1
    return node


def mapped_by_mrml(node, points_lps: np.ndarray) -> np.ndarray:
    """Fixed to moving: the transform from parent, where the parent is the frame of the fixed image."""
    transform = node.GetTransformFromParent()
    transform.Update()
    mapped = [transform.TransformPoint(*point) for point in (points_lps * LPS_TO_RAS).reshape(-1, 3)]
    return np.array(mapped).reshape(points_lps.shape) * LPS_TO_RAS


@pytest.mark.parametrize("extension", [".h5", ".tfm", ".nrrd", ".mha", ".nii.gz"])
def test_mrml_reads_our_field_as_the_same_map_on_the_nodes_of_the_grid(scene, tmp_path, field, extension):
    # Between nodes they differ: a file is read with cubic interpolation there, while ours is linear.
    path = tmp_path / f"field{extension}"
    write_transform(path, field)
    points = GRID.points()
    assert np.abs(mapped_by_mrml(read_by_mrml(scene, path), points) - (points + field.array)).max() < TOLERANCE_MM


@pytest.mark.parametrize("extension", [".h5", ".tfm"])
def test_mrml_reads_our_linear_transform(scene, tmp_path, extension):
    path = tmp_path / f"affine{extension}"
    affine = LinearTransform(np.eye(3) + np.random.default_rng(1).normal(size=(3, 3)) * 0.1, [10.0, -20.0, 30.0])
    write_transform(path, affine)
    points = GRID.points()
    assert np.abs(mapped_by_mrml(read_by_mrml(scene, path), points) - affine.map_points(points)).max() < TOLERANCE_MM


@pytest.mark.parametrize("extension", [".h5", ".tfm", ".nrrd", ".nii.gz"])
def test_we_read_what_mrml_writes(scene, tmp_path, field, extension):
    write_transform(tmp_path / "ours.h5", field)
    node = read_by_mrml(scene, tmp_path / "ours.h5")
    storage = slicer.vtkMRMLTransformStorageNode()
    storage.SetFileName(str(tmp_path / f"theirs{extension}"))
    assert storage.WriteData(node) == 1
    back = read_transform(tmp_path / f"theirs{extension}")
    assert back.geometry.matches(GRID)
    assert np.abs(back.array - field.array).max() < TOLERANCE_MM


@pytest.mark.parametrize("extension", [".h5", ".nrrd"])
def test_a_transform_that_mrml_stores_as_inverse_is_refused_instead_of_misread(scene, tmp_path, field, extension):
    write_transform(tmp_path / "ours.h5", field)
    node = read_by_mrml(scene, tmp_path / "ours.h5")
    node.Inverse()
    storage = slicer.vtkMRMLTransformStorageNode()
    storage.SetFileName(str(tmp_path / f"inverse{extension}"))
    assert storage.WriteData(node) == 1
    with pytest.raises(BadInput):
        read_transform(tmp_path / f"inverse{extension}")
