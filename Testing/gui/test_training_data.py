"""Scans, motion and network in the training panel: what was found in each scan, and what is chosen."""

from __future__ import annotations

import os

import numpy as np
import pytest
import SimpleITK as sitk
import slicer
import vtk
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.images.volume import Volume
from training_preview_case import SCAN_FOUND, write_phantoms

TILT = np.deg2rad(20.0)


@pytest.fixture
def bench(preview_bench):
    return preview_bench


@pytest.fixture
def checking(bench, folder):
    bench.choose_folder(folder)
    bench.ui.checkButton.click()
    bench.spin(lambda: bench.processes)
    return bench


def answer(bench, *scans, warnings=()) -> None:
    """What the check of these scans says."""
    bench.process.say({"check": {"folder": "", "scans": [{**SCAN_FOUND, **scan} for scan in scans], "warnings": []}})


def finished(bench, *scans) -> None:
    answer(bench, *scans)
    bench.process.end(0)
    table = bench.ui.scanTable
    bench.spin(lambda: not bench.data.busy and table.rowCount == len(scans) and table.item(len(scans) - 1, 2))


def add_volume(bench, name: str, array: np.ndarray | None = None):
    from DeepRegSlicer import nodes

    grid = Geometry((30, 26, 24), (2.0, 2.5, 3.0), (-20.0, 10.0, 40.0))
    if array is None:
        array = np.random.default_rng(1).integers(-1000, 1000, grid.shape).astype(np.int16)
    return nodes.add_volume(bench.scene, Volume(array, grid), name)


# A folder.


def test_the_scans_of_a_folder_are_counted_at_once(bench, folder):
    bench.choose_folder(folder)
    assert bench.said == "Scans: 2, not checked yet." and bench.ui.scanTable.isHidden()
    assert bench.parameters.dataFolder == str(folder)


def test_a_folder_without_scans_is_told(bench, tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    bench.choose_folder(tmp_path)
    assert "no scans in this folder" in bench.said
    bench.choose_folder(tmp_path / "gone")
    bench.spin(lambda: "no scans in this folder" in bench.said)


def test_a_folder_of_a_scene_is_shown(bench, folder):
    bench.parameters.dataFolder = str(folder)
    assert bench.ui.dataPath.currentPath == str(folder)
    bench.spin(lambda: "Scans: 2" in bench.said)


def test_the_panel_finds_the_scans_that_training_takes(tmp_path):
    from DeepRegSlicer.steps import finish
    from DeepRegSlicer.training.scan_folder import SCAN_ENDINGS, look_into_in_steps
    from DeepRegTrainLib.pairs import scans_in, sources

    for name in ("b/c.NII.GZ", "a.mha", "b.nrrd", "b-1.nii", "d.mhd", "d.raw", "e.nii.txt", ".hidden.nii"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    (tmp_path / "folder.nii").mkdir()
    (tmp_path / "linked.nii").symlink_to(tmp_path / "a.mha")
    (tmp_path / "circle").symlink_to(tmp_path)
    found = finish(look_into_in_steps(tmp_path))
    assert list(found.files) == [file.relative_to(tmp_path).as_posix() for file in scans_in(tmp_path)]
    assert SCAN_ENDINGS == sources.SCAN_ENDINGS


# The check.


def test_the_check_runs_in_a_process_of_its_own_and_tells_how_far_it_is(checking, folder):
    words = checking.process.arguments
    assert words[1:5] == ["-m", "DeepRegTrainLib.preview", "--check", str(folder)]
    assert checking.ui.checkButton.text == "Cancel"
    checking.process.say({"progress": 0.25, "stage": "Looking at ann.nii.gz"})
    assert checking.said == "Looking at ann.nii.gz... (25 %)"


def test_each_scan_gets_a_row_with_its_verdict(checking):
    bad = {"file": "bob.nii.gz", "use": "", "size": [], "spacing_mm": [], "region": "", "patient": "bob"}
    finished(checking, {"warnings": ["The lungs are cut."]}, {**bad, "problems": ["'bob.nii.gz' cannot be read."]})
    rows = checking.cells(checking.ui.scanTable)
    assert rows[0][1:] == [
        "ann.nii.gz\n512×512×300\n0.703×0.703×1.25 mm\nLungs 5.1 l, patient ann",
        "For training\nThe lungs are cut.",
    ]
    assert rows[1][1:] == ["bob.nii.gz\npatient bob", "Cannot be read."]
    assert checking.ui.scanTable.item(1, 2).font().bold() and not checking.ui.scanTable.item(0, 2).font().bold()
    assert checking.said == "1 of 2 scans can be used. For training: 1 (patients: 1). For validation: 0 (patients: 0)."
    assert checking.ui.checkButton.text == "Check the scans" and not checking.ui.scanTable.isHidden()


def test_a_scan_for_validation_and_one_without_lungs_say_so(checking):
    finished(checking, {"use": "validate"}, {"file": "bob.nii.gz", "region": "body"})
    rows = checking.cells(checking.ui.scanTable)
    assert rows[0][2] == "For validation" and "No lungs (body)" in rows[1][1]


def test_when_no_scan_can_be_used_each_still_has_its_sentence(checking):
    finished(checking, {"use": "", "problems": ["All its voxels have one value."]})
    assert checking.said == "None of the 1 scans can be used."
    assert checking.cells(checking.ui.scanTable)[0][2] == "All its voxels have one value."


def test_small_pictures_appear_as_they_are_drawn(checking, tmp_path):
    import qt

    picture = tmp_path / "0.png"
    pixels = qt.QImage(8, 8, qt.QImage.Format_RGB32)
    pixels.fill(qt.QColor(200, 10, 10))
    pixels.save(str(picture))
    answer(checking, {}, {"file": "bob.nii.gz"})
    checking.process.say({"thumbnail": str(picture), "file": "bob.nii.gz"})
    checking.process.end(0)
    checking.spin(lambda: not checking.data.busy and checking.ui.scanTable.item(1, 2) is not None)
    shown = checking.ui.scanTable.item(1, 0).icon().pixmap(8, 8).toImage()
    assert shown.pixelColor(4, 4).red() == 200
    assert checking.ui.scanTable.item(0, 0) is None


def test_a_second_click_cancels_the_check(checking):
    checking.ui.checkButton.click()
    assert checking.process.kills == 1 and checking.said == "The check was cancelled."
    assert checking.ui.checkButton.text == "Check the scans" and not checking.data.busy


def test_what_was_found_is_kept_while_nothing_changes(checking, folder, tmp_path):
    finished(checking, {}, {"file": "bob.nii.gz"})
    verdict = checking.said
    (tmp_path / "other").mkdir()
    checking.choose_folder(tmp_path / "other")
    checking.spin(lambda: "no scans" in checking.said)
    assert checking.ui.scanTable.isHidden()
    checking.ui.dataPath.currentPath = str(folder)
    checking.spin(lambda: checking.said == verdict and checking.ui.scanTable.rowCount == 2)
    assert len(checking.processes) == 1 and not checking.ui.scanTable.isHidden()
    os.utime(folder / "ann.nii.gz", (1, 1))
    checking.data.enter()
    checking.spin(lambda: checking.said == "Scans: 2, not checked yet.")
    assert checking.ui.scanTable.isHidden()


def test_another_folder_ends_the_check(checking, tmp_path):
    (tmp_path / "other").mkdir()
    checking.ui.dataPath.currentPath = str(tmp_path / "other")
    assert checking.process.kills == 1
    checking.spin(lambda: "no scans" in checking.said)


def test_a_check_that_fails_is_told(checking):
    from DeepRegLib.errors import BadInput

    checking.process.fail(BadInput("There is no folder 'x'.", "Choose another one."))
    checking.process.end(2)
    assert checking.said == "There is no folder 'x'. Choose another one."
    checking.ui.checkButton.click()
    checking.spin(lambda: len(checking.processes) == 2)
    checking.process.crash(9)
    assert checking.said and not checking.data.busy


def test_a_check_without_a_folder_says_what_to_choose(bench):
    bench.ui.checkButton.click()
    bench.spin(lambda: bench.said.startswith("Choose a folder"))
    assert bench.processes == []


def test_the_real_check_finds_the_phantoms(bench, tmp_path):
    bench.use_real_processes()
    write_phantoms(tmp_path / "scans", "ann", "bob", "eve")
    (tmp_path / "scans" / "notes.nii.gz").write_text("no image")
    bench.choose_folder(tmp_path / "scans")
    bench.ui.checkButton.click()
    bench.spin(lambda: bench.said.startswith("3 of 4"), 60.0)
    assert bench.said.endswith("For training: 2 (patients: 2). For validation: 1 (patients: 1).")
    table = bench.ui.scanTable
    assert [table.item(row, 0) is not None for row in range(4)] == [True, True, True, False]
    assert table.item(0, 0).icon().availableSizes()


# Volumes of the scene.


def check_volumes(bench, *nodes) -> None:
    for node in nodes:
        bench.ui.volumesSelector.check(node)
    bench.ui.checkButton.click()


def test_volumes_are_written_as_they_lie_in_the_world(bench, tmp_path):
    bench.parameters.outputFolder = str(tmp_path / "runs")
    node = add_volume(bench, "4: Thorax / inhale")
    parent = bench.scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "table")
    matrix = vtk.vtkMatrix4x4()
    for (row, column), value in {
        (0, 0): np.cos(TILT),
        (0, 1): -np.sin(TILT),
        (1, 0): np.sin(TILT),
        (1, 1): np.cos(TILT),
        (2, 3): 70.0,
    }.items():
        matrix.SetElement(row, column, value)
    parent.SetMatrixTransformToParent(matrix)
    node.SetAndObserveTransformNodeID(parent.GetID())
    check_volumes(bench, node)
    bench.spin(lambda: bench.processes)
    written = sitk.ReadImage(str(tmp_path / "runs/scans of the scene/4_Thorax_inhale.mha"))
    array = slicer.util.arrayFromVolume(node)
    assert np.array_equal(sitk.GetArrayFromImage(written), array)
    for voxel in ((0, 0, 0), (29, 3, 20)):
        local, world = vtk.vtkMatrix4x4(), np.zeros(4)
        node.GetIJKToRASMatrix(local)
        local.MultiplyPoint([*voxel, 1], world)
        matrix.MultiplyPoint(world.copy(), world)
        place = np.array(written.TransformIndexToPhysicalPoint(voxel)) * [-1, -1, 1]
        assert np.allclose(place, world[:3], atol=1e-6)
    assert bench.parameters.dataFolder == str(tmp_path / "runs/scans of the scene")
    assert bench.process.arguments[4] == bench.parameters.dataFolder


def test_the_volumes_are_not_written_twice_unless_they_change(bench, tmp_path):
    bench.parameters.outputFolder = str(tmp_path)
    node = add_volume(bench, "CT")
    check_volumes(bench, node)
    bench.spin(lambda: bench.processes)
    finished(bench, {})
    bench.ui.checkButton.click()
    bench.spin(lambda: len(bench.processes) == 2)
    finished(bench, {})
    assert [path.name for path in tmp_path.iterdir()] == ["scans of the scene"]
    slicer.util.arrayFromVolume(node)[0, 0, 0] = 7
    slicer.util.arrayFromVolumeModified(node)
    bench.ui.checkButton.click()
    bench.spin(lambda: len(bench.processes) == 3)
    assert bench.process.arguments[4] == str(tmp_path / "scans of the scene 2")


@pytest.mark.parametrize("kind", [np.uint8, np.int32, np.uint16, np.float64])
def test_voxels_of_any_type_are_written_without_loss(bench, tmp_path, kind):
    from DeepRegSlicer.steps import finish
    from DeepRegSlicer.training.scene_scans import write_scans_in_steps

    array = np.random.default_rng(0).integers(0, 200, (24, 26, 30)).astype(kind)
    node = add_volume(bench, "CT", array)
    folder = finish(write_scans_in_steps([node], tmp_path))
    assert np.array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "CT.mha"))), array)


def test_without_an_output_folder_it_is_asked_for(bench):
    check_volumes(bench, add_volume(bench, "CT"))
    bench.spin(lambda: bench.said.startswith("Choose the output folder first"))
    assert bench.processes == [] and bench.ui.checkButton.text == "Check the scans"


def test_what_is_no_scan_is_refused_before_anything_is_written(bench, tmp_path):
    bench.parameters.outputFolder = str(tmp_path)
    empty = bench.scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty")
    check_volumes(bench, add_volume(bench, "CT"), empty)
    bench.spin(lambda: "'empty' has no voxels" in bench.said)
    assert list(tmp_path.iterdir()) == []


def test_an_output_folder_that_cannot_be_written_to_is_told(bench, tmp_path):
    (tmp_path / "file").write_text("x")
    bench.parameters.outputFolder = str(tmp_path / "file")
    check_volumes(bench, add_volume(bench, "CT"))
    bench.spin(lambda: not bench.data.busy and "file" in bench.said)
    assert bench.processes == []


def test_cancelled_writing_leaves_nothing_behind(bench, tmp_path):
    from DeepRegSlicer.training.scene_scans import write_scans_in_steps

    steps = write_scans_in_steps([add_volume(bench, "CT"), add_volume(bench, "CT")], tmp_path)
    next(steps)
    next(steps)
    assert list(tmp_path.iterdir())
    steps.close()
    assert list(tmp_path.iterdir()) == []


def test_what_was_chosen_last_counts(bench, folder):
    node = add_volume(bench, "CT")
    bench.ui.volumesSelector.check(node)
    assert bench.said.startswith("Volumes chosen: 1.")
    bench.choose_folder(folder)
    assert bench.ui.volumesSelector.noneChecked()
    bench.spin(lambda: bench.said == "Scans: 2, not checked yet.")


# What to train.


def test_words_of_the_library_are_offered_with_words_for_people(bench):
    from DeepRegTrainLib.commands.training import NETWORKS, PRESETS, SUPERVISIONS

    ui = bench.ui
    for selector, words in (
        (ui.presetSelector, PRESETS),
        (ui.networkSelector, NETWORKS),
        (ui.supervisionSelector, SUPERVISIONS),
    ):
        titles = [selector.itemText(k) for k in range(selector.count)]
        assert len(titles) == len(words) and not set(titles) & set(words), "give it a title in choices.py"
    assert ui.presetSelector.currentText == "Breathing" and "sliding" in ui.presetDescriptionLabel.text
    assert "million weights" in ui.networkDescriptionLabel.text


def test_what_is_said_of_networks_and_presets_is_true():
    from DeepRegSlicer.training.choices import NETWORK_OF_PRESET, networks
    from DeepRegTrainLib.settings import NETWORK_OF_PRESET as OF_PRESET
    from DeepRegTrainLib.settings import recipe
    from DeepRegTrainLib.trainable.build import build_trainable

    assert NETWORK_OF_PRESET == OF_PRESET
    for choice in networks():
        weights = sum(p.numel() for p in build_trainable(recipe(choice.word)).network.parameters())
        assert f"{weights / 1e6:.1f} million weights" in choice.description


def test_choosing_by_hand_writes_the_words(bench):
    from DeepRegTrainLib.commands.training import NETWORKS, SUPERVISIONS

    bench.ui.supervisionSelector.activated.emit(SUPERVISIONS.index("weakly"))
    bench.ui.networkSelector.activated.emit(NETWORKS.index("unet"))
    bench.ui.outputPath.currentPath = "/runs"
    p = bench.parameters
    assert (p.supervision, p.network, p.outputFolder) == ("weakly", "unet", "/runs")
    assert bench.ui.networkSelector.currentText == "U-Net"


def test_the_network_follows_the_motion_unless_it_was_chosen(bench):
    from DeepRegTrainLib.commands.training import PRESETS

    bench.ui.presetSelector.activated.emit(PRESETS.index("eppenhof2018"))
    assert (bench.parameters.preset, bench.parameters.network) == ("eppenhof2018", "vgg_grid")
    bench.parameters.network = "unet"
    bench.ui.presetSelector.activated.emit(PRESETS.index("breathing"))
    assert (bench.parameters.preset, bench.parameters.network) == ("breathing", "unet")


@pytest.mark.parametrize("name", ["preset", "supervision", "network"])
def test_words_of_another_version_are_told_and_kept(bench, name):
    setattr(bench.parameters, name, "tides")
    assert getattr(bench.ui, f"{name}Selector").currentIndex == -1
    assert "'tides' is of another version" in getattr(bench.ui, f"{name}DescriptionLabel").text
    assert getattr(bench.parameters, name) == "tides"


def test_the_sections_fit_into_a_narrow_panel(bench, host):
    host.app.setStyle("Fusion")
    bench.parameters.dataFolder = "/a/folder/with/a/very/long/name/that/somebody/has/chosen/for/all/of/the/scans"
    for name in ("runsSection", "modelsSection"):
        getattr(bench.ui, name).visible = False
    bench.ui.previewSection.collapsed = False
    bench.widget.show()
    host.process_events()
    assert bench.widget.minimumSizeHint().width() + 16 <= 400
