"""Registration results as MRML nodes: volumes, displacement fields, landmarks and their errors.

The one place where LPS millimetres become the RAS millimetres of MRML. Every function adds one node to the scene it is
given (``slicer.mrmlScene`` in the application) and returns it.
"""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from DeepRegLib.errors import BadLandmarks
from DeepRegLib.evidence.landmarks import Landmarks, target_registration_error
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.images.volume import Volume
from DeepRegLib.transforms.displacement_field import DisplacementField
from DeepRegLib.transforms.linear import LinearTransform
from vtk.util.numpy_support import numpy_to_vtk

LPS_TO_RAS = np.array([-1.0, -1.0, 1.0])
"""Signs that turn LPS vectors into RAS ones, and back."""

CT_LUNG = (1400.0, -500.0)
"""Window and level in HU of 3D Slicer's display preset CT-Lung."""
CT_ABDOMEN = (350.0, 40.0)
"""Window and level in HU of 3D Slicer's display preset CT-Abdomen."""
AIR_BELOW = -500
"""No image but a CT has a whole percent of its voxels below this value: air in HU."""
LUNG_RANGE = (-950, -600)
"""HU of aerated lung; air around the body lies below, fat and muscle above."""
LUNG_SHARE = 0.03
"""A CT with more lung than this share of its voxels shows a chest; noise and bowel gas stay below it."""
DISPLAY_SAMPLES_PER_AXIS = 64
"""The choice of a grey scale looks at no more voxels than this along each axis."""

ERROR_DECIMALS = 3
"""Landmark errors are listed to a micrometre: more digits are noise to the reader."""


def to_ras(points: np.ndarray) -> np.ndarray:
    """LPS points or vectors (..., 3) as RAS.

    >>> to_ras([1.0, 2.0, 3.0]).tolist()
    [-1.0, -2.0, 3.0]
    """
    return np.asarray(points) * LPS_TO_RAS


def add_volume(scene: slicer.vtkMRMLScene, volume: Volume, name: str) -> slicer.vtkMRMLScalarVolumeNode:
    """A scalar volume node with a copy of the voxels. A CT is shown in its lung or its soft tissue window, any other
    image in the window that 3D Slicer finds by itself."""
    array = _storable(volume.array)
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    node.SetIJKToRASMatrix(_vtk_matrix(_ijk_to_ras(volume.geometry)))
    node.SetAndObserveImageData(_vtk_image(array))
    node.CreateDefaultDisplayNodes()
    window_level = _ct_window_level(array)
    if window_level is not None:
        display = node.GetDisplayNode()
        display.SetAutoWindowLevel(False)
        display.SetWindowLevel(*window_level)
    return node


def add_transform(
    scene: slicer.vtkMRMLScene, transform: DisplacementField, name: str
) -> slicer.vtkMRMLGridTransformNode:
    """A grid transform node for T(x) = x + u(x), set as the transform *from parent*: a moving image that is put under
    the node appears on the fixed one.

    The node interpolates linearly between grid points, as :class:`DisplacementField` does. 3D Slicer itself switches to
    cubic interpolation when it reads a transform from a file; on the grid points both agree.
    """
    geometry = transform.geometry
    grid = _vtk_image(transform.array * LPS_TO_RAS.astype(np.float32))
    grid.SetOrigin(*to_ras(geometry.origin))
    grid.SetSpacing(*geometry.spacing)
    direction = np.eye(4)
    direction[:3, :3] = LPS_TO_RAS[:, None] * geometry.axes
    grid_transform = slicer.vtkOrientedGridTransform()
    grid_transform.SetGridDirectionMatrix(_vtk_matrix(direction))
    grid_transform.SetDisplacementGridData(grid)
    grid_transform.SetInterpolationModeToLinear()
    node = scene.AddNewNodeByClass("vtkMRMLGridTransformNode", name)
    node.SetAndObserveTransformFromParent(grid_transform)
    node.SetDescription(
        "Maps points of the fixed image to the moving image. Put what belongs to the moving image under it."
    )
    return node


def record_images(
    transform: slicer.vtkMRMLTransformNode, fixed: slicer.vtkMRMLVolumeNode, moving: slicer.vtkMRMLVolumeNode
) -> None:
    """Note on the transform node which two images it was made from."""
    transform.SetNodeReferenceID(transform.GetFixedNodeReferenceRole(), fixed.GetID())
    transform.SetNodeReferenceID(transform.GetMovingNodeReferenceRole(), moving.GetID())


def add_landmarks(
    scene: slicer.vtkMRMLScene, landmarks: Landmarks, name: str, colour: tuple[float, float, float]
) -> slicer.vtkMRMLMarkupsFiducialNode:
    """A locked point list in one ``colour`` (red, green, blue from 0 to 1)."""
    node = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", name)
    for point, label in zip(to_ras(landmarks.points), landmarks.labels, strict=True):
        node.AddControlPoint(vtk.vtkVector3d(*point), str(label))
    node.SetLocked(True)
    node.SetFixedNumberOfControlPoints(True)
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetColor(*colour)
    display.SetSelectedColor(*colour)  # points are "selected" until somebody unticks them: the colour that is seen
    return node


def add_landmark_errors(
    scene: slicer.vtkMRMLScene, fixed: Landmarks, moving: Landmarks, transform: DisplacementField, name: str
) -> slicer.vtkMRMLTableNode:
    """A table with one row for each landmark pair: its label, and the target registration error before,
    |x_fixed - x_moving|, and after, |T(x_fixed) - x_moving|, in mm.

    Raises :class:`BadLandmarks` when the two sets do not have the same number of points.
    """
    if len(fixed.points) != len(moving.points):
        raise BadLandmarks(
            f"There are {len(fixed.points)} fixed and {len(moving.points)} moving landmarks; they must be pairs."
        )
    before = target_registration_error(LinearTransform(), fixed, moving)
    after = target_registration_error(transform, fixed, moving)
    labels = vtk.vtkStringArray()
    for label in fixed.labels:
        labels.InsertNextValue(str(label))
    node = scene.AddNewNodeByClass("vtkMRMLTableNode", name)
    for title, column in (
        ("landmark", labels),
        ("before (mm)", numpy_to_vtk(before.round(ERROR_DECIMALS), deep=True)),
        ("after (mm)", numpy_to_vtk(after.round(ERROR_DECIMALS), deep=True)),
    ):
        column.SetName(title)
        node.AddColumn(column)
    node.SetLocked(True)
    return node


def _ijk_to_ras(geometry: Geometry) -> np.ndarray:
    """4 x 4 matrix from continuous voxel indices (x, y, z) to RAS mm."""
    matrix = np.eye(4)
    matrix[:3, :3] = LPS_TO_RAS[:, None] * geometry.axes * np.array(geometry.spacing)
    matrix[:3, 3] = to_ras(geometry.origin)
    return matrix


def _vtk_matrix(matrix: np.ndarray) -> vtk.vtkMatrix4x4:
    result = vtk.vtkMatrix4x4()
    result.DeepCopy(matrix.ravel())
    return result


def _vtk_image(array: np.ndarray) -> vtk.vtkImageData:
    """Image data with a copy of the voxels (z, y, x) or vectors (z, y, x, 3); its origin is 0 and its spacing 1."""
    depth, height, width = array.shape[:3]
    flat = np.ascontiguousarray(array).reshape(depth * height * width, *array.shape[3:])
    image = vtk.vtkImageData()
    image.SetDimensions(width, height, depth)
    image.GetPointData().SetScalars(numpy_to_vtk(flat, deep=True))
    return image


def _storable(array: np.ndarray) -> np.ndarray:
    """The voxels in a type that MRML and its image files have (64-bit integers, as in label maps, become 32-bit)."""
    if array.dtype == bool:
        return array.astype(np.uint8)
    if array.dtype == np.float16:
        return array.astype(np.float32)
    if array.dtype in (np.int64, np.uint64):
        return array.astype(np.int32)
    return array


def _ct_window_level(array: np.ndarray) -> tuple[float, float] | None:
    """Window and level (HU) of a CT; None for other images."""
    sample = array[tuple(slice(None, None, max(1, n // DISPLAY_SAMPLES_PER_AXIS)) for n in array.shape)]
    if np.percentile(sample, 1) > AIR_BELOW:
        return None
    lung = np.mean((sample > LUNG_RANGE[0]) & (sample < LUNG_RANGE[1]))
    return CT_LUNG if lung > LUNG_SHARE else CT_ABDOMEN
