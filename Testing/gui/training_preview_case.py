"""The sections of the training panel that choose scans, motion and network and show a pair, with a parameter node as
the module has it; processes are fake ones until a test asks for real ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.images.read import write_volume
from DeepRegLib.phantom import make_phantom
from fake_process import FakeProcess

__all__ = ["folder", "opened", "preview_bench"]
UI_FILE = Path(__file__).resolve().parents[2] / "DeepRegTrain/Resources/UI/DeepRegTrain.ui"
GRID = Geometry((20, 18, 16), (3.0, 3.0, 3.0), (-28.5, -25.5, -22.5))
SHIFT_MM = (0.0, 0.0, 5.0)
STATISTICS = {
    "mean": 5.0,
    "p95": 8.25,
    "largest": 11.0,
    "jacobian_min": 0.5,
    "jacobian_max": 1.75,
    "folding_percent": 0.0,
}
SCAN_FOUND = {
    "file": "ann.nii.gz",
    "patient": "ann",
    "use": "train",
    "size": [512, 512, 300],
    "spacing_mm": [0.7031, 0.7031, 1.25],
    "region": "lungs",
    "region_ml": 5130.0,
    "problems": [],
    "warnings": [],
}
PRESET = {
    "name": "breathing",
    "description": "",
    "framing": {"zoom": {"low": 0.85, "high": 1.3}, "mirrored": 0.5},
    "motion": {
        "kind": "BreathingMotion",
        "usual_mm": {"low": 0.0, "high": 34.0},
        "uneven_mm": [4.0, 2.4, 1.2],
        "nodes": 6,
        "exact": True,
    },
    "appearance": {},
    "size": [64, 64, 64],
    "spacing_mm": 3.0,
}


def _row(part: str, name: str, label: str, kind: str, lowest: float, highest: float) -> dict[str, Any]:
    return {
        "part": part,
        "name": name,
        "label": label,
        "unit": "mm",
        "kind": kind,
        "lowest": lowest,
        "highest": highest,
    }


ROWS = [
    _row("framing", "zoom", "Zoom", "range", 0.2, 5.0),
    _row("framing", "mirrored", "Mirrored", "number", 0.0, 1.0),
    _row("motion", "usual_mm", "Diaphragm", "range", 0.0, 150.0),
    _row("motion", "uneven_mm", "Uneven", "three", 0.0, 150.0),
    _row("motion", "nodes", "Nodes", "whole", 2, 10),
    _row("motion", "exact", "Exact", "yes or no", 0, 1),
]
CATALOGUE = {
    "breathing": {"preset": PRESET, "rows": ROWS},
    "eppenhof2018": {"preset": {**PRESET, "name": "eppenhof2018"}, "rows": ROWS[:2]},
}
ZOOM, MIRRORED, DIAPHRAGM, UNEVEN, NODES, EXACT = 1, 2, 4, 5, 6, 7
"""Rows of the table; each part of a preset has a heading."""


class Bench:
    """The sections (``data``, ``what``, ``preview``) in their panel; ``processes`` are those that were started."""

    def __init__(self, scene, spin) -> None:
        from DeepRegSlicer.training.data_section import DataSection
        from DeepRegSlicer.training.parameters import DeepRegTrainParameters
        from DeepRegSlicer.training.preview_section import PreviewSection
        from DeepRegSlicer.training.what_section import WhatSection

        self.scene, self.spin = scene, spin
        self.processes: list[FakeProcess] = []
        self._real: list[Any] = []
        self.widget = slicer.util.loadUI(str(UI_FILE))
        self.widget.setMRMLScene(scene)
        self.ui = slicer.util.childWidgetVariables(self.widget)
        node = slicer.vtkMRMLScriptedModuleNode()
        node.SetSingletonTag("DeepRegTrainTest")
        node.SetModuleName("DeepRegTrain")
        self.parameters = DeepRegTrainParameters(scene.AddNode(node))
        self.data = DataSection(self.ui, scene, self.new_process)
        self.what = WhatSection(self.ui)
        self.preview = PreviewSection(self.ui, scene, self.new_process)
        self.sections = (self.data, self.what, self.preview)
        for section in self.sections:
            section.connect()
        self.tag = self.parameters.connectGui(self.ui)
        self.observed = self.parameters.parameterNode
        self.observer = self.observed.AddObserver("ModifiedEvent", lambda *_args: self.update())
        self.update()
        for section in self.sections:
            section.enter()

    def new_process(self) -> FakeProcess:
        self.processes.append(FakeProcess())
        return self.processes[-1]

    def use_real_processes(self) -> None:
        from DeepRegSlicer.background_process import QtProcess

        def new_process() -> QtProcess:
            self._real.append(QtProcess())
            return self._real[-1]

        self.data.new_process = self.preview.server.new_process = new_process

    @property
    def process(self) -> FakeProcess:
        return self.processes[-1]

    def update(self) -> None:
        for section in self.sections:
            section.update(self.parameters)

    def choose_folder(self, folder: Path) -> None:
        """As a user who types it; then the scans in it are listed."""
        self.ui.dataPath.currentPath = str(folder)
        self.spin(lambda: self.said != "")

    @property
    def said(self) -> str:
        """What stands below the table of scans."""
        return self.ui.checkLabel.text

    def cells(self, table) -> list[list[str]]:
        items = [[table.item(r, c) for c in range(table.columnCount)] for r in range(table.rowCount)]
        return [[item.text() if item else "" for item in row] for row in items]

    # The preview.

    def open_preview(self, folder: Path) -> None:
        """Folder chosen, section unfolded, ranges there."""
        self.choose_folder(folder)
        self.ui.previewSection.collapsed = False
        self.spin(lambda: self.ui.previewScanSelector.count > 0 and len(self.processes) > 0)
        self.process.say({"ready": True})
        self.process.say({"presets": json.loads(json.dumps(CATALOGUE))})

    def asked_for(self) -> dict[str, Any]:
        """The last request for a pair."""
        return [message["draw"] for message in self.process.sent if "draw" in message][-1]

    def give_pair(self, brightness: float = 0.0) -> None:
        """Answer the request as the process does."""
        folder = Path(self.asked_for()["output"])
        write_pair(folder, brightness, self.asked_for()["index"])
        self.process.say({"pair": str(folder)})
        self.spin(lambda: not self.preview.drawing)

    def node(self, role: str):
        from DeepRegSlicer.review_nodes import find_review_node

        return find_review_node(self.scene, f"training pair: {role}")

    def set_cell(self, row: int, column: int, text: str) -> None:
        """As a user who double-clicks and types."""
        self.ui.rangeTable.item(row, column).setText(text)

    def ranges(self) -> dict[str, Any] | None:
        return json.loads(self.parameters.ranges) if self.parameters.ranges else None

    def close(self) -> None:
        for section in self.sections:
            section.disconnect()
        self.spin(lambda: not any(process.running for process in self._real))
        self.observed.RemoveObserver(self.observer)
        self.parameters.disconnectGui(self.tag)
        self.widget.setMRMLScene(None)
        self.widget.deleteLater()


def write_pair(folder: Path, brightness: float = 0.0, index: int = 0) -> None:
    """A pair of boxes, one ``SHIFT_MM`` away from the other, as the process writes it."""
    folder.mkdir(parents=True, exist_ok=True)
    places = GRID.points()
    for name, middle in (("fixed", 0.0), ("moving", SHIFT_MM[2])):
        inside = (np.abs(places[..., 0]) < 15) & (np.abs(places[..., 2] - middle) < 9)
        np.save(folder / f"{name}.npy", np.where(inside, brightness, -900).astype(np.float32))
    np.save(folder / "displacement.npy", np.broadcast_to(np.float32(SHIFT_MM), (*GRID.shape, 3)).copy())
    np.save(folder / "region.npy", np.ones(GRID.shape, np.uint8))
    record = {
        "format": 1,
        "geometry": {"size": GRID.size, "spacing": GRID.spacing, "origin": GRID.origin, "direction": GRID.direction},
        "statistics": STATISTICS,
        "seen_by_both_percent": 87.4,
        "parameters": {"index": index, "source": "ann.nii.gz"},
    }
    (folder / "pair.json").write_text(json.dumps(record))


def write_phantoms(folder: Path, *names: str) -> Path:
    """Small scans of different people."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate(names):
        write_volume(make_phantom((64, 56, 56), seed=seed).fixed, folder / f"{name}.nii.gz")
    return folder


@pytest.fixture
def preview_bench(host, scene, spin):
    bench = Bench(scene, spin)
    yield bench
    bench.close()


@pytest.fixture
def folder(tmp_path):
    """Files that only have to be there: the fake process reads none."""
    (tmp_path / "scans" / "bob").mkdir(parents=True)
    for name in ("ann.nii.gz", "bob/2020.mha", "notes.txt"):
        (tmp_path / "scans" / name).write_text("x")
    return tmp_path / "scans"


@pytest.fixture
def opened(preview_bench, folder):
    preview_bench.open_preview(folder)
    return preview_bench
