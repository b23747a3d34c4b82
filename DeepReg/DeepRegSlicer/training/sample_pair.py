"""The last validation pair of a run in the scene: both images, the true motion, and the one that the network found.

Both motions are transforms from the fixed to the moving image. The moving image hangs under the found one, so it lies
on the fixed image as well as the network can bring it there; grids in two colours show how the motions differ. What
each level of the network found is a transform, too, whose grid is drawn when the user switches it on.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import numpy as np
import slicer
import vtk
from DeepRegLib.array_files import read_array_in_steps
from DeepRegLib.errors import BadInput
from DeepRegLib.images.volume import Volume
from DeepRegLib.transforms.displacement_field import DisplacementField
from DeepRegTrainLib.run_folder.layout import RunFolder
from DeepRegTrainLib.run_folder.samples import PREDICTED, SampleLevel, last_sample, levels_of
from slicer.i18n import tr as _

from ..deformation_grid import STEPS_PER_CELL, line_spacing_mm
from ..landmark_table import kept_node
from ..nodes import CT_LUNG, grid_transform_in_steps, image_data_in_steps, record_images, set_transform, set_voxels
from ..pacing import paced_steps
from ..review_nodes import ROLE_ATTRIBUTE, remove_review_nodes, review_node
from ..steps import Steps
from .pair_folder import read_pair_in_steps

FIXED_ROLE, MOVING_ROLE = "training sample: fixed", "training sample: moving"
TRUE_ROLE, FOUND_ROLE = "training sample: true motion", "training sample: found motion"
LEVEL_ROLE = "training sample: found motion of the "
"""Begins the roles of the levels; the name of the level follows."""
TRUE_COLOUR, FOUND_COLOUR = (0.30, 0.85, 0.95), (1.0, 0.65, 0.1)
"""Blue-green and orange: told apart on grey images, also with red-green blindness."""
LEVEL_COLOURS = ((0.45, 0.50, 1.0), (0.90, 0.35, 0.80), (0.25, 0.75, 0.25))
"""Blue, purple, green, coarse to fine: seen on lung and on soft tissue. No network has more than three levels at work
at once; a fourth one would be blue again."""
CELLS_ACROSS = 12
"""Two grids over each other are told apart only when they are wide."""
FADE = 0.5
LARGEST_MM = 1000.0


@dataclass(frozen=True)
class SamplePair:
    """The nodes of a sample. ``step`` is that of the network; ``error_mm`` how far the found motion is from the true
    one, averaged over the region of the fixed image, ``zero_mm`` that of no motion; ``levels`` are the motions that the
    levels of the network found, coarse to fine, none for a network of one piece."""

    fixed: slicer.vtkMRMLScalarVolumeNode
    moving: slicer.vtkMRMLScalarVolumeNode
    true_motion: slicer.vtkMRMLGridTransformNode
    found_motion: slicer.vtkMRMLGridTransformNode
    step: int
    error_mm: float
    zero_mm: float
    levels: tuple[slicer.vtkMRMLGridTransformNode, ...]


@dataclass(frozen=True)
class _Motion:
    """A field, and how it is told from the others."""

    field: DisplacementField
    role: str
    name: str
    colour: tuple[float, float, float]


def has_sample(run: Path) -> bool:
    """Whether the run has validated already."""
    return last_sample(RunFolder(run)) is not None


def add_sample_in_steps(scene: slicer.vtkMRMLScene, run: Path) -> Steps[SamplePair]:
    """Put the last sample of the run into the scene, in the nodes of the one before where there are some.

    Raises :class:`~DeepRegLib.errors.BadInput` when there is none yet, or when it was replaced meanwhile.
    """
    folder = last_sample(RunFolder(run))
    if folder is None:
        raise BadInput(
            _("There is no sample pair yet."), _("The run makes one with its first validation; wait for that.")
        )
    levels = levels_of(folder)  # first: while a newer sample removes this one, it may seem to have none
    pair = yield from read_pair_in_steps(folder)
    region = yield from read_array_in_steps(folder / "region.npy")
    known, found, *level_motions = yield from _motions_in_steps(folder, pair.motion, levels)
    error, zero = yield from _errors_in_steps(known.field.array, found.field.array, region)
    fixed = yield from _volume_in_steps(scene, FIXED_ROLE, _("Training sample: fixed"), pair.fixed)
    moving = yield from _volume_in_steps(scene, MOVING_ROLE, _("Training sample: moving"), pair.moving)
    true_motion = yield from _motion_in_steps(scene, known, fixed, moving)
    found_motion = yield from _motion_in_steps(scene, found, fixed, moving)
    for node in (true_motion, found_motion):
        node.GetDisplayNode().SetVisibility(True)
        yield
    level_nodes = []
    for motion in level_motions:
        node = yield from _motion_in_steps(scene, motion, fixed, moving)
        node.SetName(motion.name)  # its weight is not what it was in the sample before
        level_nodes.append(node)
        yield
    _remove_levels_except(scene, {motion.role for motion in level_motions})
    moving.SetAndObserveTransformNodeID(found_motion.GetID())
    return SamplePair(fixed, moving, true_motion, found_motion, int(folder.name), error, zero, tuple(level_nodes))


def show_sample(sample: SamplePair) -> None:
    """Both images in the slice views, fitted to them."""
    slicer.util.setSliceViewerLayers(
        background=sample.fixed, foreground=sample.moving, foregroundOpacity=FADE, label=None, fit=True
    )


def _volume_in_steps(
    scene: slicer.vtkMRMLScene, role: str, name: str, volume: Volume
) -> Steps[slicer.vtkMRMLScalarVolumeNode]:
    image = yield from image_data_in_steps(volume.array)
    node = kept_node(scene, "vtkMRMLScalarVolumeNode", role, name)
    if node.GetDisplayNode() is None:
        node.CreateDefaultDisplayNodes()
        node.GetDisplayNode().SetAutoWindowLevel(False)  # before the voxels come, or it would look through them all
        node.GetDisplayNode().SetWindowLevel(*CT_LUNG)
    set_voxels(node, image, volume.geometry)
    return node


def _motions_in_steps(folder: Path, true: DisplacementField, levels: list[SampleLevel]) -> Steps[list[_Motion]]:
    """The true motion, the one that was found, and those of the levels."""
    found = yield from read_array_in_steps(folder / PREDICTED)
    motions = [
        _Motion(true, TRUE_ROLE, _("Training sample: true motion"), TRUE_COLOUR),
        _Motion(DisplacementField(found, true.geometry), FOUND_ROLE, _("Training sample: found motion"), FOUND_COLOUR),
    ]
    for level, colour in zip(levels, cycle(LEVEL_COLOURS)):
        field = DisplacementField((yield from read_array_in_steps(level.field)), true.geometry)
        motions.append(_Motion(field, f"{LEVEL_ROLE}{level.name}", _level_words(level), colour))
    return motions


def _errors_in_steps(true: np.ndarray, found: np.ndarray, region: np.ndarray) -> Steps[tuple[float, float]]:
    """How far ``found`` and no motion are from the true vectors (z, y, x, 3) in the mean over ``region``, or over all
    voxels where that is empty."""
    inside = region > 0 if region.any() else np.ones(region.shape, bool)
    sums = np.zeros(2)

    def add(start: int, stop: int) -> None:
        needed = true[start:stop][inside[start:stop]].astype(float)
        missed = needed - found[start:stop][inside[start:stop]]
        for k, vectors in enumerate((missed, needed)):
            sums[k] += np.linalg.norm(vectors, axis=-1).sum()

    yield from paced_steps(add, len(inside), 1)
    error, zero = sums / np.count_nonzero(inside)
    return float(error), float(zero)


def _level_words(level: SampleLevel) -> str:
    if level.alpha is None:
        return _("Training sample: {level}, found motion").format(level=level.name)
    words = _("Training sample: {level} (alpha {alpha}), found motion")
    return words.format(level=level.name, alpha=f"{level.alpha:.2f}")


def _motion_in_steps(
    scene: slicer.vtkMRMLScene,
    motion: _Motion,
    fixed: slicer.vtkMRMLScalarVolumeNode,
    moving: slicer.vtkMRMLScalarVolumeNode,
) -> Steps[slicer.vtkMRMLGridTransformNode]:
    """A transform whose grid is drawn as soon as its display is visible; a new one is not."""
    transform = yield from grid_transform_in_steps(motion.field)
    node = kept_node(scene, "vtkMRMLGridTransformNode", motion.role, motion.name)
    set_transform(node, transform)
    record_images(node, fixed, moving)
    _draw_as_grid(node, fixed, motion)
    return node


def _remove_levels_except(scene: slicer.vtkMRMLScene, kept: set[str]) -> None:
    """Another level is trained now, or it is another network."""
    kind = "vtkMRMLGridTransformNode"
    transforms = (scene.GetNthNodeByClass(k, kind) for k in range(scene.GetNumberOfNodesByClass(kind)))
    roles = [node.GetAttribute(ROLE_ATTRIBUTE) for node in transforms]
    for role in roles:
        if role is not None and role.startswith(LEVEL_ROLE) and role not in kept:
            remove_review_nodes(scene, role, _colour_role(role))


def _draw_as_grid(
    node: slicer.vtkMRMLGridTransformNode, region: slicer.vtkMRMLScalarVolumeNode, motion: _Motion
) -> None:
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    spacing = line_spacing_mm(region, CELLS_ACROSS)
    colours = vtk.vtkColorTransferFunction()
    for displacement in (0.0, LARGEST_MM):
        colours.AddRGBPoint(displacement, *motion.colour)
    one_colour = review_node(region.GetScene(), "vtkMRMLProceduralColorNode", _colour_role(motion.role), motion.role)
    one_colour.SetAndObserveColorTransferFunction(colours)
    display.SetAndObserveColorNodeID(one_colour.GetID())
    display.SetAndObserveRegionNode(region)
    display.SetVisualizationMode(display.VIS_MODE_GRID)
    display.SetGridSpacingMm(spacing)
    display.SetGridResolutionMm(spacing / STEPS_PER_CELL)
    display.SetVisibility2D(True)
    display.SetVisibility3D(False)


def _colour_role(role: str) -> str:
    return f"{role} (colour)"
