"""The training panel as a whole: its sections, and what follows when the scene changes."""

from __future__ import annotations

from pathlib import Path

import slicer

from .data_section import DataSection
from .models_section import ModelsSection
from .parameters import DeepRegTrainParameters
from .preview_section import PreviewSection
from .runs_section import RunsSection
from .start_section import StartSection
from .what_section import WhatSection


class TrainingPanel:
    """Runs are processes of their own; the panel only follows them."""

    def __init__(self, ui, scene: slicer.vtkMRMLScene) -> None:
        self._parameters: DeepRegTrainParameters | None = None
        self._updating = False
        self.data = DataSection(ui, scene)
        self.what = WhatSection(ui)
        self.preview = PreviewSection(ui, scene)
        self.start = StartSection(ui, self.data.folder_in_steps, self._run_started)
        self.runs = RunsSection(ui, scene, self.start.words)
        self.models = ModelsSection(ui, scene, chosen_run=self.runs.chosen_run)
        self._sections = (self.data, self.what, self.preview, self.start, self.runs, self.models)

    def connect(self) -> None:
        """Wire the widgets; once, after the panel is built."""
        for section in self._sections:
            section.connect()

    def disconnect(self) -> None:
        """Stop what only the panel needs: the module is reloaded or the application quits. Runs go on."""
        for section in self._sections:
            section.disconnect()

    def enter(self) -> None:
        """The panel is shown: read what lies on the disk."""
        for section in self._sections:
            section.enter()

    def leave(self) -> None:
        """Another module is shown: nothing is followed meanwhile."""
        for section in self._sections:
            section.leave()

    def _run_started(self, run: Path) -> None:
        self.runs.choose(run)
        self.runs.refresh()

    def set_parameters(self, parameters: DeepRegTrainParameters | None) -> None:
        """Follow another parameter node, or none for a while."""
        self._parameters = parameters
        self.update()

    def close_scene(self) -> None:
        """Let go of all nodes: they are about to vanish."""
        for section in self._sections:
            section.close_scene()

    def update(self) -> None:
        """Show what the parameter node says; called after every change of it. Changes that are made meanwhile are taken
        up at the end, not in between."""
        if self._updating:
            return
        self._updating = True
        try:
            for section in self._sections:
                section.update(self._parameters)
        finally:
            self._updating = False
