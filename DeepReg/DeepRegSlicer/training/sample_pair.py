"""The last validation pair of a run in the scene: both images, the true motion, and the one that the network found.

Both motions are transforms from the fixed to the moving image. The moving image hangs under the found one, so it lies
on the fixed image as well as the network can bring it there; grids in two colours show how the motions differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import slicer
import vtk
from DeepRegLib.array_files import read_array_in_steps
from DeepRegLib.errors import BadInput
from DeepRegLib.images.volume import Volume
from DeepRegLib.transforms.displacement_field import DisplacementField
from DeepRegTrainLib.run_folder.layout import RunFolder
from DeepRegTrainLib.run_folder.samples import PREDICTED, last_sample
from slicer.i18n import tr as _

from ..deformation_grid import STEPS_PER_CELL, line_spacing_mm
from ..landmark_table import kept_node
from ..nodes import CT_LUNG, grid_transform_in_steps, image_data_in_steps, record_images, set_transform, set_voxels
from ..review_nodes import review_node
from ..steps import Steps
from .pair_folder import read_pair_in_steps

FIXED_ROLE, MOVING_ROLE = "training sample: fixed", "training sample: moving"
TRUE_ROLE, FOUND_ROLE = "training sample: true motion", "training sample: found motion"
TRUE_COLOUR, FOUND_COLOUR = (0.30, 0.85, 0.95), (1.0, 0.65, 0.1)
"""Blue-green and orange: told apart on grey images, also with red-green blindness."""
CELLS_ACROSS = 12
"""Two grids over each other are told apart only when they are wide."""
FADE = 0.5
LARGEST_MM = 1000.0


@dataclass(frozen=True)
class SamplePair:
    """The nodes of a sample. ``step`` is that of the network; ``error_mm`` how far the found motion is from the true
    one, averaged over the region of the fixed image, ``zero_mm`` that of no motion."""

    fixed: slicer.vtkMRMLScalarVolumeNode
    moving: slicer.vtkMRMLScalarVolumeNode
    true_motion: slicer.vtkMRMLGridTransformNode
    found_motion: slicer.vtkMRMLGridTransformNode
    step: int
    error_mm: float
    zero_mm: float


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
    pair = yield from read_pair_in_steps(folder)
    region = yield from read_array_in_steps(folder / "region.npy")
    predicted = yield from read_array_in_steps(folder / PREDICTED)
    found = DisplacementField(predicted, pair.motion.geometry)
    inside = region > 0 if region.any() else np.ones(region.shape, bool)
    error = float(np.linalg.norm((predicted - pair.motion.array)[inside], axis=-1).mean())
    yield
    zero = float(np.linalg.norm(pair.motion.array[inside], axis=-1).mean())
    yield
    fixed = yield from _volume_in_steps(scene, FIXED_ROLE, _("Training sample: fixed"), pair.fixed)
    moving = yield from _volume_in_steps(scene, MOVING_ROLE, _("Training sample: moving"), pair.moving)
    motions = []
    for role, name, field, colour in (
        (TRUE_ROLE, _("Training sample: true motion"), pair.motion, TRUE_COLOUR),
        (FOUND_ROLE, _("Training sample: found motion"), found, FOUND_COLOUR),
    ):
        transform = yield from grid_transform_in_steps(field)
        node = kept_node(scene, "vtkMRMLGridTransformNode", role, name)
        set_transform(node, transform)
        record_images(node, fixed, moving)
        _show_as_grid(node, fixed, role, colour)
        motions.append(node)
        yield
    moving.SetAndObserveTransformNodeID(motions[1].GetID())
    return SamplePair(fixed, moving, motions[0], motions[1], int(folder.name), error, zero)


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


def _show_as_grid(
    node: slicer.vtkMRMLGridTransformNode,
    region: slicer.vtkMRMLScalarVolumeNode,
    role: str,
    colour: tuple[float, float, float],
) -> None:
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    spacing = line_spacing_mm(region, CELLS_ACROSS)
    colours = vtk.vtkColorTransferFunction()
    for displacement in (0.0, LARGEST_MM):
        colours.AddRGBPoint(displacement, *colour)
    one_colour = review_node(region.GetScene(), "vtkMRMLProceduralColorNode", f"{role} (colour)", role)
    one_colour.SetAndObserveColorTransferFunction(colours)
    display.SetAndObserveColorNodeID(one_colour.GetID())
    display.SetAndObserveRegionNode(region)
    display.SetVisualizationMode(display.VIS_MODE_GRID)
    display.SetGridSpacingMm(spacing)
    display.SetGridResolutionMm(spacing / STEPS_PER_CELL)
    display.SetVisibility(True)
    display.SetVisibility2D(True)
    display.SetVisibility3D(False)
