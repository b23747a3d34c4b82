"""The two images that a registration joined, and how the moving one is seen: as it was scanned, or through T.

Everything is found through the transform node, so that it works for a scene that was saved and opened again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import slicer
import vtk
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.images.volume import Volume

from .input_nodes import volume_in_steps
from .resampling import LINEAR, NEAREST, ijk_to_local, lowest_in_steps, resample_in_steps, voxels_of
from .result_marks import WARPED
from .review_nodes import give_display, review_node
from .shared_window import copy_window
from .steps import Steps
from .transform_chain import chain, transforms_above, world_to_local

MOVED_ROLE = "moving image through the transform"
UNMOVED_ROLE = "moving image as scanned"
MAP_SUFFIX = " (map)"
"""The role of a transform node is that of the volume under it with this suffix."""
PAIR_ROLES = tuple(role + suffix for role in (MOVED_ROLE, UNMOVED_ROLE) for suffix in ("", MAP_SUFFIX))


@dataclass(frozen=True, eq=False)
class ReviewPair:
    """``warped`` is the moving image resampled onto the fixed grid, if there is one. Two pairs are equal when they are
    of the same nodes."""

    transform: slicer.vtkMRMLTransformNode
    fixed: slicer.vtkMRMLScalarVolumeNode
    moving: slicer.vtkMRMLScalarVolumeNode
    warped: slicer.vtkMRMLScalarVolumeNode | None = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ReviewPair) and self._nodes() == other._nodes()

    def __hash__(self) -> int:
        return hash(self._nodes())

    def _nodes(self) -> tuple[object, ...]:
        return self.transform, self.fixed, self.moving, self.warped

    @property
    def passed_over(self) -> list[slicer.vtkMRMLTransformNode]:
        """Transforms that do not belong to the original images: the result, and what it hangs under itself."""
        return [self.transform, *transforms_above(self.transform)]

    @property
    def is_in_scene(self) -> bool:
        """Whether none of the nodes was removed."""
        return all(node is None or node.GetScene() is not None for node in self._nodes())

    def place(self, node: slicer.vtkMRMLTransformableNode) -> None:
        """Put something that was computed in the frame of the fixed image where the fixed image is seen."""
        node.SetAndObserveTransformNodeID(self.transform.GetTransformNodeID())


def pair_of(
    transform: slicer.vtkMRMLTransformNode | None,
    fixed: slicer.vtkMRMLScalarVolumeNode | None = None,
    moving: slicer.vtkMRMLScalarVolumeNode | None = None,
) -> ReviewPair | None:
    """The pair that a transform node was made from, else None. ``fixed`` and ``moving`` are for a transform that does
    not know its images."""
    if transform is None:
        return None
    fixed = transform.GetNodeReference(transform.GetFixedNodeReferenceRole()) or fixed
    moving = transform.GetNodeReference(transform.GetMovingNodeReferenceRole()) or moving
    if not (_has_voxels(fixed) and _has_voxels(moving)) or fixed is moving:
        return None
    warped = transform.GetNodeReference(WARPED)
    return ReviewPair(transform, fixed, moving, warped if _has_voxels(warped) else None)


def _has_voxels(node: slicer.vtkMRMLNode | None) -> bool:
    return (
        isinstance(node, slicer.vtkMRMLScalarVolumeNode)
        and node.GetImageData() is not None
        and node.GetImageData().GetNumberOfPoints() > 0
    )


def moved_image(pair: ReviewPair) -> slicer.vtkMRMLScalarVolumeNode:
    """A volume node that appears where the fixed image is: the warped one, or the moving one under T."""
    if pair.warped is not None:
        return pair.warped
    if pair.transform in transforms_above(pair.moving):
        return pair.moving
    # T goes first, then what the moving image hangs under.
    through = chain(pair.transform.GetTransformFromParent(), world_to_local(pair.moving, pair.passed_over))
    node = _copy_of(pair.moving, MOVED_ROLE)
    above = review_node(pair.transform.GetScene(), "vtkMRMLTransformNode", MOVED_ROLE + MAP_SUFFIX, MOVED_ROLE)
    above.SetAndObserveTransformFromParent(through)
    above.SetAndObserveTransformNodeID(pair.transform.GetTransformNodeID())
    node.SetAndObserveTransformNodeID(above.GetID())
    return node


def unmoved_image(pair: ReviewPair) -> slicer.vtkMRMLScalarVolumeNode:
    """A volume node that appears where the moving image was scanned."""
    above = transforms_above(pair.moving)
    if pair.transform not in above:
        return pair.moving
    node = _copy_of(pair.moving, UNMOVED_ROLE)
    inner = above[: above.index(pair.transform)]
    if not inner:
        node.SetAndObserveTransformNodeID(None)
        return node
    parent = review_node(pair.transform.GetScene(), "vtkMRMLTransformNode", UNMOVED_ROLE + MAP_SUFFIX, UNMOVED_ROLE)
    parent.SetAndObserveTransformFromParent(world_to_local(pair.moving, pair.passed_over))
    node.SetAndObserveTransformNodeID(parent.GetID())
    return node


def _copy_of(volume: slicer.vtkMRMLScalarVolumeNode, role: str) -> slicer.vtkMRMLScalarVolumeNode:
    """A hidden node that shares the voxels of ``volume``."""
    node = review_node(volume.GetScene(), "vtkMRMLScalarVolumeNode", role, volume.GetName())
    give_display(node)
    node.SetName(volume.GetName())
    node.CopyOrientation(volume)
    node.SetAndObserveImageData(volume.GetImageData())
    if volume.GetDisplayNode() is not None:
        copy_window(volume.GetDisplayNode(), node.GetDisplayNode())
    return node


def fixed_volume_in_steps(pair: ReviewPair) -> Steps[Volume]:
    """The fixed image in the frame of the transform, LPS mm."""
    return (yield from volume_in_steps(pair.fixed, pair.passed_over))


def fixed_on_grid_in_steps(pair: ReviewPair, geometry: Geometry) -> Steps[Volume]:
    """The fixed image on another grid of the same frame."""
    image = pair.fixed.GetImageData()
    lowest = yield from lowest_in_steps(voxels_of(image))
    steps = [world_to_local(pair.fixed, pair.passed_over), np.linalg.inv(ijk_to_local(pair.fixed))]
    return Volume((yield from resample_in_steps(image, steps, geometry, LINEAR, lowest)), geometry)


def moving_on_grid_in_steps(
    pair: ReviewPair, geometry: Geometry, registered: bool
) -> Steps[tuple[np.ndarray, np.ndarray | float]]:
    """The moving image on a grid of the fixed one, ``registered`` or as it was, and where that grid sees it: not where
    the values equal a number that no voxel has, or where an array of bytes is 1."""
    through = pair.transform.GetTransformFromParent() if registered else None
    steps = [through, world_to_local(pair.moving, pair.passed_over), np.linalg.inv(ijk_to_local(pair.moving))]
    image = pair.moving.GetImageData()
    lowest = yield from lowest_in_steps(voxels_of(image))
    below = value_below(lowest, voxels_of(image).dtype)
    outside = lowest if below is None else below
    values = yield from resample_in_steps(image, steps, geometry, LINEAR, outside)
    if below is not None:
        return values, below
    seen = yield from resample_in_steps(_everywhere(pair.moving), steps, geometry, NEAREST, 0)
    return values, seen


def value_below(lowest: float, kind: np.dtype) -> float | None:
    """A number that is less than all voxels, if the type has one.

    >>> value_below(-1024.0, np.dtype("int16")), value_below(0.0, np.dtype("uint16"))
    (-1025.0, None)
    """
    if kind.kind in "iu":
        return lowest - 1 if lowest > np.iinfo(kind).min else None
    below = lowest - max(1.0, abs(lowest))
    return below if np.isfinite(kind.type(below)) else None


def _everywhere(node: slicer.vtkMRMLVolumeNode) -> vtk.vtkImageData:
    """Ones where the image has voxels."""
    image = vtk.vtkImageData()
    image.SetExtent(node.GetImageData().GetExtent())
    image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
    image.GetPointData().GetScalars().Fill(1)
    return image
