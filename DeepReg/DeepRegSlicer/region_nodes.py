"""A region of interest that the user drew, on the grid of an image: segmentations, single segments, label maps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import slicer
import vtk
from DeepRegLib.errors import BadMask
from DeepRegLib.images.volume import Volume

from .pacing import paced_steps
from .resampling import NEAREST, ijk_to_local, resample_in_steps, voxels_of
from .segments import layers_of, surfaces_of
from .steps import Steps
from .surfaces import filled_in_steps
from .transform_chain import TransformNodes, local_to_world, world_to_local
from .world_grid import world_grid_in_steps


@dataclass(frozen=True)
class _Drawing:
    """What was drawn: images with the labels that count (None: all but zero), and closed surfaces."""

    name: str
    layers: tuple[tuple[vtk.vtkImageData, np.ndarray, np.ndarray | None], ...]
    surfaces: tuple[vtk.vtkPolyData, ...]


def mask_in_steps(
    node: slicer.vtkMRMLSegmentationNode | slicer.vtkMRMLScalarVolumeNode,
    segment_id: str | None,
    reference: slicer.vtkMRMLScalarVolumeNode,
    without: TransformNodes = (),
) -> Steps[Volume]:
    """The region as booleans on the grid that :func:`~DeepRegSlicer.input_nodes.volume_in_steps` gives for the image
    ``reference``. Each of the two hangs under its own transforms; those of ``without`` are passed over.

    Of a segmentation it is one segment, or with None all visible ones together; of a label map all voxels that are not
    zero. Every voxel of the image asks the nearest voxel of the drawn region; a segment that exists only as a closed
    surface is filled.

    Raises :class:`~DeepRegLib.errors.BadMask` when the region is empty or does not meet the image.
    """
    drawing = _drawing(node, segment_id)
    grid = yield from world_grid_in_steps(reference, without)
    inside = np.zeros(grid.geometry.shape, bool)
    for image, ras_to_ijk, labels in drawing.layers:
        steps = [world_to_local(node, without), ras_to_ijk]
        values = yield from resample_in_steps(image, steps, grid.geometry, NEAREST, 0)
        yield from _mark_in_steps(inside, values, labels)
    for surface in drawing.surfaces:
        filled = yield from filled_in_steps(surface, local_to_world(node, without), grid.geometry)
        yield from _mark_in_steps(inside, filled, None)
    if not inside.any():
        yield from _explain_in_steps(drawing, reference.GetName())
    return Volume(inside, grid.geometry, drawing.name)


def _drawing(node: slicer.vtkMRMLNode, segment_id: str | None) -> _Drawing:
    name = node.GetName()
    if isinstance(node, slicer.vtkMRMLSegmentationNode):
        segments = node.GetSegmentation()
        ids = _visible_segments(node) if segment_id is None else [segment_id]
        if segment_id is not None:
            if segments.GetSegment(segment_id) is None:
                raise BadMask(f"The segment that was chosen as region is no longer in '{name}'.", "Choose it again.")
            name = segments.GetSegment(segment_id).GetName()
        layers = tuple((layer.image, layer.ras_to_ijk, layer.labels) for layer in layers_of(node, ids))
        return _Drawing(name, layers, tuple(surfaces_of(node, ids).values()))
    image = node.GetImageData() if isinstance(node, slicer.vtkMRMLScalarVolumeNode) else None
    if image is None or image.GetPointData().GetScalars() is None:
        raise BadMask(f"The region '{name}' holds nothing.", "Choose a segmentation or a label map.")
    return _Drawing(name, ((image, np.linalg.inv(ijk_to_local(node)), None),), ())


def _visible_segments(node: slicer.vtkMRMLSegmentationNode) -> list[str]:
    ids = list(node.GetSegmentation().GetSegmentIDs())
    if not ids:
        raise BadMask(f"The segmentation '{node.GetName()}' has no segments.", "Draw the region, or choose none.")
    display = node.GetDisplayNode()
    visible = [i for i in ids if display is None or display.GetSegmentVisibility(i)]
    if not visible:
        raise BadMask(
            f"All segments of '{node.GetName()}' are hidden.",
            "Show those that make up the region, or choose one of them.",
        )
    return visible


def _mark_in_steps(inside: np.ndarray, values: np.ndarray, labels: np.ndarray | None) -> Steps[None]:
    def mark(start: int, stop: int) -> None:
        inside[start:stop] |= _chosen(values[start:stop], labels)

    yield from paced_steps(mark, len(inside), 1)


def _chosen(values: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
    return values != 0 if labels is None else np.isin(values, labels)


def _explain_in_steps(drawing: _Drawing, image_name: str) -> Steps[None]:
    """Raise the reason why no voxel of the image is inside."""
    found: list[bool] = [surface.GetNumberOfPoints() > 0 for surface in drawing.surfaces]
    for image, _, labels in drawing.layers:
        voxels = voxels_of(image)

        def look(start: int, stop: int, voxels: np.ndarray = voxels, labels: np.ndarray | None = labels) -> None:
            found.append(bool(_chosen(voxels[start:stop], labels).any()))

        yield from paced_steps(look, len(voxels), 1)
    if any(found):
        raise BadMask(
            f"The region '{drawing.name}' does not meet the image '{image_name}': they lie in different places.",
            "Check that it was drawn on this scan and not on the other one.",
        )
    raise BadMask(f"The region '{drawing.name}' is empty.", "Draw it again, or register without a region.")
