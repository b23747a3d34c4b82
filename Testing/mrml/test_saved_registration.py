"""A registration in the scene, saved and read again: as a scene, and the transform as a file alone."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

pytest.importorskip("slicer", reason="needs the MRML library: pip install slicer-core")

import slicer
from DeepRegLib.images.geometry import Geometry
from DeepRegSlicer.result_marks import evidence_of, former_results
from DeepRegSlicer.scene import StandaloneScene
from node_cases import (
    EVIDENCE,
    FIXED_GRID,
    TABLE,
    add,
    from_parent,
    image_pair,
    job_result,
    linear_node,
    places,
    put_under,
)


@pytest.fixture
def scene():
    with StandaloneScene() as standalone:
        yield standalone.scene


@pytest.fixture
def pair(scene):
    return image_pair(scene)


@pytest.fixture
def reopened(scene, pair, tmp_path):
    put_under(pair[0], linear_node(scene, TABLE, "table"))
    result = job_result(pair[0])
    add(scene, pair, result, inverse="new", place_moving_under_transform=True)
    path = tmp_path / "Ergebnis mit Ü.mrb"
    assert scene.WriteToMRB(str(path))
    with StandaloneScene() as other:
        other.read(path)
        yield other.scene, result


def test_a_saved_scene_knows_the_registration_again(reopened):
    scene, _ = reopened
    transform = scene.GetFirstNodeByName("Follow-up to Baseline")
    moving = scene.GetFirstNodeByName("Follow-up")
    assert evidence_of(transform) == EVIDENCE
    assert moving.GetParentTransformNode() is transform
    assert former_results(moving) == [transform]
    assert transform.GetNodeReference(transform.GetFixedNodeReferenceRole()) is scene.GetFirstNodeByName("Baseline")
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    parents = {
        hierarchy.GetItemName(hierarchy.GetItemParent(hierarchy.GetItemByDataNode(scene.GetFirstNodeByName(name))))
        for name in ("Follow-up to Baseline", "Follow-up warped", "Follow-up to Baseline inverse")
    }
    assert parents == {"Follow-up to Baseline"}


def test_a_saved_scene_maps_grid_points_exactly_and_others_nearly(reopened):
    scene, result = reopened
    node, geometry = scene.GetFirstNodeByName("Follow-up to Baseline"), result.transform.geometry
    truth = result.transform.to_sitk_transform()
    for points, tolerance in ((places(geometry), 1e-3), (between(geometry), 0.1 * min(geometry.spacing))):
        expected = [truth.TransformPoint(p) for p in points]
        assert np.abs(from_parent(node, points) - expected).max() < tolerance


def between(geometry: Geometry) -> np.ndarray:
    """Points half-way between grid points, where cubic and linear interpolation differ most."""
    index = np.random.default_rng(3).integers(1, np.array(geometry.size) - 2, (40, 3)) + 0.5
    return geometry.to_physical(index)


def test_beyond_the_grid_a_saved_transform_goes_on_as_ours_does(reopened):
    scene, result = reopened
    node, geometry = scene.GetFirstNodeByName("Follow-up to Baseline"), result.transform.geometry
    size = np.array(geometry.size)
    index = np.random.default_rng(4).uniform(-0.5, 1.5, (60, 3)) * size
    index = index[((index < -1) | (index > size)).any(-1)]
    points = geometry.to_physical(index)
    assert len(points) > 20
    assert np.abs(from_parent(node, points) - result.transform.map_points(points)).max() < 0.05


def test_a_transform_file_alone_maps_as_the_field_does(scene, pair, tmp_path):
    result = job_result(pair[0])
    added = add(scene, pair, result)
    storage = slicer.vtkMRMLTransformStorageNode()
    storage.SetFileName(str(tmp_path / "alone.h5"))
    assert storage.WriteData(added.transform) == 1
    read = scene.AddNewNodeByClass("vtkMRMLTransformNode")
    assert storage.ReadData(read) == 1
    points = places(FIXED_GRID)
    truth = sitk.ReadTransform(str(tmp_path / "alone.h5"))
    assert np.abs(from_parent(read, points) - [truth.TransformPoint(p) for p in points]).max() < 1e-3
    assert np.abs(from_parent(read, points) - result.transform.map_points(points)).max() < 1e-3


def test_reading_a_coarse_field_brings_it_nearer_to_the_smooth_motion(scene, pair):
    """3D Slicer interpolates what it reads by cubics; that is the larger part of the difference."""
    coarse = FIXED_GRID.with_spacing((5.0, 5.0, 5.0))
    node = add(scene, pair, job_result(pair[0], grid=coarse)).transform
    points = between(coarse)
    phases = [points @ np.random.default_rng(seed).normal(0, 0.09, (3, 3)) for seed in (1, 2, 3)]
    smooth = points + 3 * np.stack([np.sin(phase).prod(-1) for phase in phases], -1)
    linear = np.abs(from_parent(node, points) - smooth).max()
    node.GetTransformFromParent().SetInterpolationModeToCubic()
    cubic = np.abs(from_parent(node, points) - smooth).max()
    assert cubic < 0.5 * linear
