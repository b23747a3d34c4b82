"""The transforms that a node hangs under, from its own coordinates to those of the world and back (RAS mm).

Every function takes ``without``: transform nodes that are passed over, as if the node did not hang under them. A second
registration of a pair needs this: the moving image then hangs under the result of the first one.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from .nodes import vtk_matrix

TransformNodes = Collection[slicer.vtkMRMLTransformNode]


def transforms_above(
    node: slicer.vtkMRMLTransformableNode, without: TransformNodes = ()
) -> list[slicer.vtkMRMLTransformNode]:
    """The transform nodes that ``node`` hangs under, from the nearest to the outermost."""
    found: list[slicer.vtkMRMLTransformNode] = []
    above = node.GetParentTransformNode()
    while above is not None and above not in found:  # a damaged scene may hold a loop
        found.append(above)
        above = above.GetParentTransformNode()
    return [transform for transform in found if transform not in without]


def local_to_world(node: slicer.vtkMRMLTransformableNode, without: TransformNodes = ()) -> vtk.vtkGeneralTransform:
    """The map of the node's own RAS coordinates to those of the world."""
    return chain(above.GetTransformToParent() for above in transforms_above(node, without))


def world_to_local(node: slicer.vtkMRMLTransformableNode, without: TransformNodes = ()) -> vtk.vtkGeneralTransform:
    """The map of world RAS coordinates to the node's own."""
    return chain(above.GetTransformFromParent() for above in reversed(transforms_above(node, without)))


def chain(*steps: object) -> vtk.vtkGeneralTransform:
    """One map of several: transforms, 4 x 4 arrays, None (does nothing) and iterables of them; the first goes first.

    >>> chain(np.diag([2.0, 2.0, 2.0, 1.0]), None).TransformPoint(1.0, 2.0, 3.0)
    (2.0, 4.0, 6.0)
    """
    result = vtk.vtkGeneralTransform()
    result.PostMultiply()
    for step in _flat(steps):
        result.Concatenate(vtk_matrix(step) if isinstance(step, np.ndarray) else step)
    return result


def _flat(steps: object) -> list[np.ndarray | vtk.vtkAbstractTransform]:
    if steps is None:
        return []
    if isinstance(steps, np.ndarray | vtk.vtkAbstractTransform):
        return [steps]
    return [leaf for step in steps for leaf in _flat(step)]


def as_matrix(transform: vtk.vtkAbstractTransform) -> np.ndarray | None:
    """The 4 x 4 matrix of a map that is linear, else None."""
    linear = vtk.vtkTransform()
    if not slicer.vtkMRMLTransformNode.IsGeneralTransformLinear(transform, linear):
        return None
    return array_of(linear.GetMatrix())


def simplest(transform: vtk.vtkGeneralTransform) -> vtk.vtkAbstractTransform:
    """The map itself, or a linear transform if it is one: VTK is faster when it can see that."""
    matrix = as_matrix(transform)
    if matrix is None:
        return transform
    linear = vtk.vtkTransform()
    linear.SetMatrix(vtk_matrix(matrix))
    return linear


def array_of(matrix: vtk.vtkMatrix4x4) -> np.ndarray:
    """A VTK matrix as a 4 x 4 array."""
    return np.array(matrix.GetData()).reshape(4, 4)


def map_points(transform: vtk.vtkAbstractTransform, points: np.ndarray) -> np.ndarray:
    """RAS points (..., 3) through a map, float64; all in one go, so give it parts of what may be many."""
    points = np.asarray(points, dtype=np.float64)
    source, target = vtk.vtkPoints(), vtk.vtkPoints()
    source.SetDataTypeToDouble()
    target.SetDataTypeToDouble()
    source.SetData(numpy_to_vtk(np.ascontiguousarray(points.reshape(-1, 3)), deep=True))
    transform.TransformPoints(source, target)
    return vtk_to_numpy(target.GetData()).reshape(points.shape).copy()
