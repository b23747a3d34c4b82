"""What the training panel remembers in the scene. Runs and models live on the disk, not here."""

from __future__ import annotations

import enum
from typing import Annotated

from slicer import vtkMRMLMarkupsFiducialNode, vtkMRMLScalarVolumeNode
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper

MOST_STEPS = 1_000_000


class Size(enum.Enum):
    """Voxels along each side of a training pair."""

    VOXELS_32 = 32
    VOXELS_64 = 64
    VOXELS_96 = 96
    VOXELS_128 = 128

    def label(self) -> str:
        return f"{self.value} x {self.value} x {self.value}"


@parameterNodeWrapper
class DeepRegTrainParameters:
    """Folders are paths as text; ``ranges`` are the changed ranges of the preset as JSON text, "" for the preset as it
    is. ``preset``, ``network`` and ``supervision`` are words of DeepRegTrainLib."""

    dataFolder: str = ""
    preset: str = "breathing"
    supervision: str = "supervised"
    network: str = "correspondence"
    size: Size = Size.VOXELS_64
    steps: Annotated[int, WithinRange(10, MOST_STEPS)] = 2000
    outputFolder: str = ""
    ranges: str = ""
    showCurves: bool = False
    compareFixed: vtkMRMLScalarVolumeNode
    compareMoving: vtkMRMLScalarVolumeNode
    compareFixedLandmarks: vtkMRMLMarkupsFiducialNode
    compareMovingLandmarks: vtkMRMLMarkupsFiducialNode


WORDS: dict[str, type[enum.Enum]] = {"size": Size}
"""Parameters that are one of some words ..."""
RANGES = {"steps": (10, MOST_STEPS)}
"""... and numbers with a range."""
