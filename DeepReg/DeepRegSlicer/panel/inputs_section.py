"""*Inputs*: the two images, the region of each and the landmarks, from the scene or from disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import qt
import slicer
from DeepRegLib.errors import DeepRegError
from slicer.i18n import tr as _

from ..event_loop import soon
from ..load_pair import PairNodes, load_pair_nodes_in_steps
from ..parameters import DeepRegParameters
from ..steps import StepRunner

ALL_SEGMENTS = ""
"""Segment ID that stands for all segments of a segmentation."""
SIDES = ("fixed", "moving")


class InputsSection:
    """``tell(sentence, details)`` shows what went wrong, or "" when there is nothing to say any more."""

    def __init__(self, ui, scene: slicer.vtkMRMLScene, tell: Callable[[str, str], None]) -> None:
        self._ui = ui
        self._scene = scene
        self._tell = tell
        self._parameters: DeepRegParameters | None = None
        self._loading: StepRunner | None = None
        self._segments: dict[str, list[str]] = {side: [] for side in SIDES}

    def connect(self) -> None:
        ui = self._ui
        ui.fixedLoadButton.connect("clicked(bool)", lambda *_args: self._load_volume("fixed"))
        ui.movingLoadButton.connect("clicked(bool)", lambda *_args: self._load_volume("moving"))
        ui.loadPairButton.connect("clicked(bool)", lambda *_args: self._ask_for_pair())
        # A collapsed section hides what it holds, whatever was said about it meanwhile.
        ui.optionalInputsSection.connect("contentsCollapsed(bool)", lambda *_args: self._show_all_segments())
        ui.fixedSegmentSelector.connect("activated(int)", lambda index: self._choose_segment("fixed", index))
        ui.movingSegmentSelector.connect("activated(int)", lambda index: self._choose_segment("moving", index))

    def disconnect(self) -> None:
        if self._loading is not None:
            self._loading.stop()
            self._loading = None

    def update(self, parameters: DeepRegParameters | None) -> None:
        self._parameters = parameters
        self._show_all_segments()

    def choose_defaults(self) -> None:
        """The first two images of the scene, while nobody has chosen any."""
        parameters = self._parameters
        if parameters is None or parameters.fixedVolume or parameters.movingVolume:
            return
        volumes = [
            node
            for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode", self._scene)
            if node.GetClassName() == "vtkMRMLScalarVolumeNode" and not node.GetHideFromEditors()
        ]
        if volumes:
            parameters.fixedVolume = volumes[0]
        if len(volumes) > 1:
            parameters.movingVolume = volumes[1]

    def load_pair(self, folder: str | Path) -> None:
        """Load what a folder holds, in steps, and fill everything in."""
        self.disconnect()
        self._ui.loadPairButton.enabled = False
        self._tell(_("Loading the pair..."), "")
        self._loading = StepRunner(
            load_pair_nodes_in_steps(self._scene, Path(folder)),
            soon,
            self._pair_loaded,
            self._pair_failed,
        )
        self._loading.start()

    def _ask_for_pair(self) -> None:
        folder = qt.QFileDialog.getExistingDirectory(
            slicer.util.mainWindow(), _("Folder with two images, and landmarks or masks if there are any"), ""
        )
        if folder:
            self.load_pair(folder)

    def _pair_loaded(self, pair: PairNodes) -> None:
        self._loading = None
        self._ui.loadPairButton.enabled = True
        parameters = self._parameters
        if parameters is None:
            return
        parameters.fixedVolume, parameters.movingVolume = pair.fixed, pair.moving
        parameters.fixedRegion, parameters.movingRegion = pair.fixed_mask, pair.moving_mask
        parameters.fixedLandmarks, parameters.movingLandmarks = pair.fixed_landmarks, pair.moving_landmarks
        parameters.outputTransform = parameters.outputWarped = parameters.outputInverse = None
        if pair.fixed_mask or pair.fixed_landmarks:
            self._ui.optionalInputsSection.collapsed = False
        slicer.util.setSliceViewerLayers(background=pair.fixed, foreground=pair.moving, foregroundOpacity=0.5, fit=True)
        self._tell(" ".join(pair.notes), "")

    def _pair_failed(self, error: Exception) -> None:
        self._loading = None
        self._ui.loadPairButton.enabled = True
        if isinstance(error, DeepRegError):
            self._tell(f"{error} {error.hint}".rstrip(), "")
        else:
            self._tell(_("The pair could not be loaded."), repr(error))

    def _load_volume(self, side: str) -> None:
        path = qt.QFileDialog.getOpenFileName(slicer.util.mainWindow(), _("Load an image"), "", "")
        if not path:
            return
        try:
            node = slicer.util.loadVolume(path)
        except RuntimeError as error:
            self._tell(_("The file {name} cannot be read as an image.").format(name=Path(path).name), str(error))
            return
        if self._parameters is not None:
            setattr(self._parameters, f"{side}Volume", node)

    def _show_all_segments(self) -> None:
        for side in SIDES:
            self._show_segments(side)

    def _show_segments(self, side: str) -> None:
        """List the segments of the chosen segmentation; a label map has none to choose from."""
        label = getattr(self._ui, f"{side}SegmentLabel")
        selector = getattr(self._ui, f"{side}SegmentSelector")
        region = getattr(self._parameters, f"{side}Region") if self._parameters is not None else None
        segmentation = region if region is not None and region.IsA("vtkMRMLSegmentationNode") else None
        label.visible = selector.visible = segmentation is not None
        if segmentation is None:
            return
        segments = segmentation.GetSegmentation()
        ids = [ALL_SEGMENTS, *(segments.GetNthSegmentID(k) for k in range(segments.GetNumberOfSegments()))]
        names = [_("All segments"), *(segments.GetSegment(segment).GetName() for segment in ids[1:])]
        chosen = getattr(self._parameters, f"{side}SegmentID")
        if ids != self._segments[side] or [selector.itemText(k) for k in range(selector.count)] != names:
            self._segments[side] = ids
            selector.clear()
            selector.addItems(names)
        selector.currentIndex = ids.index(chosen) if chosen in ids else 0

    def _choose_segment(self, side: str, index: int) -> None:
        if self._parameters is not None:
            setattr(self._parameters, f"{side}SegmentID", self._segments[side][index])
