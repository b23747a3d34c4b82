"""A pair with landmarks in the scene of the stand-in host, and the panel's section for them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from DeepRegLib.evidence.landmarks import Landmarks
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.images.volume import Volume
from DeepRegLib.transforms.displacement_field import DisplacementField

UI_FILE = Path(__file__).resolve().parents[2] / "DeepReg" / "Resources" / "UI" / "DeepReg.ui"
GRID = Geometry((40, 36, 30), (2.0, 2.0, 3.0), (-40.0, -36.0, -45.0))
COUNT = 30
SHIFT = np.array([0.0, 4.0, 6.0])
"""From fixed to moving points: 4 mm to the back, 6 mm up."""


class Case:
    """A pair with landmarks in the scene, and the section with the panel's own widgets."""

    def __init__(self, scene) -> None:
        import slicer
        from DeepRegSlicer import nodes
        from DeepRegSlicer.panel.landmarks_section import LandmarksSection
        from DeepRegSlicer.parameters import DeepRegParameters

        rng = np.random.default_rng(3)
        image = Volume(np.zeros(GRID.shape, np.int16), GRID)
        self.fixed_points = GRID.to_physical(rng.uniform(3, np.array(GRID.size) - 4, (COUNT, 3)))
        self.moving_points = self.fixed_points + SHIFT + rng.normal(0, 0.3, (COUNT, 3))
        self.moving_points[17] += [0.0, 0.0, 9.0]
        labels = tuple(f"L{k}" for k in range(COUNT))
        self.scene = scene
        self.fixed = nodes.add_landmarks(scene, Landmarks(self.fixed_points, labels), "fixed points", (1, 0, 0))
        self.moving = nodes.add_landmarks(scene, Landmarks(self.moving_points, labels), "moving points", (0, 1, 0))
        self.volumes = [nodes.add_volume(scene, image, name) for name in ("fixed", "moving")]
        self.widget = slicer.util.loadUI(str(UI_FILE))
        self.ui = slicer.util.childWidgetVariables(self.widget)
        self.node = scene.AddNewNodeByClass("vtkMRMLScriptedModuleNode", "parameters")
        self.parameters = DeepRegParameters(self.node)
        self.section = LandmarksSection(self.ui, scene)
        self.section.connect()

    def add_transform(self):
        """T is the shift: errors of some 0.5 mm remain, and one of 9 mm."""
        from DeepRegSlicer import nodes

        vectors = np.zeros((*GRID.shape, 3), np.float32) + SHIFT.astype(np.float32)
        return nodes.add_transform(self.scene, DisplacementField(vectors, GRID), "result")

    def choose(self, **others) -> None:
        chosen = {"fixedLandmarks": self.fixed, "movingLandmarks": self.moving}
        chosen |= {"fixedVolume": self.volumes[0], "movingVolume": self.volumes[1]}
        for name, value in (chosen | others).items():
            setattr(self.parameters, name, value)
        self.section.update(self.parameters)

    def close(self) -> None:
        self.section.disconnect()
        self.widget.deleteLater()

    def settle(self, spin: Callable[..., None]) -> None:
        """Wait until everything that changed is measured and shown."""
        spin(lambda: not self.section._waiting and self.section._measuring is None)

    @property
    def table(self) -> list[list[str]]:
        table = self.ui.landmarkTable
        items = [[table.item(r, c) for c in range(table.columnCount)] for r in range(table.rowCount)]
        return [[item.text() if item else "" for item in row] for row in items]

    @property
    def titles(self) -> list[str]:
        table = self.ui.landmarkTable
        return [table.horizontalHeaderItem(c).text() for c in range(table.columnCount)]

    @property
    def text(self) -> str:
        return self.ui.landmarkSummaryLabel.text


def residuals(case) -> np.ndarray:
    return case.fixed_points + SHIFT - case.moving_points


def arrow_models(case) -> int:
    kind = "vtkMRMLModelNode"
    names = [case.scene.GetNthNodeByClass(k, kind).GetName() for k in range(case.scene.GetNumberOfNodesByClass(kind))]
    return sum(name.startswith("landmark errors") for name in names)
