"""The module DeepRegTrain as Slicer builds it: its parts fit together, and opening it starts nothing."""

from __future__ import annotations

import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from DeepRegSlicer.long_words import BREAK
from training_runs_case import run_folder

REPOSITORY = Path(__file__).resolve().parents[2]
UI_FILE = REPOSITORY / "DeepRegTrain" / "Resources" / "UI" / "DeepRegTrain.ui"
WIDGETS = {widget.get("name"): widget for widget in ElementTree.parse(UI_FILE).iter("widget")}
SECTIONS = REPOSITORY / "DeepReg" / "DeepRegSlicer" / "training"
NARROW_PIXELS, SCROLL_BAR_PIXELS = 400, 16


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


@pytest.fixture
def opened(widget, host):
    """The panel with all of its sections open, in the style of Slicer."""
    host.app.setStyle("Fusion")
    for name in ("dataSection", "whatSection", "previewSection", "runsSection", "modelsSection", "compareSection"):
        getattr(widget.ui, name).collapsed = False
    widget.parent.show()
    yield widget
    widget.cleanup()


def needed_width(widget, host) -> int:
    host.process_events()
    return widget.parent.minimumSizeHint().width() + SCROLL_BAR_PIXELS


def test_the_panel_stays_narrow_with_a_long_path_in_what_a_run_says_and_no_title_is_clipped(
    opened, host, spin, tmp_path
) -> None:
    ui = opened.ui
    assert needed_width(opened, host) <= NARROW_PIXELS
    scan = f"/data/{'1.3.6.1.4.1.' * 5}{'179049373636438705' * 4}/inspiration.nii.gz"
    status = {"state": "failed", "step": 12345, "steps": 100000, "best_error_mm": 12.34}
    run_folder(tmp_path / "correspondence-64", status | {"message": f"The scan '{scan}' is not what it was."})
    opened._parameterNode.outputFolder = str(tmp_path)
    spin(lambda: "is not what it was" in ui.levelsLabel.text)
    assert scan in ui.levelsLabel.text.replace(BREAK, "")
    opened.panel.start.tell(f"No run can be kept in '{scan}'.")
    assert needed_width(opened, host) <= NARROW_PIXELS
    opened.parent.resize(NARROW_PIXELS - SCROLL_BAR_PIXELS, opened.parent.height)
    spin(lambda: ui.runTable.item(0, 0) is not None)
    host.process_events()
    header, name = ui.runTable.horizontalHeader(), ui.runTable.item(0, 0).text()
    for column in range(ui.runTable.columnCount):
        assert header.sectionSize(column) >= header.sectionSizeHint(column), column
    assert ui.runTable.columnWidth(0) > ui.runTable.fontMetrics().horizontalAdvance(name)


def test_rows_of_ranges_are_as_high_as_their_words_after_the_panel_became_narrower(
    opened, host, spin, tmp_path
) -> None:
    import SimpleITK as sitk
    from DeepRegLib.phantom import make_phantom

    sitk.WriteImage(make_phantom((32, 32, 32)).fixed.to_sitk(), str(tmp_path / "scan.nii.gz"))
    opened._parameterNode.dataFolder = str(tmp_path)
    table = opened.ui.rangeTable
    spin(lambda: table.rowCount > 5, 60)
    for width in (600, NARROW_PIXELS):
        opened.parent.resize(width, 1500)
        host.process_events()
        host.process_events()
        heights = [table.rowHeight(row) for row in range(table.rowCount)]
        table.resizeRowsToContents()
        assert heights == [table.rowHeight(row) for row in range(table.rowCount)]
