"""A pair with a result, and the section *Review* in its panel with a parameter node as the module has it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import slicer
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.images.volume import Volume
from DeepRegLib.transforms.displacement_field import DisplacementField
from DeepRegSlicer import nodes

PANEL = Path(__file__).resolve().parents[2] / "DeepReg" / "Resources" / "UI" / "DeepReg.ui"
GRID = Geometry((30, 26, 22), (2.0, 2.0, 3.0), (-30.0, 20.0, -90.0))
FOUR_UP = 3


def blob(shift: float) -> Volume:
    z, y, x = np.indices(GRID.shape)
    return Volume((1000 * np.exp(-(((x - 15 - shift) / 6) ** 2 + ((y - 13) / 6) ** 2 + ((z - 11) / 5) ** 2))), GRID)


def bend(fold: bool = False) -> DisplacementField:
    vectors = np.zeros((*GRID.shape, 3), np.float32)
    vectors[..., 0] = 4 * np.sin(np.arange(GRID.size[1]) / 3)[:, None] + 4
    if fold:
        vectors[10, 10, 14:17, 0] += [9, 0, -9]
    return DisplacementField(vectors, GRID)


class Bench:
    """The section in its panel, with a parameter node as the module has it."""

    def __init__(self, host, scene, spin) -> None:
        from DeepRegSlicer.panel.review_section import ReviewSection
        from DeepRegSlicer.parameters import DeepRegParameters

        self.scene, self.spin = scene, spin
        self.widget = slicer.util.loadUI(str(PANEL))
        self.widget.setMRMLScene(scene)
        self.ui = slicer.util.childWidgetVariables(self.widget)
        node = slicer.vtkMRMLScriptedModuleNode()
        node.SetSingletonTag("DeepRegReviewTest")
        node.SetModuleName("DeepReg")
        self.parameters = DeepRegParameters(scene.AddNode(node))
        self.section = ReviewSection(self.ui, scene)
        self.section.connect()
        self.tag = self.parameters.connectGui(self.ui)
        self.observed = self.parameters.parameterNode
        self.observer = self.observed.AddObserver("ModifiedEvent", lambda *_args: self.section.update(self.parameters))
        slicer.app.layoutManager().setLayout(FOUR_UP)
        self.layout = scene.GetFirstNodeByClass("vtkMRMLLayoutNode")
        self.layout_observer = self.layout.AddObserver("ModifiedEvent", self.make_views)
        self.fixed = nodes.add_volume(scene, blob(0), "fixed")
        self.moving = nodes.add_volume(scene, blob(2), "moving")
        self.section.update(self.parameters)

    def add_result(self, fold: bool = False):
        transform = nodes.add_transform(self.scene, bend(fold), "moving to fixed")
        nodes.record_images(transform, self.fixed, self.moving)
        self.parameters.outputTransform = transform
        return transform

    def open(self) -> None:
        self.ui.reviewSection.collapsed = False
        self.wait()

    def wait(self) -> None:
        self.spin(lambda: self.section.review.is_idle, 20.0)

    def view(self, name: str = "Red"):
        return self.scene.GetSingletonNode(name, "vtkMRMLSliceCompositeNode")

    def layers(self, name: str = "Red") -> tuple[str | None, str | None, float]:
        view = self.view(name)
        return view.GetBackgroundVolumeID(), view.GetForegroundVolumeID(), view.GetForegroundOpacity()

    def overlay(self) -> str | None:
        return self.view().GetNthLayerVolumeID(3)

    def role(self, role: str):
        from DeepRegSlicer.review_nodes import find_review_node

        return find_review_node(self.scene, role)

    def visible_ways(self) -> set[str]:
        from DeepRegSlicer.deformation_display import FIELD_ROLE, GRID_ROLE

        found = set()
        for node in filter(None, (self.role(GRID_ROLE), self.role(FIELD_ROLE))):
            for index in range(node.GetNumberOfDisplayNodes()):
                display = node.GetNthDisplayNode(index)
                if display.GetVisibility():
                    found.add(display.GetAttribute("DeepReg.way"))
        return found

    def make_views(self, layout, _event: str) -> None:
        """The application makes the views of a layout as soon as the layout node names it."""
        slicer.app.layoutManager().setLayout(layout.GetViewArrangement())

    def close(self) -> None:
        self.section.disconnect()
        self.observed.RemoveObserver(self.observer)
        self.layout.RemoveObserver(self.layout_observer)
        self.parameters.disconnectGui(self.tag)
        self.widget.setMRMLScene(None)
        self.widget.deleteLater()
