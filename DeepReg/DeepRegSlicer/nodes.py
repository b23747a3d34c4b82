"""Registration results as MRML nodes: volumes, displacement fields and landmarks.

The one place where LPS millimetres become the RAS millimetres of MRML. Every function adds one node to the scene it is
given (``slicer.mrmlScene`` in the application) and returns it.
"""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from DeepRegLib.evidence.landmarks import Landmarks
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.images.volume import Volume
from DeepRegLib.transforms.displacement_field import DisplacementField
from vtk.util.numpy_support import get_vtk_array_type, vtk_to_numpy

from .pacing import paced_steps
from .steps import Steps, finish

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

GLYPH_PERCENT = 1.6
"""Diameter of a landmark in percent of the view, whatever the zoom; 3D Slicer's own 3 % hide what it marks."""
LABELS_UP_TO = 25
"""Labels of more landmarks cover the image and each other."""

STORED_AS = {"bool": "uint8", "float16": "float32", "int64": "int32", "uint64": "int32"}
"""Types of voxels that MRML and its image files do not have, and what they become."""


def to_ras(points: np.ndarray) -> np.ndarray:
    """LPS points or vectors (..., 3) as RAS.

    >>> to_ras([1.0, 2.0, 3.0]).tolist()
    [-1.0, -2.0, 3.0]
    """
    return np.asarray(points) * LPS_TO_RAS


def add_volume(scene: slicer.vtkMRMLScene, volume: Volume, name: str) -> slicer.vtkMRMLScalarVolumeNode:
    """:func:`add_volume_in_steps` in one go."""
    return finish(add_volume_in_steps(scene, volume, name))


def add_volume_in_steps(scene: slicer.vtkMRMLScene, volume: Volume, name: str) -> Steps[slicer.vtkMRMLScalarVolumeNode]:
    """A scalar volume node with a copy of the voxels. A CT is shown in its lung or its soft tissue window, any other
    image in the window that 3D Slicer finds by itself. The node appears in the scene when it is complete."""
    image = yield from image_data_in_steps(volume.array)
    window_level = _ct_window_level(volume.array)
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    node.CreateDefaultDisplayNodes()
    if window_level is not None:  # before the voxels come, or the display would look through all of them
        display = node.GetDisplayNode()
        display.SetAutoWindowLevel(False)
        display.SetWindowLevel(*window_level)
    set_voxels(node, image, volume.geometry)
    return node


def set_voxels(node: slicer.vtkMRMLVolumeNode, image: vtk.vtkImageData, geometry: Geometry) -> None:
    """Let the node hold ``image`` (from :func:`image_data_in_steps`) on ``geometry``."""
    node.SetIJKToRASMatrix(vtk_matrix(ijk_to_ras(geometry)))
    node.SetAndObserveImageData(image)


def add_transform(
    scene: slicer.vtkMRMLScene, transform: DisplacementField, name: str
) -> slicer.vtkMRMLGridTransformNode:
    """A grid transform node for T(x) = x + u(x): :func:`set_transform` says in which sense."""
    node = scene.AddNewNodeByClass("vtkMRMLGridTransformNode", name)
    set_transform(node, finish(grid_transform_in_steps(transform)))
    return node


def set_transform(node: slicer.vtkMRMLTransformNode, transform: vtk.vtkAbstractTransform) -> None:
    """Let the node hold T as its transform *from parent*: a moving image that is put under the node appears on the
    fixed one. What the node held before is replaced."""
    node.SetAndObserveTransformFromParent(transform)
    node.SetDescription(
        "Maps points of the fixed image to the moving image. Put what belongs to the moving image under it."
    )


def grid_transform_in_steps(transform: DisplacementField) -> Steps[slicer.vtkOrientedGridTransform]:
    """T(x) = x + u(x) in RAS mm, for :func:`set_transform`.

    It interpolates linearly between grid points, as :class:`DisplacementField` does, and like it keeps the border value
    beyond them. 3D Slicer itself switches to cubic interpolation when it reads a transform from a file; on the grid
    points both agree.
    """
    geometry = transform.geometry
    grid = yield from image_data_in_steps(transform.array, LPS_TO_RAS.astype(np.float32))
    grid.SetOrigin(*to_ras(geometry.origin))
    grid.SetSpacing(*geometry.spacing)
    direction = np.eye(4)
    direction[:3, :3] = LPS_TO_RAS[:, None] * geometry.axes
    result = slicer.vtkOrientedGridTransform()
    result.SetGridDirectionMatrix(vtk_matrix(direction))
    result.SetDisplacementGridData(grid)
    result.SetInterpolationModeToLinear()
    return result


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
    mark_as_landmarks(node, colour)
    return node


def mark_as_landmarks(node: slicer.vtkMRMLMarkupsNode, colour: tuple[float, float, float]) -> None:
    """Lock a point list, so that no click moves what an expert placed, and draw it in one ``colour``, small enough to
    show the place and not cover it; many points lose their labels."""
    node.SetLocked(True)
    node.SetFixedNumberOfControlPoints(True)
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetColor(*colour)
    display.SetSelectedColor(*colour)  # points are "selected" until somebody unticks them: the colour that is seen
    display.SetUseGlyphScale(True)
    display.SetGlyphScale(GLYPH_PERCENT)
    if node.GetNumberOfControlPoints() > LABELS_UP_TO:
        display.SetPointLabelsVisibility(False)


def ijk_to_ras(geometry: Geometry) -> np.ndarray:
    """4 x 4 matrix from continuous voxel indices (x, y, z) to RAS mm."""
    matrix = np.eye(4)
    matrix[:3, :3] = LPS_TO_RAS[:, None] * geometry.axes * np.array(geometry.spacing)
    matrix[:3, 3] = to_ras(geometry.origin)
    return matrix


def vtk_matrix(matrix: np.ndarray) -> vtk.vtkMatrix4x4:
    """A 4 x 4 array as VTK has it."""
    result = vtk.vtkMatrix4x4()
    result.DeepCopy(np.asarray(matrix).ravel())
    return result


def image_data_in_steps(array: np.ndarray, factor: np.ndarray | float | None = None) -> Steps[vtk.vtkImageData]:
    """Image data with a copy of the voxels (z, y, x) or vectors (z, y, x, 3), times ``factor`` if there is one; its
    origin is 0 and its spacing 1. Types that MRML and its files do not have get the nearest one that they have (64-bit
    integers, as in label maps, become 32-bit)."""
    depth, height, width = array.shape[:3]
    image = vtk.vtkImageData()
    image.SetDimensions(width, height, depth)
    components = array.shape[3] if array.ndim == 4 else 1
    image.AllocateScalars(get_vtk_array_type(STORED_AS.get(array.dtype.name, array.dtype.name)), components)
    target = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(array.shape)

    def copy(start: int, stop: int) -> None:
        if factor is None:
            target[start:stop] = array[start:stop]
        else:
            np.multiply(array[start:stop], factor, out=target[start:stop], casting="unsafe")

    yield from paced_steps(copy, depth, 1)
    return image


def _ct_window_level(array: np.ndarray) -> tuple[float, float] | None:
    """Window and level (HU) of a CT; None for other images."""
    sample = array[tuple(slice(None, None, max(1, n // DISPLAY_SAMPLES_PER_AXIS)) for n in array.shape)].astype(float)
    if np.percentile(sample, 1) > AIR_BELOW:
        return None
    lung = np.mean((sample > LUNG_RANGE[0]) & (sample < LUNG_RANGE[1]))
    return CT_LUNG if lung > LUNG_SHARE else CT_ABDOMEN
