"""The stand-in for the Slicer application: strict where PythonQt is strict, and a panel that lives as in Slicer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from slicer_host import Host, screenshot

UI = """<?xml version="1.0" encoding="UTF-8"?>
<ui version="4.0"><class>Host</class>
 <widget class="qMRMLWidget" name="Host"><layout class="QFormLayout" name="form">
  <item row="0" column="1"><widget class="qMRMLNodeComboBox" name="volumeSelector">
   <property name="nodeTypes"><stringlist notr="true"><string>vtkMRMLScalarVolumeNode</string></stringlist></property>
   <property name="noneEnabled"><bool>true</bool></property>
   <property name="SlicerParameterName" stdset="0"><string notr="true">volume</string></property></widget></item>
  <item row="1" column="1"><widget class="ctkSliderWidget" name="spacingSlider">
   <property name="SlicerParameterName" stdset="0"><string notr="true">spacing</string></property></widget></item>
  <item row="2" column="1"><widget class="QComboBox" name="qualityBox">
   <property name="SlicerParameterName" stdset="0"><string notr="true">quality</string></property></widget></item>
  <item row="3" column="1"><widget class="QPushButton" name="runButton">
   <property name="text"><string>Run</string></property></widget></item>
 </layout></widget>
 <connections><connection><sender>Host</sender><signal>mrmlSceneChanged(vtkMRMLScene*)</signal>
  <receiver>volumeSelector</receiver><slot>setMRMLScene(vtkMRMLScene*)</slot></connection></connections>
</ui>
"""

MODULE = """
import enum, typing
import slicer, vtk
from slicer import vtkMRMLScalarVolumeNode
from slicer.i18n import tr as _
from slicer.ScriptedLoadableModule import *
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper
from slicer.util import VTKObservationMixin

class Quality(enum.Enum):
    fast = 1
    accurate = 2

class HostDemo(ScriptedLoadableModule):
    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("Host demo")

@parameterNodeWrapper
class HostDemoParameterNode:
    volume: vtkMRMLScalarVolumeNode
    spacing: typing.Annotated[float, WithinRange(2, 40)] = 10.0
    quality: Quality = Quality.accurate

class HostDemoWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.parameters, self.tag, self.cleaned = None, None, False
    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        widget = slicer.util.loadUI(self.resourcePath("UI/HostDemo.ui"))
        self.layout.addWidget(widget)
        self.ui = slicer.util.childWidgetVariables(widget)
        widget.setMRMLScene(slicer.mrmlScene)
        self.connectParameters()
    def connectParameters(self):
        self.parameters = HostDemoParameterNode(HostDemoLogic().getParameterNode())
        self.tag = self.parameters.connectGui(self.ui)
    def cleanup(self):
        self.parameters.disconnectGui(self.tag)
        self.removeObservers()
        self.cleaned = True

class HostDemoLogic(ScriptedLoadableModuleLogic):
    pass
"""


@pytest.fixture(scope="session")
def demo_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("host demo ä")
    (folder / "Resources" / "UI").mkdir(parents=True)
    (folder / "Resources" / "UI" / "HostDemo.ui").write_text(UI)
    (folder / "HostDemo.py").write_text(MODULE)
    return folder / "HostDemo.py"


@pytest.fixture
def panel(host: Host, scene, demo_file: Path):
    return host.load_module(demo_file).widgetRepresentation().self()


@pytest.fixture
def load_ui(host: Host, tmp_path: Path):
    def load(text: str):
        import slicer.util

        (tmp_path / "test.ui").write_text(text)
        return slicer.util.loadUI(str(tmp_path / "test.ui"))

    return load


def add_volume(name: str):
    import slicer.util

    return slicer.util.addVolumeFromArray(np.zeros((3, 4, 5), np.int16), name=name)


FORBIDDEN = {
    "a property called as a method": "button.text()",
    "a property that does not exist": "setattr(button, 'txt', 'x')",
    "a number for a text": "setattr(button, 'text', 5)",
    "None for a flag": "setattr(button, 'enabled', None)",
    "a text for a flag": "setattr(button, 'enabled', 'yes')",
    "a method overwritten": "setattr(button, 'click', print)",
    "a signal that does not exist": "button.connect('clickd()', print)",
    "a signal with other arguments": "button.connect('clicked(int)', print)",
    "a signal with a misspelt MRML type": "selector.connect('currentNodeChanged(vtkMRMLVolumeNode*)', print)",
    "a misspelt property of a stand-in": "setattr(selector, 'noneEnable', True)",
    "one text for a list of texts": "setattr(selector, 'nodeTypes', 'vtkMRMLNode')",
    "a property of a stand-in called": "selector.currentNodeID()",
    "an ID where a node belongs": "selector.setCurrentNode('vtkMRMLScalarVolumeNode1')",
    "an unknown member of the application": "slicer.app.userManual()",
    "a new member of the application": "setattr(slicer.app, 'mine', 1)",
    "a constant of the application changed": "setattr(slicer.app, 'majorVersion', 6)",
    "an unknown module": "slicer.modules.nosuchmodule",
    "an unknown member of a module": "slicer.modules.transforms.widgetRepresentation()",
    "an unknown member of the layout manager": "slicer.app.layoutManager().tableView(0)",
    "a layout that nobody described": "slicer.app.layoutManager().setLayout(98765)",
    "a class that Qt 6 no longer has": "qt.QRegExp('x')",
    "a widget without a stand-in": "slicer.qMRMLSubjectHierarchyTreeView()",
}


@pytest.mark.parametrize("expression", FORBIDDEN.values(), ids=FORBIDDEN.keys())
def test_the_host_refuses(host: Host, scene, expression: str) -> None:
    import qt
    import slicer

    names = {"qt": qt, "slicer": slicer, "button": qt.QPushButton("Run"), "selector": slicer.qMRMLNodeComboBox()}
    with pytest.raises((AttributeError, TypeError, ValueError)):
        eval(expression, names)


def test_a_dialog_that_nobody_prepared_for_raises_instead_of_waiting(host: Host, monkeypatch) -> None:
    import ctk
    import qt

    for dialog in (qt.QMessageBox(), ctk.ctkMessageBox(), qt.QDialog(), qt.QMenu()):
        with pytest.raises(AssertionError, match="exec"):
            dialog.exec_()
    with pytest.raises(AssertionError, match="Open a scan"):
        qt.QFileDialog.getOpenFileName(None, "Open a scan")
    line = ctk.ctkPathLineEdit()
    monkeypatch.setattr(qt.QFileDialog, "getOpenFileName", staticmethod(lambda *_: "/data/CT ä.nrrd"))
    line.browse()
    assert line.currentPath == "/data/CT ä.nrrd"


def test_properties_are_attributes_and_python_classes_may_have_their_own(host: Host) -> None:
    import qt

    class Mine(qt.QWidget):
        pass

    mine, button = Mine(), qt.QPushButton()
    mine.counter = 3
    button.text, button.enabled, button.toolTip = "Register", False, "Choose two images"
    assert (mine.counter, button.text, button.enabled, button.toolTip) == (3, "Register", False, "Choose two images")
    button.name = "applyButton"
    assert button.objectName == "applyButton" and button.className() == "QPushButton"


def test_a_default_argument_of_a_slot_is_overwritten_by_the_signal(host: Host) -> None:
    """The classic mistake ``lambda row=row: ...``: PythonQt passes ``checked`` to it."""
    import qt

    seen, button = [], qt.QPushButton()
    button.connect("clicked(bool)", lambda row=7: seen.append(row))
    button.connect("clicked()", lambda: seen.append("plain"))
    button.click()
    assert seen == [False, "plain"]


def test_an_unknown_widget_class_in_a_ui_file_is_refused(load_ui) -> None:
    with pytest.raises(RuntimeError, match="ctkNoSuchWidget"):
        load_ui(UI.replace('class="QPushButton"', 'class="ctkNoSuchWidget"'))


def test_an_unknown_property_in_a_ui_file_is_refused(load_ui) -> None:
    with pytest.raises(AttributeError, match="runButton has no property txt"):
        load_ui(UI.replace('<property name="text">', '<property name="txt">'))


@pytest.mark.parametrize("wrong", ["mrmlSceneChange(vtkMRMLScene*)", "setMRMLScenes(vtkMRMLScene*)"])
def test_a_connection_in_a_ui_file_needs_its_signal_and_slot(load_ui, wrong: str) -> None:
    right = "mrmlSceneChanged(vtkMRMLScene*)" if wrong.startswith("mrml") else "setMRMLScene(vtkMRMLScene*)"
    with pytest.raises(AttributeError):
        load_ui(UI.replace(right, wrong))


def test_parameters_and_widgets_follow_each_other(panel) -> None:
    from HostDemo import Quality

    volume = add_volume("CT")
    panel.ui.volumeSelector.setCurrentNode(volume)
    panel.ui.spacingSlider.value = 12.5
    panel.ui.qualityBox.currentIndex = 0
    assert (panel.parameters.volume, panel.parameters.spacing) == (volume, 12.5)
    assert panel.parameters.quality is Quality.fast
    panel.parameters.volume, panel.parameters.spacing, panel.parameters.quality = None, 3, Quality.accurate
    assert panel.ui.volumeSelector.currentNode() is None
    assert (panel.ui.spacingSlider.value, panel.ui.qualityBox.currentText) == (3.0, "accurate")


def test_after_disconnecting_nothing_follows(panel) -> None:
    panel.parameters.disconnectGui(panel.tag)
    panel.parameters.spacing = 21.0
    assert panel.ui.spacingSlider.value == 10.0
    panel.ui.spacingSlider.value = 30.0
    assert panel.parameters.spacing == 21.0


def test_a_panel_is_restored_from_a_scene_bundle(panel, scene, tmp_path: Path) -> None:
    import slicer.util

    panel.parameters.volume, panel.parameters.spacing = add_volume("CT of Jörg"), 7
    panel.parameters.disconnectGui(panel.tag)
    assert slicer.util.saveScene(str(tmp_path / "saved ä.mrb"))
    scene.Clear(False)
    slicer.util.loadScene(str(tmp_path / "saved ä.mrb"))
    panel.connectParameters()
    assert panel.parameters.volume.GetName() == "CT of Jörg"
    assert panel.ui.volumeSelector.currentNode() is panel.parameters.volume
    assert panel.ui.spacingSlider.value == 7.0


def test_a_panel_that_stays_connected_loses_its_node_when_a_scene_is_closed(panel, scene) -> None:
    panel.ui.volumeSelector.setCurrentNode(add_volume("CT"))
    scene.Clear(False)
    assert panel.ui.volumeSelector.currentNode() is None and panel.parameters.volume is None


def test_a_reloaded_module_has_a_new_panel_in_the_same_widget(host: Host, panel) -> None:
    import slicer

    slicer.util.reloadScriptedModule("HostDemo")
    again = slicer.modules.hostdemo.widgetRepresentation().self()
    assert panel.cleaned and again is not panel and again is slicer.modules.HostDemoWidget
    assert type(again) is sys.modules["HostDemo"].HostDemoWidget


def test_resetting_cleans_up_the_panel_and_empties_the_scene(host: Host, panel, scene) -> None:
    import slicer

    before = scene.GetNumberOfNodes()
    add_volume("CT")
    host.reset()
    assert panel.cleaned and scene.GetNumberOfNodes() < before
    assert not slicer.util.getNodes("CT") and not hasattr(slicer.modules, "HostDemoWidget")


def test_an_exception_in_a_slot_is_noticed(host: Host, no_hidden_errors) -> None:
    import qt

    button = qt.QPushButton()
    button.connect("clicked()", lambda: 1 / 0)
    button.click()
    assert [type(error) for error in no_hidden_errors] == [ZeroDivisionError]
    no_hidden_errors.clear()


def test_spinning_runs_timers_and_ends_in_time(host: Host, spin) -> None:
    import qt

    done = []
    qt.QTimer.singleShot(20, lambda: done.append(True))
    spin(lambda: done, limit_s=2.0)
    with pytest.raises(TimeoutError):
        spin(lambda: False, limit_s=0.05)


def test_the_application_says_that_it_has_started_and_that_it_quits(host: Host) -> None:
    import slicer

    heard = []
    slicer.app.connect("startupCompleted()", lambda: heard.append("started"))
    slicer.app.connect("aboutToQuit()", lambda: heard.append("quits"))
    slicer.app.startupCompleted.emit()
    slicer.app.aboutToQuit.emit()
    assert heard == ["started", "quits"] and slicer.util.mainWindow() is None


def test_files_are_loaded_through_the_logic_of_their_module(scene, tmp_path: Path) -> None:
    import slicer

    volume = add_volume("CT")
    markups = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "points")
    markups.AddControlPoint(1.0, 2.0, 3.0)
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "shift")
    slicer.util.updateTransformMatrixFromArray(transform, np.diag([1.0, 1.0, 2.0, 1.0]))
    files = {volume: "CT ä.nrrd", markups: "points.mrk.json", transform: "shift.h5"}
    assert all(slicer.util.saveNode(node, str(tmp_path / name)) for node, name in files.items())
    scene.Clear(False)
    loaded = slicer.util.loadVolume(str(tmp_path / "CT ä.nrrd"))
    red = slicer.app.layoutManager().sliceWidget("Red").mrmlSliceCompositeNode()
    assert loaded.GetName() == "CT ä" and red.GetBackgroundVolumeID() == loaded.GetID()
    labels = slicer.util.loadLabelVolume(str(tmp_path / "CT ä.nrrd"))
    assert labels.IsA("vtkMRMLLabelMapVolumeNode")
    points = slicer.util.loadMarkups(str(tmp_path / "points.mrk.json"))
    assert slicer.util.arrayFromMarkupsControlPoints(points).tolist() == [[1.0, 2.0, 3.0]]
    matrix = slicer.util.arrayFromTransformMatrix(slicer.util.loadTransform(str(tmp_path / "shift.h5")))
    assert matrix[2, 2] == pytest.approx(2.0)
    with pytest.raises(RuntimeError, match="missing"):
        slicer.util.loadVolume(str(tmp_path / "missing.nrrd"))


def test_layouts_have_real_view_nodes(scene) -> None:
    import slicer

    manager = slicer.app.layoutManager()
    assert manager.sliceViewNames() == ("Red", "Green", "Yellow") and manager.threeDViewCount == 1
    manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutTwoOverTwoView)
    assert "Slice4" in manager.sliceViewNames()
    manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpPlotView)
    chart = slicer.util.plot(np.eye(3), show=True)
    assert manager.plotWidget(0).mrmlPlotViewNode().GetPlotChartNodeID() == chart.GetID()


BEFORE_THE_HOST = """
import sys
sys.path.insert(0, sys.argv[1])
import slicer, DeepRegSlicer.nodes, DeepRegSlicer.result
from DeepRegSlicer.scene import StandaloneScene
from slicer_host import install
host = install()
with StandaloneScene() as standalone:
    standalone.scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "points")
    assert standalone.scene is not slicer.mrmlScene and not slicer.util.getNodes("points")
assert DeepRegSlicer.nodes.slicer is slicer and slicer.app is host.app
print("sound")
"""


def test_what_was_imported_before_the_host_and_other_scenes_still_work() -> None:
    command = [sys.executable, "-c", BEFORE_THE_HOST, str(Path(__file__).resolve().parents[1])]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0 and run.stdout.split()[-1] == "sound", run.stderr


def test_a_process_of_qt_reports_its_output(host: Host, spin) -> None:
    import qt

    process, ends = qt.QProcess(), []
    process.connect("finished(int,QProcess::ExitStatus)", lambda code, status: ends.append((code, status)))
    process.start(sys.executable, ["-c", "print('ready')"])
    spin(lambda: ends, limit_s=20.0)
    assert ends == [(0, qt.QProcess.NormalExit)]
    assert bytes(process.readAllStandardOutput().data()).strip() == b"ready"


def test_pictures_of_both_palettes_have_the_width_asked_for(host: Host, panel, tmp_path: Path) -> None:
    import qt

    widget = panel.parent
    pictures = {}
    for palette in ("light", "dark"):
        path = screenshot(widget, tmp_path / f"{palette}.png", 400, palette)
        pictures[palette] = qt.QImage(str(path))
    assert all(picture.width() == 400 for picture in pictures.values())
    light, dark = (pictures[name].pixelColor(2, 2).lightness() for name in ("light", "dark"))
    assert light > 200 and dark < 80
