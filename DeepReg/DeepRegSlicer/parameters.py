"""What the panel remembers: one parameter node in the scene, saved and restored with it.

Enumerations are saved by their names; their values are the words of :func:`DeepRegLib.registration.register`, and
``label`` gives the text in the panel (Slicer's parameter node wrapper asks for it).
"""

from __future__ import annotations

import enum
from typing import Annotated, Union

from slicer import (
    vtkMRMLGridTransformNode,
    vtkMRMLLabelMapVolumeNode,
    vtkMRMLMarkupsFiducialNode,
    vtkMRMLScalarVolumeNode,
    vtkMRMLSegmentationNode,
)
from slicer.i18n import tr as _
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper

COARSEST_FIELD_MM = 10.0
"""The slider for the field's spacing ends here: coarser than this loses what the solver found."""


class Quality(enum.Enum):
    FAST = "fast"
    BALANCED = "balanced"
    ACCURATE = "accurate"

    def label(self) -> str:
        return {"fast": _("Fast"), "balanced": _("Balanced"), "accurate": _("Accurate")}[self.value]


class Device(enum.Enum):
    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"

    def label(self) -> str:
        return {"auto": _("Automatic"), "cpu": _("Processor"), "cuda": _("Graphics card (CUDA)")}[self.value]


class Prealignment(enum.Enum):
    AUTO = "auto"
    NONE = "none"

    def label(self) -> str:
        return {"auto": _("Automatic"), "none": _("None")}[self.value]


class Similarity(enum.Enum):
    AUTO = "auto"
    INTENSITY = "intensity"
    STRUCTURE = "structure"

    def label(self) -> str:
        return {"auto": _("Automatic"), "intensity": _("Brightness"), "structure": _("Structure")}[self.value]


class Comparison(enum.Enum):
    """How fixed and warped image are shown together."""

    FADE = "fade"
    CHECKERBOARD = "checkerboard"
    FLICKER = "flicker"
    DIFFERENCE = "difference"

    def label(self) -> str:
        return {
            "fade": _("Fade"),
            "checkerboard": _("Checkerboard"),
            "flicker": _("Flicker"),
            "difference": _("Difference"),
        }[self.value]


class Overlay(enum.Enum):
    """What is painted over the images in colour."""

    NONE = "none"
    DISPLACEMENT = "displacement"
    JACOBIAN = "jacobian"

    def label(self) -> str:
        return {
            "none": _("None"),
            "displacement": _("Displacement (mm)"),
            "jacobian": _("Volume change (Jacobian)"),
        }[self.value]


WORDS: dict[str, type[enum.Enum]] = {
    "quality": Quality,
    "device": Device,
    "prealignment": Prealignment,
    "similarity": Similarity,
    "comparison": Comparison,
    "overlay": Overlay,
}
"""Parameters that are one of some words ..."""
RANGES = {"fade": (0.0, 1.0), "fieldSpacing": (0.0, COARSEST_FIELD_MM)}
"""... and numbers with a range."""


@parameterNodeWrapper
class DeepRegParameters:
    """Inputs, method, outputs and review of one registration. ``fieldSpacing`` is in mm, 0 for that of the fixed
    image; ``fade`` is the share of the moving image; a segment ID of "" means all segments."""

    fixedVolume: vtkMRMLScalarVolumeNode
    movingVolume: vtkMRMLScalarVolumeNode
    fixedRegion: Union[vtkMRMLSegmentationNode, vtkMRMLLabelMapVolumeNode, None]
    movingRegion: Union[vtkMRMLSegmentationNode, vtkMRMLLabelMapVolumeNode, None]
    fixedSegmentID: str = ""
    movingSegmentID: str = ""
    fixedLandmarks: vtkMRMLMarkupsFiducialNode
    movingLandmarks: vtkMRMLMarkupsFiducialNode

    method: str = "auto"
    quality: Quality = Quality.BALANCED

    makeTransform: bool = True
    makeWarped: bool = True
    makeInverse: bool = False
    outputTransform: vtkMRMLGridTransformNode
    outputWarped: vtkMRMLScalarVolumeNode
    outputInverse: vtkMRMLGridTransformNode
    placeMovingUnderTransform: bool = False

    comparison: Comparison = Comparison.FADE
    fade: Annotated[float, WithinRange(0.0, 1.0)] = 0.5
    showBefore: bool = False
    showGrid: bool = False
    showGlyphs: bool = False
    showContours: bool = False
    showIn3D: bool = False
    overlay: Overlay = Overlay.NONE
    showFolding: bool = False
    linkedCrosshair: bool = False
    showErrorVectors: bool = False

    device: Device = Device.AUTO
    prealignment: Prealignment = Prealignment.AUTO
    similarity: Similarity = Similarity.AUTO
    refine: bool = True
    fieldSpacing: Annotated[float, WithinRange(0.0, COARSEST_FIELD_MM)] = 0.0
    keepLog: bool = False
