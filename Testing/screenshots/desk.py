"""The application as a user has it after a registration: the panel on the stand-in host, and real slice and 3-D views.

Everything is clicked as a user would: *Load pair...*, *Register*, the buttons of *Review* and *Landmarks*.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from slicer_host import install

MODULE = Path(__file__).resolve().parents[2] / "DeepReg" / "DeepReg.py"
SLICE_VIEWS = ("Red", "Green", "Yellow")
LONG_S, SHORT_S = 600.0, 120.0
"""How long a registration, and anything else, may take on a busy machine."""


@dataclass
class HostViews:
    """The stand-in host, as the views of ``offscreen`` want the scene that they draw."""

    scene: Any
    application_logic: Any
    _logics: list[Any] = field(default_factory=list)

    def close(self) -> None:
        for logic in reversed(self._logics):
            logic.SetMRMLScene(None)
        self._logics.clear()


class Desk:
    """Panel (``representation`` is its window, ``ui`` its widgets), ``parameters``, ``slices`` by name and ``three_d``;
    use it in a ``with`` block."""

    def __init__(self, view_size: tuple[int, int]) -> None:
        self._host = install()
        import slicer
        from offscreen import SliceView, ThreeDView

        self._slicer = slicer
        self._host.load_module(MODULE)
        self.representation = slicer.modules.deepreg.widgetRepresentation()
        self.representation.enter()
        self._widget = self.representation.self()
        self.ui = self._widget.ui
        self._views = HostViews(slicer.mrmlScene, slicer.app.applicationLogic())
        self.slices = {name: SliceView(self._views, name, view_size) for name in SLICE_VIEWS}
        self.three_d = ThreeDView(self._views, view_size)

    def __enter__(self) -> Desk:
        return self

    def __exit__(self, *_what: object) -> None:
        self._views.close()
        self._host.reset()

    @property
    def parameters(self) -> Any:
        return self._widget._parameterNode

    def load_phantom(self, **options: Any) -> None:
        """Make a phantom pair (``options`` of ``make_phantom``), write it to a folder, and load that as a pair."""
        from DeepRegLib.phantom import make_phantom, write_pair

        with tempfile.TemporaryDirectory() as folder:
            write_pair(make_phantom(**options), folder)
            self._widget.panel.inputs.load_pair(folder)
            self._host.spin(lambda: self.parameters.movingLandmarks is not None, SHORT_S)

    def register(self) -> None:
        """Click *Register* and wait until everything is shown."""
        self.ui.registerButton.click()
        self._host.spin(lambda: not self._widget.panel.running, LONG_S)
        if self.parameters.outputTransform is None:
            raise RuntimeError(self.ui.statusLabel.text)
        count = self.parameters.fixedLandmarks.GetNumberOfControlPoints()
        self._host.spin(lambda: self._rows_filled() == count, SHORT_S)
        self.wait()

    def wait(self) -> None:
        """Until the review shows what the panel says."""
        self._host.process_events()
        self._host.spin(lambda: self._widget.panel.review.review.is_idle, SHORT_S)

    def go_to(self, place: tuple[float, float, float]) -> None:
        """Show the slices through a place (RAS mm), each image as large as its view."""
        node = self._slicer.vtkMRMLSliceNode
        node.JumpAllSlices(self._slicer.mrmlScene, *place, node.OffsetJumpSlice)

    def fit_all(self, size: tuple[int, int]) -> None:
        for name in self.slices:
            self.fit(name, size)

    def show_slices_in_3d(self) -> None:
        """The eye in the bar of each slice view."""
        for view in self.slices.values():
            view.node.SetSliceVisible(True)

    def fit(self, name: str, size: tuple[int, int]) -> None:
        """Give a slice view a size in pixels and fit the image into it, as *Reset field of view* does."""
        view = self.slices[name]
        slice_offset = view.logic.GetSliceOffset()
        view.resize(size)
        view.logic.FitSliceToBackground(*size)
        view.logic.SetSliceOffset(slice_offset)

    def zoom(self, name: str, factor: float) -> None:
        """Come closer to what is in the middle of a slice view."""
        node = self.slices[name].node
        x, y, z = node.GetFieldOfView()
        node.SetFieldOfView(x / factor, y / factor, z)

    def show_points(self, fixed: bool, moving: bool) -> None:
        """The eyes of the landmark lists in Slicer's data tree."""
        self.parameters.fixedLandmarks.GetDisplayNode().SetVisibility(fixed)
        self.parameters.movingLandmarks.GetDisplayNode().SetVisibility(moving)

    def _rows_filled(self) -> int:
        table = self.ui.landmarkTable
        last = table.columnCount - 1
        return sum(table.item(row, last) is not None for row in range(table.rowCount)) if last > 4 else 0


def landmarks_ras(desk: Desk) -> np.ndarray:
    """The fixed landmarks (n, 3) in RAS mm."""
    node = desk.parameters.fixedLandmarks
    return np.array([node.GetNthControlPointPositionWorld(k) for k in range(node.GetNumberOfControlPoints())])
