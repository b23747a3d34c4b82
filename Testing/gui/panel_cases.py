"""What the tests of the panel share: the module's widget, a process that only exists in the test, a pair of images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.images.volume import Volume
from fake_process import FakeProcess

MODULE = Path(__file__).resolve().parents[2] / "DeepReg"
SIZE = (20, 18, 16)
__all__ = ["MODULE", "SIZE", "add_image", "add_points", "finish", "pair", "process", "run_to_the_process", "widget"]


@pytest.fixture
def widget(host, scene):
    """The module's widget as Slicer builds it, entered."""
    import slicer

    host.load_module(MODULE / "DeepReg.py")
    representation = slicer.modules.deepreg.widgetRepresentation()
    representation.enter()
    yield representation.self()
    representation.exit()


@pytest.fixture
def process(widget) -> FakeProcess:
    """What the panel starts instead of a worker."""
    fake = FakeProcess()
    widget.panel.new_process = lambda: fake
    return fake


def add_image(name: str, seed: int = 0):
    import slicer
    from DeepRegSlicer.nodes import add_volume

    values = np.random.default_rng(seed).normal(0, 100, SIZE[::-1]).astype(np.int16)
    return add_volume(slicer.mrmlScene, Volume(values, Geometry(SIZE, (2.0, 2.0, 2.5))), name)


def add_points(name: str, count: int):
    import slicer
    import vtk

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", name)
    for k in range(count):
        node.AddControlPoint(vtk.vtkVector3d(-5.0 - k, -6.0, 7.0 + k), f"L{k}")
    return node


@pytest.fixture
def pair(widget):
    """Two images in the scene, chosen in the panel."""
    fixed, moving = add_image("inhale", 1), add_image("exhale", 2)
    widget._parameterNode.fixedVolume, widget._parameterNode.movingVolume = fixed, moving
    return fixed, moving


def run_to_the_process(widget, process, spin) -> None:
    widget.ui.registerButton.click()
    spin(lambda: process.running)


def finish(widget, process, spin, shift_mm=(3.0, 0.0, 0.0)) -> None:
    run_to_the_process(widget, process, spin)
    process.give_result(shift_mm)
    process.end(0)
    spin(lambda: not widget.panel.running)
