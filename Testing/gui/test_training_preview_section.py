"""Preview of training pairs in the panel: asked for, shown, told, and drawn from ranges that can be changed."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
from training_preview_case import GRID, SHIFT_MM, ZOOM, write_pair, write_phantoms

FROM = 2
"""Column of the ranges."""


@pytest.fixture
def bench(preview_bench):
    return preview_bench


@pytest.fixture
def drawn(opened):
    opened.ui.drawButton.click()
    opened.give_pair()
    return opened


def view(bench, name="Red"):
    return bench.scene.GetSingletonNode(name, "vtkMRMLSliceCompositeNode")


def test_nothing_is_started_before_the_section_is_unfolded(bench, folder):
    bench.choose_folder(folder)
    assert bench.processes == []
    assert not bench.ui.drawButton.enabled
    bench.ui.previewSection.collapsed = False
    bench.spin(lambda: bench.ui.drawButton.enabled)
    assert bench.process.arguments[-3:] == ["-m", "DeepRegTrainLib.preview", "--serve"]
    assert "DeepRegTrain" in bench.process.environment["PYTHONPATH"]


def test_the_scans_of_the_folder_are_offered(opened):
    assert [opened.ui.previewScanSelector.itemText(k) for k in range(2)] == ["ann.nii.gz", "bob/2020.mha"]
    assert opened.ui.previewScanSelector.count == 2


def test_a_pair_is_asked_for_as_training_will_draw_it(opened, folder):
    from DeepRegSlicer.training.parameters import Size

    opened.parameters.size = Size.VOXELS_96
    opened.ui.previewScanSelector.currentIndex = 1
    opened.ui.drawButton.click()
    asked = opened.asked_for()
    assert {name: value for name, value in asked.items() if name != "output"} == {
        "data": str(folder / "bob/2020.mha"),
        "preset": "breathing",
        "network": "correspondence",
        "size": 96,
        "index": 0,
        "ranges": None,
    }


def test_what_is_asked_before_the_process_listens_is_not_lost(bench, folder):
    bench.choose_folder(folder)
    bench.ui.previewSection.collapsed = False
    bench.spin(lambda: bench.ui.drawButton.enabled)
    bench.ui.drawButton.click()
    assert bench.process.sent == []
    bench.process.say({"ready": True})
    assert [next(iter(message)) for message in bench.process.sent] == ["presets", "draw"]


def test_both_images_and_the_motion_become_nodes_in_the_views(drawn):
    import slicer
    import vtk
    from DeepRegSlicer.nodes import to_ras

    fixed, moving, motion = (drawn.node(role) for role in ("fixed image", "moving image", "motion"))
    centre = to_ras(GRID.to_physical([10, 9, 8]))
    ijk = np.zeros(4)
    matrix = vtk.vtkMatrix4x4()
    fixed.GetRASToIJKMatrix(matrix)
    matrix.MultiplyPoint([*centre, 1], ijk)
    assert np.allclose(ijk[:3], [10, 9, 8])
    assert slicer.util.arrayFromVolume(fixed)[8, 9, 10] == 0 and slicer.util.arrayFromVolume(fixed)[0, 0, 0] == -900
    assert np.allclose(motion.GetTransformFromParent().TransformPoint(centre), centre + to_ras(SHIFT_MM))
    for name in ("Red", "Green", "Yellow"):
        layers = view(drawn, name)
        assert (layers.GetBackgroundVolumeID(), layers.GetForegroundVolumeID()) == (fixed.GetID(), moving.GetID())
        assert layers.GetForegroundOpacity() == 0.5
    assert motion.GetDisplayNode().GetVisibility() and motion.GetDisplayNode().GetVisibility2D()


def test_the_numbers_are_told_in_words(drawn):
    words = drawn.ui.previewLabel.text
    for part in ("5.0 mm", "8.2 mm", "11.0 mm", "Nothing folds", "0.50", "1.75", "87 %", "Pair 1", "20×18×16", "3×3×3"):
        assert part in words
    assert drawn.ui.previewLabel.visible or not drawn.widget.visible


def test_a_little_folding_is_told_too(opened):
    opened.ui.drawButton.click()
    from pathlib import Path

    output = Path(opened.asked_for()["output"])
    write_pair(output)
    record = json.loads((output / "pair.json").read_text())
    record["statistics"]["folding_percent"] = 0.0004
    (output / "pair.json").write_text(json.dumps(record))
    opened.process.say({"pair": str(output)})
    opened.spin(lambda: not opened.preview.drawing)
    assert "< 0.01 % folds" in opened.ui.previewLabel.text


def test_next_draws_another_one_into_the_same_nodes(drawn):
    before = [drawn.node(role).GetID() for role in ("fixed image", "moving image", "motion")]
    count = drawn.scene.GetNumberOfNodes()
    drawn.ui.nextDrawButton.click()
    assert drawn.asked_for()["index"] == 1
    assert not drawn.ui.nextDrawButton.enabled and drawn.ui.drawButton.text == "Cancel"
    drawn.give_pair(brightness=300.0)
    import slicer

    assert slicer.util.arrayFromVolume(drawn.node("fixed image"))[8, 9, 10] == 300
    assert [drawn.node(role).GetID() for role in ("fixed image", "moving image", "motion")] == before
    assert drawn.scene.GetNumberOfNodes() == count
    assert "Pair 2" in drawn.ui.previewLabel.text


def test_drawing_again_draws_the_same_number(drawn):
    drawn.ui.nextDrawButton.click()
    drawn.give_pair()
    drawn.ui.drawButton.click()
    assert drawn.asked_for()["index"] == 1


def test_files_of_a_pair_are_removed_when_it_is_shown(drawn):
    from pathlib import Path

    assert not Path(drawn.asked_for()["output"]).exists()


def test_preview_nodes_are_hidden_and_not_saved(drawn):
    nodes = [drawn.node(role) for role in ("fixed image", "moving image", "motion")]
    for node in [*nodes, *(node.GetDisplayNode() for node in nodes)]:
        assert node.GetHideFromEditors() and not node.GetSaveWithScene()


def test_fading_and_the_grid_follow_their_widgets(drawn):
    drawn.ui.previewFadeSlider.value = 100
    assert view(drawn).GetForegroundOpacity() == 1.0
    drawn.ui.previewGridCheckBox.checked = False
    assert not drawn.node("motion").GetDisplayNode().GetVisibility()


def test_the_views_are_given_back_when_the_section_is_folded_up(opened):
    import slicer

    other = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "of the user")
    view(opened).SetBackgroundVolumeID(other.GetID())
    opened.ui.drawButton.click()
    opened.give_pair()
    assert view(opened).GetBackgroundVolumeID() == opened.node("fixed image").GetID()
    process = opened.process
    opened.ui.previewSection.collapsed = True
    assert view(opened).GetBackgroundVolumeID() == other.GetID() and view(opened).GetForegroundVolumeID() is None
    assert not opened.node("motion").GetDisplayNode().GetVisibility()
    assert process.kills == 1
    opened.ui.previewSection.collapsed = False
    assert view(opened).GetBackgroundVolumeID() == opened.node("fixed image").GetID()


def test_another_module_gets_the_views_and_the_memory(drawn):
    process = drawn.process
    drawn.preview.leave()
    assert not process.running and view(drawn).GetForegroundVolumeID() is None
    drawn.preview.enter()
    assert view(drawn).GetBackgroundVolumeID() == drawn.node("fixed image").GetID()
    drawn.ui.drawButton.click()
    assert drawn.process is not process and drawn.process.running


def test_a_second_click_cancels(opened):
    process = opened.process
    opened.ui.drawButton.click()
    opened.ui.drawButton.click()
    assert process.kills == 1 and opened.ui.drawButton.text == "Draw a pair"
    assert opened.ui.previewLabel.text == "Cancelled."
    opened.ui.drawButton.click()
    assert opened.process is not process


def test_what_goes_wrong_is_told_and_the_next_pair_can_be_drawn(opened):
    from DeepRegLib.errors import BadInput

    opened.ui.drawButton.click()
    opened.process.fail(BadInput("There is no scan 'ann'.", "Choose another one."))
    assert opened.ui.previewLabel.text == "There is no scan 'ann'. Choose another one."
    opened.ui.drawButton.click()
    opened.give_pair()
    assert "Pair 1" in opened.ui.previewLabel.text


def test_a_crash_is_told_and_the_next_pair_gets_another_process(opened):
    opened.ui.drawButton.click()
    process = opened.process
    process.log("CUDA out of memory")
    process.crash(9)
    assert "memory" in opened.ui.previewLabel.text
    opened.ui.drawButton.click()
    assert opened.process is not process


def test_a_pair_that_is_damaged_is_told(opened):
    from pathlib import Path

    opened.ui.drawButton.click()
    output = Path(opened.asked_for()["output"])
    write_pair(output)
    (output / "moving.npy").write_bytes(b"half")
    opened.process.say({"pair": str(output)})
    opened.spin(lambda: not opened.preview.drawing)
    assert "moving.npy" in opened.ui.previewLabel.text
    assert opened.node("fixed image") is None


def test_packages_that_are_missing_are_told_and_nothing_is_started(bench, folder, monkeypatch):
    from DeepRegLib.errors import InstallationProblem
    from DeepRegSlicer.installation import TORCH
    from DeepRegSlicer.training import preview_section

    def refuse(ask, button):
        raise InstallationProblem(f"PyTorch was not installed by '{button}'.")

    monkeypatch.setattr(preview_section, "missing_packages", lambda: [TORCH])
    monkeypatch.setattr(preview_section, "install_missing", refuse)
    bench.choose_folder(folder)
    bench.ui.previewSection.collapsed = False
    assert "PyTorch" in bench.ui.previewLabel.text
    bench.spin(lambda: bench.ui.drawButton.enabled)
    bench.ui.drawButton.click()
    assert bench.ui.previewLabel.text == "PyTorch was not installed by 'Draw a pair'." and bench.processes == []


def test_closing_the_scene_leaves_the_section_ready_for_the_next(drawn):
    drawn.ui.nextDrawButton.click()
    for section in drawn.sections:
        section.close_scene()
    drawn.scene.Clear(0)
    assert drawn.ui.previewLabel.text == "" and not drawn.preview.drawing


def test_no_step_of_showing_a_pair_holds_the_interface(bench, tmp_path):
    import slicer
    from DeepRegLib.images.volume import Volume
    from DeepRegLib.transforms.displacement_field import DisplacementField
    from DeepRegSlicer.training.pair_folder import PreviewPair
    from DeepRegSlicer.training.preview_display import PreviewDisplay

    grid = type(GRID)((128, 128, 128), (2.5,) * 3)
    rng = np.random.default_rng(0)
    image = Volume(rng.normal(0, 100, grid.shape).astype(np.float32), grid)
    field = DisplacementField(rng.normal(0, 5, (*grid.shape, 3)).astype(np.float32), grid)
    display = PreviewDisplay(bench.scene, slicer.app.applicationLogic())
    steps = display.fill_in_steps(PreviewPair(image, image, field, {}, 100.0, {}))
    seconds, ended = [], False
    while not ended:
        start = time.thread_time()  # of this thread alone: other work may share the processor
        ended = next(steps, "end") == "end"
        seconds.append(time.thread_time() - start)
    start = time.thread_time()
    display.show(0.5, True)
    seconds.append(time.thread_time() - start)
    assert max(seconds) < 0.1
    display.remove()


def test_the_real_process_draws_a_pair_and_the_next_one_soon(bench, tmp_path):
    bench.use_real_processes()
    folder = write_phantoms(tmp_path / "scans", "ann")
    bench.choose_folder(folder)
    from DeepRegSlicer.training.parameters import Size

    bench.parameters.size = Size.VOXELS_32
    bench.ui.previewSection.collapsed = False
    bench.spin(lambda: bench.ui.drawButton.enabled and bench.ui.rangeTable.rowCount > 30, 60.0)
    bench.set_cell(ZOOM + 1, FROM, "1")
    bench.ui.drawButton.click()
    bench.spin(lambda: not bench.preview.drawing, 60.0)
    assert "32×32×32 voxels of 3×3×3 mm" in bench.ui.previewLabel.text, bench.ui.previewLabel.text
    start = time.monotonic()
    bench.ui.nextDrawButton.click()
    bench.spin(lambda: not bench.preview.drawing, 60.0)
    assert "Pair 2" in bench.ui.previewLabel.text
    assert time.monotonic() - start < 5  # below one second on an idle machine
