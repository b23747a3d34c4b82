"""What the user chose, as the library wants it: checked, in world coordinates, LPS mm.

Nothing here changes a node. Transforms that a node hangs under are applied to what is returned.
"""

from __future__ import annotations

import numpy as np
import slicer
from DeepRegLib.errors import BadInput, BadLandmarks
from DeepRegLib.evidence.landmarks import Landmarks
from DeepRegLib.images.check import FEWEST_VOXELS
from DeepRegLib.images.volume import Volume

from .nodes import to_ras
from .resampling import LINEAR, ijk_to_local, lowest_in_steps, resample_in_steps, voxels_of
from .steps import Steps
from .transform_chain import TransformNodes, local_to_world, map_points, world_to_local
from .world_grid import world_grid_in_steps

SINGULAR_MM3 = 1e-9
"""A voxel of less than a cubic micrometre is a damaged header: its axes lie in one plane."""
LABELS_NAMED = 5
"""A message names no more points than this."""


def check_volume_node(node: slicer.vtkMRMLNode | None, role: str, dimensions: tuple[int, ...] = (3,)) -> None:
    """Refuse what cannot be registered before its voxels are looked at. ``role`` is ``"fixed"`` or ``"moving"``;
    ``dimensions`` are those that the method takes.

    Raises :class:`~DeepRegLib.errors.BadInput` when nothing is chosen, and for label maps, colour, vector and tensor
    volumes, volumes without voxels or with too few of them, and broken geometry. Values of voxels are checked later, by
    the registration itself.
    """
    if node is None:
        raise BadInput(f"Choose the {role} image.")
    name = f"The {role} image '{node.GetName()}'"
    if not isinstance(node, slicer.vtkMRMLScalarVolumeNode):
        raise BadInput(f"{name} is not an image volume.", "Choose a CT or MR scan.")
    if isinstance(node, slicer.vtkMRMLLabelMapVolumeNode):
        raise BadInput(f"{name} is a label map.", "Choose the scan itself; a label map can be used as the region.")
    image = node.GetImageData()
    if image is None or image.GetNumberOfPoints() == 0:
        raise BadInput(f"{name} has no voxels.", "Load the scan again, or choose another one.")
    if isinstance(node, slicer.vtkMRMLTensorVolumeNode) or image.GetNumberOfScalarComponents() != 1:
        raise BadInput(
            f"{name} has several values per voxel (colour, vectors or tensors).",
            "Choose a scan with one value per voxel; the module Vector to Scalar Volume converts colour.",
        )
    if image.GetPointData().GetScalars() is None:
        raise BadInput(f"{name} has no voxels.", "Load the scan again, or choose another one.")
    _check_size(image.GetDimensions(), name, dimensions)
    axes = ijk_to_local(node)
    if not np.isfinite(axes).all() or abs(np.linalg.det(axes)) < SINGULAR_MM3:
        raise BadInput(f"{name} has a broken position or orientation.", "Check its spacing in the module Volumes.")


def check_pair(
    fixed: slicer.vtkMRMLNode | None, moving: slicer.vtkMRMLNode | None, dimensions: tuple[int, ...] = (3,)
) -> None:
    """:func:`check_volume_node` for both; also raises BadInput for the same volume twice and for a slice with a
    volume."""
    check_volume_node(fixed, "fixed", dimensions)
    check_volume_node(moving, "moving", dimensions)
    if fixed is moving:
        raise BadInput(f"'{fixed.GetName()}' is chosen as fixed and as moving image.", "Choose two different images.")
    flat = [node.GetImageData().GetDimensions()[2] == 1 for node in (fixed, moving)]
    if flat[0] != flat[1]:
        raise BadInput("One image is a single slice and the other one a volume.", "Choose two of a kind.")


def _check_size(size: tuple[int, int, int], name: str, dimensions: tuple[int, ...]) -> None:
    flat = size[2] == 1
    if (2 if flat else 3) not in dimensions:
        kind, wanted = ("a single slice", "volumes") if flat else ("a volume", "single slices")
        raise BadInput(f"{name} is {kind}; this method registers {wanted} only.")
    if min(size[:2] if flat else size) < FEWEST_VOXELS:
        raise BadInput(
            f"{name} has only {' x '.join(map(str, size))} voxels; at least {FEWEST_VOXELS} along each axis are needed."
        )


def volume_in_steps(node: slicer.vtkMRMLScalarVolumeNode, without: TransformNodes = ()) -> Steps[Volume]:
    """The image as it lies in the world, LPS mm.

    Without transforms above it, and under linear ones that keep its axes at right angles, the voxels are those of the
    node itself (a view, no copy). Under all others they are a copy on a grid of right angles with the node's own
    spacing, large enough for the whole image, linearly interpolated; places that the image does not reach get its
    lowest value. Raises :class:`~DeepRegLib.errors.BadInput` when a transform above cannot be applied.
    """
    image = node.GetImageData()
    grid = yield from world_grid_in_steps(node, without)
    if grid.keeps_voxels:
        return Volume(voxels_of(image), grid.geometry, node.GetName())
    lowest = yield from lowest_in_steps(voxels_of(image))
    steps = [world_to_local(node, without), np.linalg.inv(ijk_to_local(node))]
    array = yield from resample_in_steps(image, steps, grid.geometry, LINEAR, lowest)
    return Volume(array, grid.geometry, node.GetName())


def landmarks_of(node: slicer.vtkMRMLMarkupsNode, without: TransformNodes = ()) -> Landmarks:
    """The control points of any markups node in the world, LPS mm, with their labels (their number where they have
    none). Points that the user declared missing are left out.

    Raises :class:`~DeepRegLib.errors.BadLandmarks` for an empty list and for points that are not placed yet.
    """
    count, name = node.GetNumberOfControlPoints(), node.GetName()
    labels = [node.GetNthControlPointLabel(i) or str(i + 1) for i in range(count)]
    status = [node.GetNthControlPointPositionStatus(i) for i in range(count)]
    unplaced = [
        label for label, s in zip(labels, status, strict=True) if s in (node.PositionUndefined, node.PositionPreview)
    ]
    if unplaced:
        raise BadLandmarks(
            f"Landmarks of '{name}' are not placed yet: {listed(unplaced)}.",
            "Place them, or delete them from the list.",
        )
    chosen = [i for i in range(count) if status[i] == node.PositionDefined]
    if not chosen:
        raise BadLandmarks(f"The landmark list '{name}' is empty.")
    points = map_points(local_to_world(node, without), [node.GetNthControlPointPosition(i) for i in chosen])
    return Landmarks(to_ras(points), tuple(labels[i] for i in chosen), name, tuple(i + 1 for i in chosen))


def listed(labels: list[str]) -> str:
    """The first labels, and how many more there are.

    >>> listed(["a", "b", "c", "d", "e", "f"])
    'a, b, c, d, e and 1 more'
    """
    more = len(labels) - LABELS_NAMED
    return ", ".join(labels[:LABELS_NAMED]) + (f" and {more} more" if more > 0 else "")
