"""Two images as one: a checkerboard of both, or their difference. For the eye, on a hidden volume node."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import slicer
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.images.volume import Volume

from .colour_tables import difference_colours
from .nodes import image_data_in_steps, set_voxels
from .pacing import paced_steps
from .resampling import voxels_of
from .review_nodes import give_display, review_node
from .review_pair import ReviewPair, fixed_on_grid_in_steps, fixed_volume_in_steps, moving_on_grid_in_steps
from .shared_window import copy_window
from .steps import Steps

COMPARED_ROLE = "fixed and moving image compared"
TILES_ACROSS = 8
"""Tiles along the longest side of the image: each holds a structure, and each structure meets an edge."""
TILE_SIZES_MM = (1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 40.0, 50.0, 60.0, 80.0, 100.0)
MOST_VOXELS = 30_000_000
"""Larger images are compared on coarser voxels: 3D Slicer shows no more than a screen of them at a time."""
GREY_PERCENTILES = (1.0, 99.0)
"""The grey scale of an image, without the few voxels that are darker or brighter."""
SAMPLES_PER_AXIS = 64
"""The grey scale is looked for on no more voxels than this along each axis."""
SAME_SCALE = 0.35
"""Grey scales whose ends differ by less than this share of the wider one belong to images of one kind."""
DIFFERENCE_SHARE = 0.25
"""Differences of this share of the grey scale are shown in full colour: breathing and noise stay pale."""


@dataclass(frozen=True)
class GreyScale:
    """From the dark to the bright end of an image."""

    low: float
    high: float

    @classmethod
    def of(cls, array: np.ndarray) -> GreyScale:
        """Of the voxels (z, y, x)."""
        sparse = array[tuple(slice(None, None, max(1, n // SAMPLES_PER_AXIS)) for n in array.shape)]
        low, high = np.percentile(sparse.astype(np.float64), GREY_PERCENTILES)
        return cls(float(low), float(max(high, low + 1e-6 * max(1.0, abs(low)))))

    @property
    def width(self) -> float:
        return self.high - self.low

    def matches(self, other: GreyScale) -> bool:
        """Whether both belong to images of one kind, as two CT scans do."""
        furthest = max(abs(self.low - other.low), abs(self.high - other.high))
        return furthest <= SAME_SCALE * max(self.width, other.width)


def same_kind(fixed: slicer.vtkMRMLVolumeNode, other: slicer.vtkMRMLVolumeNode) -> bool:
    """Whether two images have one grey scale, so that one window suits both."""
    scales = [GreyScale.of(voxels_of(node.GetImageData())) for node in (fixed, other)]
    return scales[0].matches(scales[1])


def tile_size_mm(geometry: Geometry) -> float:
    """The round number that comes nearest to ``TILES_ACROSS`` tiles along the longest side of the image."""
    wanted = (geometry.extent_mm.max() + max(geometry.spacing)) / TILES_ACROSS
    return min(TILE_SIZES_MM, key=lambda size: abs(np.log(size / wanted)))


def checkerboard_in_steps(pair: ReviewPair, registered: bool) -> Steps[slicer.vtkMRMLScalarVolumeNode]:
    """Tiles of the fixed and of the moving image in turn, in the grey scale of the fixed one."""
    fixed, moving = yield from _both_in_steps(pair, registered)
    out = np.empty_like(fixed.array)
    tile = tile_size_mm(fixed.geometry)
    z, y, x = (
        np.floor(np.arange(n) * step / tile).astype(int)
        for n, step in zip(fixed.geometry.shape, fixed.geometry.spacing[::-1], strict=True)
    )

    def lay(start: int, stop: int) -> None:
        part = moving[start:stop]
        out[start:stop] = fixed.array[start:stop]
        odd = (z[start:stop, None, None] + y[:, None] + x) % 2 == 1
        np.copyto(out[start:stop], part, where=odd & ~np.isnan(part), casting="unsafe")

    yield from paced_steps(lay, len(out), 1)
    node = yield from _shown_in_steps(pair, Volume(out, fixed.geometry), "checkerboard")
    display = node.GetDisplayNode()
    display.SetAndObserveColorNodeID("vtkMRMLColorTableNodeGrey")
    if pair.fixed.GetDisplayNode() is not None:
        copy_window(pair.fixed.GetDisplayNode(), display)
    return node


def difference_in_steps(pair: ReviewPair, registered: bool) -> Steps[slicer.vtkMRMLScalarVolumeNode]:
    """Fixed minus moving image, 0 where the moving image ends: blue where the moving one is brighter, orange where the
    fixed one is. Before and after registration have the same colours, so that they can be held against each other."""
    fixed, moving = yield from _both_in_steps(pair, registered)
    out = np.empty(fixed.geometry.shape, np.float32)

    def subtract(start: int, stop: int) -> None:
        np.subtract(
            fixed.array[start:stop], moving[start:stop], out=out[start:stop], dtype=np.float32, casting="unsafe"
        )
        out[start:stop][np.isnan(out[start:stop])] = 0

    yield from paced_steps(subtract, len(out), 1)
    node = yield from _shown_in_steps(pair, Volume(out, fixed.geometry), "difference")
    display = node.GetDisplayNode()
    display.SetAndObserveColorNodeID(difference_colours(node.GetScene()).GetID())
    display.SetAutoWindowLevel(False)
    display.SetWindowLevel(2 * DIFFERENCE_SHARE * GreyScale.of(fixed.array).width, 0.0)
    return node


def _both_in_steps(pair: ReviewPair, registered: bool) -> Steps[tuple[Volume, np.ndarray]]:
    """The fixed image, and the moving one on its grid in its grey scale (float32, NaN where it ends)."""
    fixed = yield from fixed_volume_in_steps(pair)
    if fixed.geometry.voxel_count > MOST_VOXELS:
        fixed = yield from fixed_on_grid_in_steps(pair, _coarser(fixed.geometry))
    values, seen = yield from moving_on_grid_in_steps(pair, fixed.geometry, registered)
    scale, own = GreyScale.of(fixed.array), GreyScale.of(voxels_of(pair.moving.GetImageData()))
    slope = 1.0 if scale.matches(own) else scale.width / own.width
    shift = 0.0 if slope == 1.0 else scale.low - slope * own.low
    out = np.empty(values.shape, np.float32)

    def match(start: int, stop: int) -> None:
        part = out[start:stop]
        part[:] = values[start:stop]
        part *= slope
        part += shift
        unseen = seen[start:stop] == 0 if isinstance(seen, np.ndarray) else values[start:stop] == seen
        part[unseen] = np.nan

    yield from paced_steps(match, len(out), 1)
    return fixed, out


def _coarser(geometry: Geometry) -> Geometry:
    """The same box with ``MOST_VOXELS`` at most."""
    factor = (geometry.voxel_count / MOST_VOXELS) ** (1 / 3)
    return geometry.with_spacing(tuple(factor * np.array(geometry.spacing)))


def _shown_in_steps(pair: ReviewPair, volume: Volume, name: str) -> Steps[slicer.vtkMRMLScalarVolumeNode]:
    """The one hidden node that all comparisons share."""
    image = yield from image_data_in_steps(volume.array)
    node = review_node(pair.transform.GetScene(), "vtkMRMLScalarVolumeNode", COMPARED_ROLE, name)
    node.SetName(name)
    give_display(node)
    set_voxels(node, image, volume.geometry)
    pair.place(node)
    return node
