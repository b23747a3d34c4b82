"""The module DeepRegTrain as Slicer builds it: its parts fit together, and opening it starts nothing."""

from __future__ import annotations

import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
UI_FILE = REPOSITORY / "DeepRegTrain" / "Resources" / "UI" / "DeepRegTrain.ui"
WIDGETS = {widget.get("name"): widget for widget in ElementTree.parse(UI_FILE).iter("widget")}
SECTIONS = REPOSITORY / "DeepReg" / "DeepRegSlicer" / "training"


@pytest.fixture
def widget(host, scene):
    import slicer

    host.load_module(REPOSITORY / "DeepReg" / "DeepReg.py")
    host.load_module(REPOSITORY / "DeepRegTrain" / "DeepRegTrain.py")
    representation = slicer.modules.deepregtrain.widgetRepresentation()
    representation.enter()
    yield representation.self()
    representation.exit()


def test_every_widget_that_the_code_names_exists_in_the_ui_file() -> None:
    named = set()
    for file in SECTIONS.glob("*.py"):
        named |= set(re.findall(r"(?:\b|_)ui\.(\w+)", file.read_text(encoding="utf-8")))
    assert len(named) > 40
    assert named <= set(WIDGETS)


def test_every_control_has_a_tool_tip() -> None:
    controls = {"QPushButton", "QToolButton", "QCheckBox", "QComboBox", "QSpinBox", "qMRMLNodeComboBox"}
    for name, widget in WIDGETS.items():
        if widget.get("class") in controls:
            tips = [p.findtext("string") for p in widget.findall("property") if p.get("name") == "toolTip"]
            assert tips and tips[0], name


def test_what_is_chosen_lives_in_the_scene(widget) -> None:
    from DeepRegSlicer.training.parameters import Size

    parameters = widget._parameterNode
    widget.ui.stepsSpinBox.value = 123
    assert parameters.steps == 123
    parameters.size = Size.VOXELS_32
    assert widget.ui.sizeSelector.currentText == "32 x 32 x 32"


def test_closing_the_scene_and_reloading_leave_a_working_panel(widget, host) -> None:
    import slicer

    slicer.mrmlScene.Clear(0)
    host.process_events()
    assert widget._parameterNode is not None
    widget._parameterNode.steps = 77
    assert widget.ui.stepsSpinBox.value == 77
    widget.cleanup()


def test_a_parameter_of_another_version_does_not_keep_the_panel_from_opening(host, scene) -> None:
    import slicer

    node = slicer.vtkMRMLScriptedModuleNode()
    node.SetSingletonTag("DeepRegTrain")
    node.SetModuleName("DeepRegTrain")
    node.SetParameter("size", "VOXELS_5000")
    node.SetParameter("steps", "many")
    scene.AddNode(node)
    host.load_module(REPOSITORY / "DeepReg" / "DeepReg.py")
    host.load_module(REPOSITORY / "DeepRegTrain" / "DeepRegTrain.py")
    representation = slicer.modules.deepregtrain.widgetRepresentation()
    representation.enter()
    assert representation.self()._parameterNode.steps == 2000


def test_opening_the_module_imports_no_torch_and_touches_no_disk(tmp_path: Path) -> None:
    """In a process of its own: what other tests have imported does not count."""
    script = f"""
import sys
sys.path[:0] = [{str(REPOSITORY / "Testing")!r}, {str(REPOSITORY / "DeepReg")!r}, {str(REPOSITORY / "DeepRegTrain")!r}]
from slicer_host import install
host = install()
import slicer
host.load_module({str(REPOSITORY / "DeepReg" / "DeepReg.py")!r})
host.load_module({str(REPOSITORY / "DeepRegTrain" / "DeepRegTrain.py")!r})
slicer.modules.deepregtrain.widgetRepresentation()
assert not [name for name in ("torch", "SimpleITK", "scipy") if name in sys.modules]
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []
