"""The panel of the module on the stand-in host, with a registration process that only exists in the test."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import numpy as np
from DeepRegLib.errors import NoOverlap
from fake_process import FakeProcess
from panel_cases import MODULE, SIZE, add_image, add_points, finish, run_to_the_process

UI_FILE = MODULE / "Resources" / "UI" / "DeepReg.ui"
WIDGETS = {widget.get("name"): widget for widget in ElementTree.parse(UI_FILE).iter("widget")}


# ------------------------------------------------------------------------------------------------- the .ui file


def test_every_widget_that_the_code_names_exists_in_the_ui_file() -> None:
    named = set()
    for file in (MODULE / "DeepRegSlicer" / "panel").glob("*.py"):
        named |= set(re.findall(r"(?:\b|_)ui\.(\w+)", file.read_text(encoding="utf-8")))
    assert len(named) > 30
    assert named <= set(WIDGETS)


def test_every_bound_widget_names_a_parameter_and_every_control_has_a_tool_tip(host) -> None:
    from DeepRegSlicer.parameters import DeepRegParameters

    parameters = {name for name in dir(DeepRegParameters) if not name.startswith("_")}
    controls = {"QPushButton", "QToolButton", "QCheckBox", "QComboBox", "qMRMLNodeComboBox", "ctkSliderWidget"}
    bound = 0
    for name, widget in WIDGETS.items():
        properties = {found.get("name"): found for found in widget.findall("property")}
        if "SlicerParameterName" in properties:
            bound += 1
            assert properties["SlicerParameterName"].findtext("string") in parameters, name
        if widget.get("class") in controls:
            assert properties["toolTip"].findtext("string"), name
    assert bound > 20


def test_every_scene_widget_gets_the_scene(widget) -> None:
    import slicer

    for name, element in WIDGETS.items():
        if element.get("class") in ("qMRMLNodeComboBox", "qMRMLCheckableNodeComboBox"):
            assert getattr(widget.ui, name).mrmlScene() is slicer.mrmlScene, name


# ------------------------------------------------------------------------------------------------- choosing


def test_register_says_what_is_missing_until_two_images_are_chosen(widget) -> None:
    button, parameters = widget.ui.registerButton, widget._parameterNode
    assert not button.enabled and "fixed" in button.toolTip
    parameters.fixedVolume = add_image("inhale")
    assert not button.enabled and "moving" in button.toolTip
    parameters.movingVolume = parameters.fixedVolume
    assert not button.enabled and "two different" in button.toolTip
    parameters.movingVolume = add_image("exhale")
    assert button.enabled


def test_two_images_of_the_scene_are_chosen_when_the_panel_is_opened(widget) -> None:
    first, second = add_image("first"), add_image("second")
    widget.enter()
    assert widget._parameterNode.fixedVolume is first
    assert widget._parameterNode.movingVolume is second
    assert widget.ui.registerButton.enabled


def test_the_widgets_and_the_parameter_node_follow_each_other(widget, pair) -> None:
    from DeepRegSlicer.parameters import Device, Quality

    ui, parameters = widget.ui, widget._parameterNode
    ui.qualitySelector.currentIndex = 2
    assert parameters.quality is Quality.ACCURATE
    parameters.quality = Quality.FAST
    assert ui.qualitySelector.currentText == "Fast"
    ui.inverseCheckBox.checked = True
    assert parameters.makeInverse is True
    parameters.device = Device.CPU
    assert ui.deviceSelector.currentText == "Processor"
    ui.fixedSelector.setCurrentNode(pair[1])
    assert parameters.fixedVolume is pair[1]


def test_the_methods_are_listed_with_a_description(widget, pair) -> None:
    ui = widget.ui
    names = [ui.methodSelector.itemText(k) for k in range(ui.methodSelector.count)]
    assert names[0] == "Automatic" and "lucas-kanade" in names
    ui.methodSelector.setCurrentIndex(names.index("lucas-kanade"))
    ui.methodSelector.activated.emit(names.index("lucas-kanade"))
    assert widget._parameterNode.method == "lucas-kanade"
    assert len(ui.methodDescriptionLabel.text) > 20


def test_a_method_of_another_machine_is_named_and_not_forgotten(widget, pair) -> None:
    widget._parameterNode.method = "lung-of-tomorrow"
    assert "lung-of-tomorrow" in widget.ui.methodDescriptionLabel.text
    assert widget._parameterNode.method == "lung-of-tomorrow"


def test_segments_are_offered_for_a_segmentation_only(widget, pair) -> None:
    import slicer

    ui, parameters = widget.ui, widget._parameterNode
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "organs")
    left = segmentation.GetSegmentation().AddEmptySegment("left", "left lung")
    assert ui.fixedSegmentSelector.isHidden()
    parameters.fixedRegion = segmentation
    ui.optionalInputsSection.collapsed = False
    assert not ui.fixedSegmentSelector.isHidden()
    names = [ui.fixedSegmentSelector.itemText(k) for k in range(ui.fixedSegmentSelector.count)]
    assert names == ["All segments", "left lung"]
    ui.fixedSegmentSelector.activated.emit(1)
    assert parameters.fixedSegmentID == left
    parameters.fixedRegion = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "labels")
    assert ui.fixedSegmentSelector.isHidden()


# ------------------------------------------------------------------------------------------------- running


def test_a_run_goes_from_two_nodes_to_transform_warped_image_and_inverse(widget, process, pair, spin) -> None:
    parameters = widget._parameterNode
    parameters.makeInverse = True
    run_to_the_process(widget, process, spin)
    assert widget.ui.registerButton.text == "Cancel"
    assert not widget.ui.progressBar.isHidden()
    process.say({"progress": 0.5, "stage": "Refining the deformation", "seconds_left": 3.0})
    assert 40 < widget.ui.progressBar.value < 60
    assert "Refining the deformation" in widget.ui.statusLabel.text and "3 s left" in widget.ui.statusLabel.text
    process.give_result((3.0, 0.0, 0.0))
    process.end(0)
    spin(lambda: not widget.panel.running)
    assert widget.ui.registerButton.text == "Register" and widget.ui.progressBar.isHidden()
    moved = parameters.outputTransform.GetTransformFromParent().TransformPoint(-10.0, -10.0, 10.0)
    assert np.allclose(moved, (-13.0, -10.0, 10.0), atol=1e-3)
    assert parameters.outputWarped.GetImageData().GetDimensions() == SIZE
    assert parameters.outputInverse is not None
    assert widget.ui.transformSelector.currentNode() is parameters.outputTransform


def test_what_the_panel_says_is_what_the_process_is_asked(widget, process, pair, spin) -> None:
    from DeepRegSlicer.parameters import Prealignment, Quality, Similarity

    parameters = widget._parameterNode
    parameters.quality, parameters.method = Quality.ACCURATE, "lucas-kanade"
    parameters.prealignment, parameters.similarity = Prealignment.NONE, Similarity.STRUCTURE
    parameters.refine, parameters.fieldSpacing, parameters.makeWarped = False, 4.0, False
    parameters.fixedLandmarks, parameters.movingLandmarks = add_points("f", 4), add_points("m", 4)
    run_to_the_process(widget, process, spin)
    job = process.job
    assert job.options.quality == "accurate" and job.options.method == "lucas-kanade"
    assert job.options.prealignment == "none" and job.options.similarity == "structure"
    assert job.options.refine is False and job.options.field_spacing_mm == 4.0
    assert job.options.wants_warped is False
    assert np.allclose(job.fixed_landmarks.points[0], (5.0, 6.0, 7.0))
    assert job.fixed.geometry.spacing == (2.0, 2.0, 2.5)
    widget.panel.cancel()
    spin(lambda: not widget.panel.running)


def test_cancel_ends_the_run_and_changes_nothing(widget, process, pair, spin) -> None:
    import slicer

    nodes = slicer.mrmlScene.GetNumberOfNodes()
    run_to_the_process(widget, process, spin)
    widget.ui.registerButton.click()
    spin(lambda: not widget.panel.running)
    assert {"cancel": True} in process.sent
    assert "Cancelled" in widget.ui.statusLabel.text
    assert slicer.mrmlScene.GetNumberOfNodes() == nodes
    assert widget.ui.registerButton.text == "Register" and widget.ui.registerButton.enabled


def test_a_process_that_hangs_is_killed_on_cancel(widget, pair, spin) -> None:
    deaf = FakeProcess(heeds_cancel=False)
    widget.panel.new_process = lambda: deaf
    run_to_the_process(widget, deaf, spin)
    widget.ui.registerButton.click()
    spin(lambda: not widget.panel.running, 2.0)
    assert deaf.kills >= 1


def test_cancel_before_the_process_has_started_works_too(widget, process, pair, spin) -> None:
    widget.ui.registerButton.click()
    widget.ui.registerButton.click()
    spin(lambda: not widget.panel.running)
    assert not process.running


def test_an_error_of_the_registration_is_told_with_its_hint(widget, process, pair, spin) -> None:
    run_to_the_process(widget, process, spin)
    process.fail(NoOverlap("The two images show too little of the same anatomy.", "Give masks of the organ."))
    process.end(1)
    spin(lambda: not widget.panel.running)
    assert "too little of the same anatomy" in widget.ui.statusLabel.text
    assert "Give masks" in widget.ui.statusLabel.text
    assert widget.ui.registerButton.enabled


def test_a_crash_is_one_sentence_with_details_on_request(widget, process, pair, spin, monkeypatch) -> None:
    import slicer

    run_to_the_process(widget, process, spin)
    process.log("Segmentation fault in libsomething\n")
    process.crash(11)
    spin(lambda: not widget.panel.running)
    assert widget.ui.statusLabel.text and "Traceback" not in widget.ui.statusLabel.text
    assert not widget.ui.detailsButton.isHidden()
    shown = []
    monkeypatch.setattr(slicer.util, "infoDisplay", lambda *args, **kwargs: shown.append((args, kwargs)))
    widget.ui.detailsButton.click()
    assert "libsomething" in str(shown)


def test_a_killed_process_is_recognised_as_a_lack_of_memory(widget, process, pair, spin) -> None:
    run_to_the_process(widget, process, spin)
    process.crash(9)
    spin(lambda: not widget.panel.running)
    assert "memory" in widget.ui.statusLabel.text


def test_a_second_run_overwrites_its_outputs_but_not_those_of_another_pair(widget, pair, spin) -> None:
    parameters = widget._parameterNode

    def run(shift_mm: tuple) -> None:
        fake = FakeProcess()
        widget.panel.new_process = lambda: fake
        finish(widget, fake, spin, shift_mm)

    run((3.0, 0.0, 0.0))
    first = parameters.outputTransform
    run((4.0, 0.0, 0.0))
    assert parameters.outputTransform is first
    warped = parameters.outputWarped
    parameters.movingVolume = add_image("another", 3)
    run((5.0, 0.0, 0.0))
    assert parameters.outputTransform is not first and parameters.outputWarped is not warped
    assert np.allclose(first.GetTransformFromParent().TransformPoint(0, 0, 0), (-4.0, 0, 0), atol=1e-3)


def test_outputs_that_are_not_ticked_are_left_out(widget, process, pair, spin) -> None:
    widget._parameterNode.makeTransform = False
    finish(widget, process, spin)
    assert widget._parameterNode.outputTransform is None
    assert widget._parameterNode.outputWarped is not None


def test_nothing_ticked_is_refused_before_the_work(widget, pair) -> None:
    parameters = widget._parameterNode
    parameters.makeTransform = parameters.makeWarped = parameters.makeInverse = False
    assert not widget.ui.registerButton.enabled
    assert "Tick at least one" in widget.ui.registerButton.toolTip


def test_landmarks_that_do_not_fit_never_keep_a_registration_from_running(widget, process, pair, spin) -> None:
    parameters = widget._parameterNode
    parameters.fixedLandmarks, parameters.movingLandmarks = add_points("f", 3), add_points("m", 4)
    assert widget.ui.registerButton.enabled
    finish(widget, process, spin)
    assert parameters.outputTransform is not None
    assert "partner" in widget.ui.statusLabel.text


def test_moving_landmarks_are_hidden_over_the_warped_image_and_back_before_it(widget, process, pair, spin) -> None:
    parameters = widget._parameterNode
    parameters.fixedLandmarks, parameters.movingLandmarks = add_points("f", 4), add_points("m", 4)
    parameters.movingLandmarks.CreateDefaultDisplayNodes()
    finish(widget, process, spin)
    assert not parameters.movingLandmarks.GetDisplayVisibility()
    parameters.showBefore = True
    assert parameters.movingLandmarks.GetDisplayVisibility()
    parameters.showBefore = False
    assert not parameters.movingLandmarks.GetDisplayVisibility()
    points = parameters.movingLandmarks
    parameters.movingLandmarks = None
    assert points.GetDisplayVisibility()
