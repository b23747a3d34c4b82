"""The training panel as a user has it while a run learns: a real run on phantoms, its curves and its sample pair."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from benchmark.training_panel import Panel, end_all, made_scans
from desk import SLICE_VIEWS, HostViews
from plot_picture import plot_picture

SHUT = ("dataSection", "whatSection", "previewSection", "modelsSection")
"""Sections of the panel that leave the picture to the runs."""


class TrainingDesk:
    """Panel (``representation`` is its window), slice views and plot views; use it in a ``with`` block."""

    def __init__(self, slice_size: tuple[int, int]) -> None:
        self._panel = Panel()
        self._work = tempfile.TemporaryDirectory()
        self._runs = Path(self._work.name) / "runs"
        self._slice_size = slice_size
        self._views: HostViews | None = None
        for name in SHUT:
            getattr(self._panel.ui, name).collapsed = True

    def __enter__(self) -> TrainingDesk:
        return self

    def __exit__(self, *_what: object) -> None:
        if self._views is not None:
            self._views.close()
        end_all(self._runs)
        self._panel.close()
        self._panel.host.reset()
        self._work.cleanup()

    @property
    def representation(self) -> Any:
        return self._panel.representation

    def train(self, steps: int, shown_at: int) -> None:
        """Start a run with the panel's own preset and network, and wait until ``shown_at`` steps are in the curves."""
        from DeepRegSlicer.training.parameters import Size

        panel, parameters = self._panel, self._panel.parameters
        parameters.dataFolder = str(made_scans(Path(self._work.name) / "scans"))
        parameters.outputFolder = str(self._runs)
        parameters.size, parameters.steps = Size.VOXELS_32, steps
        parameters.showCurves = True
        panel.click(panel.ui.startButton)
        panel.spin(lambda: panel.points() >= shown_at and panel.shown_state() == "running")

    def slices(self) -> list[np.ndarray]:
        """The sample pair in the three slice views, as *Sample pair* shows it."""
        import slicer
        from offscreen import SliceView

        panel = self._panel
        panel.click(panel.ui.sampleButton)
        panel.spin(lambda: "Sample pair after step" in panel.ui.levelsLabel.text)
        self._views = HostViews(panel.scene, slicer.app.applicationLogic())
        views = [SliceView(self._views, name, self._slice_size) for name in SLICE_VIEWS]
        for view in views:
            view.logic.FitSliceToBackground(*self._slice_size)
        return [view.picture() for view in views]

    def plots(self, size: tuple[int, int]) -> list[np.ndarray]:
        """Errors and loss."""
        from DeepRegSlicer.review_nodes import find_review_node
        from DeepRegSlicer.training.curves import CHART_ROLES

        return [plot_picture(find_review_node(self._panel.scene, role), size) for role in CHART_ROLES]
