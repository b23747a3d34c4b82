"""What users and other modules do to the panel at the worst moment; nothing may be lost, hang or stay behind."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from fake_process import FakeProcess
from panel_cases import MODULE, SIZE, add_image, finish, run_to_the_process


@pytest.fixture
def temporary_folder(host):
    """``temporary_folder(path)`` sets where Slicer keeps temporary files, for this test."""
    import slicer

    before = slicer.app.temporaryPath

    def set_path(path: Path) -> None:
        slicer.app.temporaryPath = str(path)

    yield set_path
    slicer.app.temporaryPath = before


def test_a_label_map_and_a_vector_volume_are_refused_with_a_sentence(widget, pair) -> None:
    import slicer
    import vtk

    parameters = widget._parameterNode
    labels = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "labels")
    labels.SetAndObserveImageData(pair[0].GetImageData())
    vectors = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLVectorVolumeNode", "vectors")
    image = vtk.vtkImageData()
    image.SetDimensions(10, 10, 10)
    image.AllocateScalars(vtk.VTK_SHORT, 3)
    vectors.SetAndObserveImageData(image)
    empty = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty")
    for node, word in ((labels, "label map"), (vectors, "several values"), (empty, "no voxels")):
        parameters.movingVolume = node
        assert not widget.ui.registerButton.enabled
        assert word in widget.ui.registerButton.toolTip
        widget.panel.register()
        assert not widget.panel.running
    parameters.movingVolume = pair[1]


def test_an_input_that_is_deleted_while_it_runs_ends_in_a_sentence(widget, process, pair, spin) -> None:
    import slicer

    run_to_the_process(widget, process, spin)
    slicer.mrmlScene.RemoveNode(pair[1])
    process.give_result()
    process.end(0)
    spin(lambda: not widget.panel.running)
    assert "removed while the registration ran" in widget.ui.statusLabel.text
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLGridTransformNode") == 0


def test_an_output_that_is_deleted_while_it_runs_is_replaced(widget, pair, spin) -> None:
    import slicer

    parameters = widget._parameterNode
    for _ in range(2):
        fake = FakeProcess()
        widget.panel.new_process = lambda fake=fake: fake
        run_to_the_process(widget, fake, spin)
        if parameters.outputTransform is not None:
            slicer.mrmlScene.RemoveNode(parameters.outputTransform)
        fake.give_result((2.0, 0.0, 0.0))
        fake.end(0)
        spin(lambda: not widget.panel.running)
    assert parameters.outputTransform is not None
    assert np.allclose(
        parameters.outputTransform.GetTransformFromParent().TransformPoint(0, 0, 0), (-2, 0, 0), atol=1e-3
    )


def test_closing_the_scene_kills_the_process_and_the_panel_goes_on(widget, process, pair, spin, host) -> None:
    import slicer

    run_to_the_process(widget, process, spin)
    folder = process.folder
    slicer.mrmlScene.Clear(0)
    host.process_events()
    assert not process.running and not widget.panel.running
    assert not folder.exists()
    assert widget._parameterNode is not None and widget._parameterNode.fixedVolume is None
    fake = FakeProcess()
    widget.panel.new_process = lambda: fake
    widget._parameterNode.fixedVolume = add_image("new fixed", 4)
    widget._parameterNode.movingVolume = add_image("new moving", 5)
    finish(widget, fake, spin)
    assert widget._parameterNode.outputTransform is not None


def test_reloading_the_module_and_quitting_leave_no_process(widget, process, pair, spin) -> None:
    run_to_the_process(widget, process, spin)
    folder = process.folder
    widget.cleanup()
    assert not process.running and process.kills == 1
    assert not folder.exists()


def test_register_twice_starts_one_process(widget, pair, spin) -> None:
    started = []

    def new_process() -> FakeProcess:
        started.append(FakeProcess())
        return started[-1]

    widget.panel.new_process = new_process
    widget.panel.register()
    widget.panel.register()
    spin(lambda: started[0].running)
    assert len(started) == 1
    widget.panel.cancel()
    spin(lambda: not widget.panel.running)


@pytest.mark.skipif(os.name == "nt" or os.getuid() == 0, reason="root may write everywhere")
def test_a_temporary_folder_without_write_access_is_told(
    widget, process, pair, spin, temporary_folder, tmp_path
) -> None:
    tmp_path.chmod(0o500)
    temporary_folder(tmp_path)
    widget.ui.registerButton.click()
    spin(lambda: not widget.panel.running)
    assert str(tmp_path.name) in widget.ui.statusLabel.text


def test_a_temporary_folder_that_is_not_there_is_told(widget, process, pair, spin, tmp_path, temporary_folder) -> None:
    temporary_folder(tmp_path / "gone")
    widget.ui.registerButton.click()
    spin(lambda: not widget.panel.running)
    assert not process.running
    assert "cannot be written" in widget.ui.statusLabel.text or "gone" in widget.ui.statusLabel.text
    assert widget.ui.registerButton.enabled


def test_a_temporary_folder_with_spaces_and_umlauts_works(
    widget, process, pair, spin, tmp_path, temporary_folder
) -> None:
    folder = tmp_path / "Ordner mit Ümläuten 日本"
    folder.mkdir()
    temporary_folder(folder)
    finish(widget, process, spin)
    assert widget._parameterNode.outputTransform is not None
    assert list(folder.iterdir()) == []


def test_missing_packages_are_told_and_nothing_starts(widget, process, pair, monkeypatch) -> None:
    from DeepRegLib.errors import InstallationProblem
    from DeepRegSlicer.panel import panel

    def refuse(ask: bool, button: str) -> None:
        raise InstallationProblem("PyTorch was not installed, so nothing was done.", f"Press '{button}' again.")

    monkeypatch.setattr(panel, "install_missing", refuse)
    widget.ui.registerButton.click()
    assert not process.running and not widget.panel.running
    assert "PyTorch was not installed" in widget.ui.statusLabel.text
    assert "Press 'Register' again" in widget.ui.statusLabel.text


def test_a_scene_of_another_version_opens_with_defaults_where_it_is_not_understood(host, scene) -> None:
    import slicer
    from DeepRegSlicer.parameters import Quality

    node = slicer.vtkMRMLScriptedModuleNode()
    node.SetSingletonTag("DeepReg")
    node.SetModuleName("DeepReg")
    for name, value in (("quality", "SUPERB"), ("fade", "12"), ("fieldSpacing", "wide"), ("somethingOfTomorrow", "1")):
        node.SetParameter(name, value)
    scene.AddNode(node)
    host.load_module(MODULE / "DeepReg.py")
    representation = slicer.modules.deepreg.widgetRepresentation()
    representation.enter()
    widget = representation.self()
    assert widget._parameterNode.parameterNode is node
    assert widget._parameterNode.quality is Quality.BALANCED
    assert widget._parameterNode.fade == 0.5
    assert widget._parameterNode.fieldSpacing == 0.0
    assert widget.ui.qualitySelector.currentText == "Balanced"


def test_everything_is_there_again_after_saving_and_loading_the_scene(
    widget, process, pair, spin, host, tmp_path
) -> None:
    import slicer
    from DeepRegSlicer.parameters import Quality

    parameters = widget._parameterNode
    parameters.quality, parameters.makeInverse = Quality.ACCURATE, True
    finish(widget, process, spin)
    scene_file = str(tmp_path / "scene.mrb")
    assert slicer.util.saveScene(scene_file)
    slicer.mrmlScene.Clear(0)
    assert widget._parameterNode.quality is Quality.BALANCED
    slicer.util.loadScene(scene_file)
    host.process_events()
    parameters = widget._parameterNode
    assert parameters.quality is Quality.ACCURATE
    assert parameters.fixedVolume.GetName() == "inhale" and parameters.movingVolume.GetName() == "exhale"
    moved = parameters.outputTransform.GetTransformFromParent().TransformPoint(-10.0, -10.0, 10.0)
    assert np.allclose(moved, (-13.0, -10.0, 10.0), atol=1e-3)
    assert widget.ui.transformSelector.currentNode() is parameters.outputTransform
    assert parameters.outputWarped.GetImageData().GetDimensions() == SIZE


def test_leaving_the_module_does_not_stop_the_run(widget, process, pair, spin) -> None:
    run_to_the_process(widget, process, spin)
    widget.exit()
    process.give_result((3.0, 0.0, 0.0))
    process.end(0)
    spin(lambda: not widget.panel.running)
    assert widget._parameterNode.outputTransform is not None


def test_the_files_of_a_run_are_gone_afterwards_unless_the_log_is_kept(
    widget, pair, spin, tmp_path, temporary_folder
) -> None:
    temporary_folder(tmp_path)
    for keep in (False, True):
        fake = FakeProcess(script=[lambda process: process.log("a word\n")])
        widget.panel.new_process = lambda fake=fake: fake
        widget._parameterNode.keepLog = keep
        finish(widget, fake, spin)
        left = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert bool(left) is keep
    assert "a word" in Path(left[0]).read_text(encoding="utf-8")
    assert left[0].name in widget.ui.statusLabel.text


def test_adding_a_scene_while_a_registration_runs_disturbs_neither(widget, process, pair, spin, host, tmp_path) -> None:
    import slicer

    parameters = widget._parameterNode
    other = str(tmp_path / "other.mrb")
    add_image("an image of the other scene", 7)
    assert slicer.util.saveScene(other)
    run_to_the_process(widget, process, spin)
    slicer.util.loadScene(other, {"clear": False})
    host.process_events()
    parameters = widget._parameterNode
    assert widget.panel.running
    assert parameters.fixedVolume is not None and parameters.movingVolume is not None
    process.give_result((3.0, 0.0, 0.0))
    process.end(0)
    spin(lambda: not widget.panel.running)
    assert parameters.outputTransform is not None
