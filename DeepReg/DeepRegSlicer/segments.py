"""The two representations of segments that can be registered: voxels, in layers that segments share, and surfaces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import slicer
import vtk
from DeepRegLib.errors import BadMask

from .transform_chain import array_of

LABELMAP = slicer.vtkSegmentationConverter.GetBinaryLabelmapRepresentationName()
SURFACE = slicer.vtkSegmentationConverter.GetClosedSurfaceRepresentationName()


@dataclass(frozen=True)
class Layer:
    """An image that holds one or more segments that do not overlap: ``labels[i]`` is the value of ``segment_ids[i]``.
    ``ras_to_ijk`` (4 x 4) goes from RAS points of the segmentation to voxel indices."""

    image: slicer.vtkOrientedImageData
    ras_to_ijk: np.ndarray
    segment_ids: tuple[str, ...]
    labels: np.ndarray


def layers_of(node: slicer.vtkMRMLSegmentationNode, segment_ids: Sequence[str]) -> list[Layer]:
    """The layers of those segments that have voxels; segments of which nothing is drawn have none."""
    shared: dict[vtk.vtkObject, list[str]] = {}
    for segment_id in _with_voxels(node, segment_ids):
        image = node.GetSegmentation().GetSegment(segment_id).GetRepresentation(LABELMAP)
        if image.GetNumberOfPoints() > 0 and image.GetPointData().GetScalars() is not None:
            shared.setdefault(image, []).append(segment_id)
    layers = []
    for image, ids in shared.items():
        matrix = vtk.vtkMatrix4x4()
        image.GetWorldToImageMatrix(matrix)
        labels = np.array([node.GetSegmentation().GetSegment(i).GetLabelValue() for i in ids])
        layers.append(Layer(image, array_of(matrix), tuple(ids), labels))
    return layers


def surfaces_of(node: slicer.vtkMRMLSegmentationNode, segment_ids: Sequence[str]) -> dict[str, vtk.vtkPolyData]:
    """The closed surfaces of those segments that have no voxels, by segment.

    Raises :class:`~DeepRegLib.errors.BadMask` when a segment has neither.
    """
    voxels = _with_voxels(node, segment_ids)
    surfaces = {}
    for segment_id in segment_ids:
        if segment_id in voxels:
            continue
        segment = node.GetSegmentation().GetSegment(segment_id)
        surfaces[segment_id] = segment.GetRepresentation(SURFACE)
        if surfaces[segment_id] is None:
            raise BadMask(
                f"The segment '{segment.GetName()}' of '{node.GetName()}' has neither voxels nor a surface.",
                "Create its binary labelmap in the module Segmentations.",
            )
    return surfaces


def _with_voxels(node: slicer.vtkMRMLSegmentationNode, segment_ids: Sequence[str]) -> list[str]:
    """Segments drawn as surfaces are taken as such: voxels made from them are a rougher copy."""
    segmentation = node.GetSegmentation()
    drawn_as_surfaces = segmentation.GetSourceRepresentationName() == SURFACE
    return [
        i
        for i in segment_ids
        if segmentation.GetSegment(i).GetRepresentation(LABELMAP) is not None
        and not (drawn_as_surfaces and segmentation.GetSegment(i).GetRepresentation(SURFACE) is not None)
    ]
