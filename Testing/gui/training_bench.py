"""The start and runs sections in the panel of the training module, with a parameter node as the module has it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_process import FakeProcess

PANEL = Path(__file__).resolve().parents[2] / "DeepRegTrain" / "Resources" / "UI" / "DeepRegTrain.ui"
TICK_MS = 5
__all__ = ["TrainingBench", "runs_bench"]


class TrainingBench:
    """What a window of Slicer with the open panel is; :meth:`close` is its end."""

    def __init__(self, host, scene, spin) -> None:
        import slicer
        from DeepRegSlicer.training.parameters import DeepRegTrainParameters
        from DeepRegSlicer.training.runs_section import RunsSection
        from DeepRegSlicer.training.start_section import StartSection

        self.scene, self.spin = scene, spin
        self.widget = slicer.util.loadUI(str(PANEL))
        self.widget.setMRMLScene(scene)
        self.ui = slicer.util.childWidgetVariables(self.widget)
        node = slicer.vtkMRMLScriptedModuleNode()
        node.SetSingletonTag("DeepRegTrainRunsTest")
        node.SetModuleName("DeepRegTrain")
        self.parameters = DeepRegTrainParameters(scene.AddNode(node))
        self.processes: list[FakeProcess] = []
        self.runs = RunsSection(self.ui, scene)
        self.start = StartSection(self.ui, self._data_in_steps, self.runs.follow, self._new_process)
        self.runs.words_of_settings = self.start.words
        self.sections = (self.start, self.runs)
        for section in self.sections:
            section.connect()
        self.tag = self.parameters.connectGui(self.ui)
        self.observed = self.parameters.parameterNode
        self.observer = self.observed.AddObserver("ModifiedEvent", lambda *_args: self.update())
        self.layout = scene.GetFirstNodeByClass("vtkMRMLLayoutNode")
        self.layout_observer = self.layout.AddObserver("ModifiedEvent", self._make_views)
        self.ticks: list[float] = []
        self._timer: Any = None
        self.update()
        self.widget.show()
        for section in self.sections:
            section.enter()

    def update(self) -> None:
        for section in self.sections:
            section.update(self.parameters)

    def watch_gaps(self) -> None:
        """From now on, note when the event loop has its turn."""
        import qt

        self._timer = qt.QTimer()
        self._timer.connect("timeout()", lambda: self.ticks.append(time.perf_counter()))
        self._timer.start(TICK_MS)

    def longest_gaps_s(self) -> np.ndarray:
        """Times between turns of the event loop, in order of their length."""
        return np.sort(np.diff(self.ticks))

    def rows(self) -> list[list[str]]:
        table = self.ui.runTable
        items = [[table.item(row, column) for column in range(table.columnCount)] for row in range(table.rowCount)]
        return [[item.text() if item is not None else "" for item in row] for row in items]

    def shown_state(self, name: str) -> str:
        return next((row[1] for row in self.rows() if row[0] == name), "")

    def wait_for(self, name: str, state: str, limit_s: float = 10.0) -> None:
        self.spin(lambda: self.shown_state(name) == state, limit_s)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.stop()
        for section in self.sections:
            section.disconnect()
        self.observed.RemoveObserver(self.observer)
        self.layout.RemoveObserver(self.layout_observer)
        self.parameters.disconnectGui(self.tag)
        self.scene.RemoveNode(self.observed)
        self.widget.hide()
        self.widget.setMRMLScene(None)
        self.widget.deleteLater()

    def _data_in_steps(self):
        yield
        return Path(self.parameters.dataFolder)

    def _new_process(self) -> FakeProcess:
        self.processes.append(FakeProcess())
        return self.processes[-1]

    def _make_views(self, layout, _event: str) -> None:
        """The application makes the views of a layout as soon as the layout node names it."""
        import slicer

        slicer.app.layoutManager().setLayout(layout.GetViewArrangement())


@pytest.fixture
def runs_bench(host, scene, spin, monkeypatch) -> Iterator[TrainingBench]:
    """A panel in which nothing has to be installed, in an application that was never used."""
    import qt

    monkeypatch.setattr("DeepRegSlicer.training.start_section.install_missing", lambda ask, button: None)
    qt.QSettings().clear()
    made = TrainingBench(host, scene, spin)
    yield made
    made.close()
    host.process_events()
    qt.QSettings().clear()
