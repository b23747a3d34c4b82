"""Colours for what the review paints over the images. The same as in the report, chosen for dark views.

Displacement: dark to bright, of equal steps of lightness. Volume change: blue where tissue takes less room in the
moving image, red where it takes more; told apart with red-green blindness. Folding: magenta, which neither of them has.
"""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from DeepRegLib.evidence.pictures import SEQUENTIAL, STRETCH_LIMIT, ramp

from .review_nodes import review_node

ENTRIES = 256
"""Colours of a table; more cannot be told apart on a screen."""
JACOBIAN_RANGE = (1 / STRETCH_LIMIT, STRETCH_LIMIT)
"""Half and twice the volume have the full colours, as in the report."""
STRETCH = np.array([[70, 150, 255], [45, 90, 165], [50, 50, 50], [190, 70, 50], [255, 110, 80]], float)
"""Blue, dark grey, red: the meaning of the report's colours, but dark in the middle, so that unchanged tissue stays
readable under the paint and does not shine."""
DIFFERENCE = np.array([[90, 170, 255], [60, 95, 150], [70, 70, 70], [170, 105, 45], [255, 170, 60]], float)
"""Blue, dark grey, orange: on a dark view, what fits stays dark and what does not lights up."""
DISPLACEMENT_TABLE, STRETCH_TABLE, DIFFERENCE_TABLE = TABLES = (
    "displacement colours",
    "volume change colours",
    "difference colours",
)
"""Roles of the colour tables."""
LINE_COLOURS = "deformation colours"
"""Role of the colours of lines and arrows."""
FOLDING_COLOUR = (1.0, 0.0, 1.0)


def displacement_colours(scene: slicer.vtkMRMLScene) -> slicer.vtkMRMLColorTableNode:
    """From 0 to the largest displacement of the scale."""
    return _table(scene, DISPLACEMENT_TABLE, ramp(np.linspace(0, 1, ENTRIES), SEQUENTIAL))


def jacobian_colours(scene: slicer.vtkMRMLScene) -> slicer.vtkMRMLColorTableNode:
    """Over ``JACOBIAN_RANGE``. Colours go by the logarithm, so that half and twice the volume stand out alike."""
    determinant = np.linspace(*JACOBIAN_RANGE, ENTRIES)
    level = np.log(determinant) / np.log(STRETCH_LIMIT) / 2 + 0.5
    return _table(scene, STRETCH_TABLE, ramp(level, STRETCH))


def difference_colours(scene: slicer.vtkMRMLScene) -> slicer.vtkMRMLColorTableNode:
    """Diverging around the middle of the scale."""
    return _table(scene, DIFFERENCE_TABLE, ramp(np.linspace(0, 1, ENTRIES), DIFFERENCE))


def displacement_colour_map(scene: slicer.vtkMRMLScene, largest_mm: float) -> slicer.vtkMRMLProceduralColorNode:
    """The displacement colours for lines and arrows, which have no grey image below them: without the darkest ones."""
    colours = vtk.vtkColorTransferFunction()
    levels = np.linspace(0.0, 1.0, len(SEQUENTIAL))
    for level, (red, green, blue) in zip(levels, ramp(0.35 + 0.65 * levels, SEQUENTIAL) / 255, strict=True):
        colours.AddRGBPoint(level * largest_mm, red, green, blue)
    node = review_node(scene, "vtkMRMLProceduralColorNode", LINE_COLOURS, LINE_COLOURS)
    node.SetAndObserveColorTransferFunction(colours)
    return node


def _table(scene: slicer.vtkMRMLScene, role: str, colours: np.ndarray) -> slicer.vtkMRMLColorTableNode:
    """A colour table of ``colours`` (n, 3), 0 to 255."""
    node = review_node(scene, "vtkMRMLColorTableNode", role, role)
    if node.GetNumberOfColors() == len(colours):
        return node
    node.SetTypeToUser()
    node.SetNumberOfColors(len(colours))
    for entry, colour in enumerate(colours / 255):
        node.SetColor(entry, str(entry), *colour, 1.0)
    return node
