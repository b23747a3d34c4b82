"""Nodes with known contents, and independent truth for where they lie."""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.images.volume import Volume
from DeepRegLib.job_folder import JobResult
from DeepRegLib.transforms.displacement_field import DisplacementField
from DeepRegLib.transforms.linear import LinearTransform
from DeepRegSlicer import nodes
from DeepRegSlicer.input_nodes import volume_in_steps
from DeepRegSlicer.registration_nodes import WantedOutputs, add_registration_in_steps
from DeepRegSlicer.steps import finish
from scipy.spatial.transform import Rotation
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

RAS = np.array([-1.0, -1.0, 1.0])
OBLIQUE = Rotation.from_euler("xyz", (0.25, -0.3, 0.4)).as_matrix()
LEFT_HANDED = OBLIQUE @ np.diag([1.0, 1.0, -1.0])
FIXED_GRID = Geometry((34, 30, 22), (1.1, 0.9, 2.0), (3.0, -7.0, 11.0), tuple(LEFT_HANDED.ravel()))
MOVING_GRID = Geometry((44, 48, 30), (1.3, 1.1, 2.4), (-27.8, 0.0, -18.8), tuple(OBLIQUE.T.ravel()))
"""Oblique in another way, and large enough to hold most of the fixed grid."""


EVIDENCE = {"landmarks": {"after": 1.25}, "warnings": ["50 % of it; a 'quoted' \"word\"", "ä\n"]}


def ramp(geometry: Geometry, axis: int) -> Volume:
    """Voxel values are their own index along one axis: interpolated linearly they tell any position exactly."""
    index = np.indices(geometry.shape, dtype=np.float32)[2 - axis]
    return Volume(np.ascontiguousarray(index), geometry, "ramp")


def waves(geometry: Geometry, seed: int = 0) -> np.ndarray:
    """Smooth values (z, y, x) between -1 and 1."""
    phase = geometry.points() @ np.random.default_rng(seed).normal(0, 0.09, (3, 3))
    return np.sin(phase).prod(-1)


def bend(geometry: Geometry, amplitude_mm: float = 3.0) -> DisplacementField:
    """A smooth deformation without folds."""
    vectors = np.stack([waves(geometry, seed) for seed in (1, 2, 3)], -1)
    return DisplacementField((amplitude_mm * vectors).astype(np.float32), geometry)


def linear_node(scene, matrix_lps: np.ndarray, name: str = "linear"):
    """A transform node whose map to its parent is the 4 x 4 ``matrix_lps``."""
    node = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", name)
    signs = np.diag([-1.0, -1.0, 1.0, 1.0])
    node.SetMatrixTransformToParent(nodes.vtk_matrix(signs @ matrix_lps @ signs))
    return node


def rigid(angles: tuple[float, float, float], shift: tuple[float, float, float]) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", angles).as_matrix()
    matrix[:3, 3] = shift
    return matrix


def put_under(node, *transforms):
    """Hang ``node`` under the first transform, that under the second, and so on."""
    for transform in transforms:
        node.SetAndObserveTransformNodeID(transform.GetID())
        node = transform


TABLE = rigid((0.1, 0.2, -0.1), (4.0, 2.0, -3.0))


SHEAR = np.array([[1.0, 0.3, 0.0, 5.0], [0.0, 1.0, 0.1, -3.0], [0.0, 0.0, 1.2, 2.0], [0.0, 0.0, 0.0, 1.0]])
TURN = rigid((0.3, -0.2, 0.5), (12.0, -8.0, 30.0))


def segmentation_node(scene, layers, name: str = "organs"):
    """``layers``: list of (label Volume, {segment name: label}); the segments of a layer share its voxels."""
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    node.CreateDefaultDisplayNodes()
    for volume, segments in layers:
        image = slicer.vtkOrientedImageData()
        image.ShallowCopy(nodes.finish(nodes.image_data_in_steps(volume.array)))
        image.SetImageToWorldMatrix(nodes.vtk_matrix(nodes.ijk_to_ras(volume.geometry)))
        for segment_name, label in segments.items():
            segment = slicer.vtkSegment()
            segment.SetName(segment_name)
            segment.SetLabelValue(label)
            segment.AddRepresentation("Binary labelmap", image)
            node.GetSegmentation().AddSegment(segment, segment_name)
    return node


def sphere(centre_lps: np.ndarray, radius: float, resolution: int = 60) -> vtk.vtkPolyData:
    source = vtk.vtkSphereSource()
    source.SetCenter(*(np.asarray(centre_lps) * RAS))
    source.SetRadius(radius)
    source.SetThetaResolution(resolution)
    source.SetPhiResolution(resolution)
    source.Update()
    return source.GetOutput()


def surface_segmentation_node(scene, surface: vtk.vtkPolyData, name: str = "surfaces"):
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    node.CreateDefaultDisplayNodes()
    node.GetSegmentation().SetSourceRepresentationName("Closed surface")
    segment = slicer.vtkSegment()
    segment.SetName("ball")
    segment.AddRepresentation("Closed surface", surface)
    node.GetSegmentation().AddSegment(segment, "ball")
    return node


def label_map_node(scene, volume: Volume, name: str = "labels"):
    node = scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", name)
    nodes.set_voxels(node, nodes.finish(nodes.image_data_in_steps(volume.array)), volume.geometry)
    return node


def blocks(geometry: Geometry) -> Volume:
    """Two boxes with labels 1 and 2."""
    array = np.zeros(geometry.shape, np.uint8)
    z, y, x = (n // 2 for n in geometry.shape)
    array[z - 5 : z + 5, y - 6 : y, x - 7 : x + 5] = 1
    array[z - 4 : z + 6, y : y + 7, x - 4 : x + 8] = 2
    return Volume(array, geometry, "blocks")


def points_of(mesh: vtk.vtkPointSet) -> np.ndarray:
    """Points (n, 3) of a mesh, LPS mm."""
    return vtk_to_numpy(mesh.GetPoints().GetData()).astype(float) * RAS


def point_list(scene, points_lps: np.ndarray, name: str = "points"):
    node = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", name)
    for number, point in enumerate(np.asarray(points_lps) * RAS):
        node.AddControlPoint(vtk.vtkVector3d(*point), f"P{number + 1}")
    return node


def world_points_of(node) -> np.ndarray:
    """Control points, LPS mm, as MRML places them in the world."""
    return np.array([node.GetNthControlPointPositionWorld(i) for i in range(node.GetNumberOfControlPoints())]) * RAS


def apply(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    return points @ matrix[:3, :3].T + matrix[:3, 3]


def vtk_points(points_lps: np.ndarray) -> vtk.vtkPoints:
    result = vtk.vtkPoints()
    result.SetData(numpy_to_vtk(np.ascontiguousarray(points_lps * RAS), deep=True))
    return result


def image_pair(scene):
    """Fixed and moving volume nodes, "Baseline" and "Follow-up"."""
    fixed = nodes.add_volume(scene, Volume((100 * waves(FIXED_GRID)).astype(np.int16), FIXED_GRID), "Baseline")
    moving = nodes.add_volume(scene, Volume((100 * waves(MOVING_GRID, 7)).astype(np.int16), MOVING_GRID), "Follow-up")
    return fixed, moving


def job_result(fixed, amplitude_mm: float = 3.0, grid: Geometry | None = None) -> JobResult:
    """A result in the world, as the worker gives it for this fixed node."""
    geometry = finish(volume_in_steps(fixed)).geometry
    field = bend(grid or geometry, amplitude_mm)
    return JobResult(
        transform=field,
        warped=Volume(np.arange(geometry.voxel_count, dtype=np.int16).reshape(geometry.shape), geometry),
        inverse=DisplacementField(-field.array, field.geometry),
        control_displacements=None,
        prealignment=LinearTransform(),
        evidence=EVIDENCE,
    )


def add(scene, pair, result=None, **wanted):
    """The nodes of a registration of ``pair`` with the outputs ``wanted``."""
    return finish(add_registration_in_steps(scene, *pair, result or job_result(pair[0]), WantedOutputs(**wanted)))


def from_parent(node, points_lps: np.ndarray) -> np.ndarray:
    """LPS points through the node's transform from parent."""
    transform = node.GetTransformFromParent()
    return np.array([transform.TransformPoint(*(p * RAS)) for p in points_lps]) * RAS


def places(geometry: Geometry, count: int = 30) -> np.ndarray:
    """Some grid points, LPS mm."""
    return geometry.to_physical(np.random.default_rng(2).integers(0, geometry.size, (count, 3)))
