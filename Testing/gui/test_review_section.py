"""The section *Review* of the panel: what each button does to the views, and that the views come back as they were."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

pytest.importorskip("slicer", reason="needs the MRML library: pip install slicer-core")

import slicer
from DeepRegLib.images.volume import Volume
from DeepRegSlicer import nodes
from review_bench import FOUR_UP, GRID, Bench, bend

BUTTONS = (
    "comparisonSelector",
    "fadeSlider",
    "beforeButton",
    "gridButton",
    "glyphButton",
    "contourButton",
    "threeDCheckBox",
    "overlaySelector",
    "foldingButton",
    "linkedCrosshairCheckBox",
)


@pytest.fixture
def bench(host, scene, spin) -> Iterator[Bench]:
    bench = Bench(host, scene, spin)
    yield bench
    bench.close()


def node_names(scene) -> list[str]:
    """What is in the scene, but for what belongs to the application."""
    nodes_of_scene = (scene.GetNthNode(i) for i in range(scene.GetNumberOfNodes()))
    return sorted(f"{n.GetClassName()} {n.GetName()}" for n in nodes_of_scene)


def test_nothing_can_be_pressed_until_there_is_a_result(bench):
    assert not any(getattr(bench.ui, name).enabled for name in BUTTONS)
    bench.add_result()
    assert all(getattr(bench.ui, name).enabled for name in BUTTONS)
    bench.parameters.outputTransform = None
    assert not any(getattr(bench.ui, name).enabled for name in BUTTONS)


def test_the_views_stay_as_they_are_until_the_section_is_unfolded(bench):
    before = bench.layers()
    bench.add_result()
    bench.wait()
    assert bench.layers() == before


def test_fixed_and_moved_image_are_faded_by_the_slider(bench):
    bench.add_result()
    bench.open()
    background, foreground, opacity = bench.layers("Green")
    assert background == bench.fixed.GetID()
    assert slicer.mrmlScene.GetNodeByID(foreground).GetName() == "moving"
    assert foreground != bench.moving.GetID()  # the original is not put under the transform for a look
    assert opacity == 0.5
    bench.ui.fadeSlider.value = 0.2
    assert bench.layers("Green")[2] == pytest.approx(0.2)


def test_before_registration_the_moving_image_itself_is_shown(bench):
    bench.add_result()
    bench.open()
    bench.ui.beforeButton.checked = True
    bench.wait()
    assert bench.layers()[1] == bench.moving.GetID()


def test_a_moving_image_under_the_transform_is_shown_without_it_as_before(bench):
    transform = bench.add_result()
    bench.moving.SetAndObserveTransformNodeID(transform.GetID())
    bench.open()
    assert bench.layers()[1] == bench.moving.GetID()
    bench.ui.beforeButton.checked = True
    bench.wait()
    shown = bench.scene.GetNodeByID(bench.layers()[1])
    assert shown is not bench.moving
    assert shown.GetParentTransformNode() is None
    assert shown.GetImageData() is bench.moving.GetImageData()  # no copy of the voxels


@pytest.mark.parametrize("word", ["checkerboard", "difference"])
def test_checkerboard_and_difference_are_images_of_their_own(bench, word):
    bench.add_result()
    bench.open()
    choose(bench.ui.comparisonSelector, bench, word)
    shown = bench.scene.GetNodeByID(bench.layers()[1])
    assert shown.GetName() == word
    assert shown.GetHideFromEditors() and not shown.GetSaveWithScene()
    assert bench.layers()[2] == 1.0
    choose(bench.ui.comparisonSelector, bench, "fade")
    assert bench.role("fixed and moving image compared") is None


def choose(selector, bench, word: str) -> None:
    texts = [selector.itemText(index).lower() for index in range(selector.count)]
    selector.currentIndex = next(index for index, text in enumerate(texts) if text.startswith(word))
    bench.wait()


def test_flicker_changes_between_the_images_and_rests_in_another_module(bench, spin):
    bench.add_result()
    bench.open()
    choose(bench.ui.comparisonSelector, bench, "flicker")
    seen = set()

    def both_seen() -> bool:
        seen.add(bench.layers()[2])
        return seen == {0.0, 1.0}

    spin(both_seen, 3.0)
    bench.section.leave()
    assert not bench.section._flicker.active
    bench.section.enter()
    assert bench.section._flicker.active
    choose(bench.ui.comparisonSelector, bench, "fade")
    assert not bench.section._flicker.active
    assert bench.layers()[2] == 0.5


def test_grid_arrows_and_contours_go_on_and_off_each_by_itself(bench):
    transform = bench.add_result()
    bench.open()
    bench.ui.gridButton.checked = True
    assert bench.visible_ways() == {"grid"}
    bench.ui.contourButton.checked = True
    assert bench.visible_ways() == {"grid", "contours"}
    bench.ui.gridButton.checked = False
    bench.ui.glyphButton.checked = True
    bench.ui.threeDCheckBox.checked = True
    assert bench.visible_ways() == {"arrows", "contours", "arrows 3-D", "contours 3-D"}
    assert transform.GetNumberOfDisplayNodes() == 0  # the user's own node is left alone


def test_an_overlay_gets_its_layer_and_its_legend(bench):
    bench.add_result()
    bench.open()
    choose(bench.ui.overlaySelector, bench, "displacement")
    assert bench.overlay() == bench.role("displacement in colours").GetID()
    legend = bench.scene.GetFirstNodeByClass("vtkMRMLColorLegendDisplayNode")
    assert legend.GetTitleText().startswith("Displacement (mm)")
    choose(bench.ui.overlaySelector, bench, "volume")
    assert bench.overlay() == bench.role("volume change in colours").GetID()
    choose(bench.ui.overlaySelector, bench, "none")
    assert bench.overlay() is None
    assert bench.scene.GetFirstNodeByClass("vtkMRMLColorLegendDisplayNode") is None


def test_folding_is_counted_and_marked(bench):
    bench.add_result()
    bench.open()
    assert bench.ui.foldingValueLabel.text == "None"
    bench.add_result(fold=True)
    bench.wait()
    assert "voxels (" in bench.ui.foldingValueLabel.text
    mark = bench.role("folding")
    assert not mark.GetDisplayNode().GetVisibility()
    bench.ui.foldingButton.checked = True
    assert mark.GetDisplayNode().GetVisibility()


def test_each_segment_of_the_region_gets_a_row(bench):
    segmentation = bench.scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "organs")
    segmentation.CreateDefaultDisplayNodes()
    for name, start in (("liver", 4), ("spleen", 16)):
        mask = np.zeros(GRID.shape, np.uint8)
        mask[6:14, 6:14, start : start + 8] = 1
        label = nodes.add_volume(bench.scene, Volume(mask, GRID), name)
        image = slicer.vtkOrientedImageData()
        image.ShallowCopy(label.GetImageData())
        image.SetImageToWorldMatrix(nodes.vtk_matrix(nodes.ijk_to_ras(GRID)))
        segmentation.AddSegmentFromBinaryLabelmapRepresentation(image, name, (1.0, 0.0, 0.0))
        bench.scene.RemoveNode(label)
    bench.parameters.fixedRegion = segmentation
    bench.add_result()
    bench.open()
    table = bench.ui.segmentTable
    assert table.visible or not bench.widget.visible
    assert [table.item(row, 0).text() for row in range(table.rowCount)] == ["liver", "spleen"]
    titles = [table.horizontalHeaderItem(column).text().split("\n")[0] for column in range(table.columnCount)]
    jacobian = table.item(0, titles.index("Jacobian")).text()
    assert float(jacobian) == pytest.approx(1.0, abs=0.01)  # the bend is a shear
    assert bench.ui.foldingValueLabel.text == "None in the region"
    bench.parameters.fixedRegion = None
    bench.wait()
    assert table.rowCount == 0


def test_the_linked_crosshair_shows_where_the_point_is_in_the_moving_image(bench):
    bench.add_result()
    bench.open()
    layout = bench.scene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    bench.ui.linkedCrosshairCheckBox.checked = True
    assert layout.GetViewArrangement() != FOUR_UP
    moving_view = bench.scene.GetSingletonNode("DeepRegAxial", "vtkMRMLSliceCompositeNode")
    assert moving_view.GetBackgroundVolumeID() == bench.moving.GetID()
    here = GRID.to_physical([12.0, 9.0, 8.0])
    crosshair = bench.scene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
    crosshair.SetCrosshairRAS(*nodes.to_ras(here))
    there = np.array(bench.role("cursor in the moving image").GetNthControlPointPositionWorld(0))
    assert np.abs(nodes.to_ras(there) - bend().map_points(here)).max() < 1e-3
    sagittal = bench.scene.GetSingletonNode("DeepRegSagittal", "vtkMRMLSliceNode")
    assert abs(sagittal.GetSliceOffset()) == pytest.approx(abs(there[0]), abs=1e-3)
    crosshair.SetCrosshairMode(crosshair.ShowBasic)  # as a click on a landmark does
    assert crosshair.GetCrosshairMode() == crosshair.NoCrosshair  # it would stand in the wrong place in the second row
    bench.ui.linkedCrosshairCheckBox.checked = False
    assert crosshair.GetCrosshairMode() == crosshair.ShowBasic
    assert layout.GetViewArrangement() == FOUR_UP
    assert bench.role("cursor in the moving image") is None


def test_folded_up_everything_is_as_it_was(bench):
    bench.view().SetBackgroundVolumeID(bench.moving.GetID())
    bench.view().SetForegroundOpacity(0.3)
    bench.moving.GetDisplayNode().SetAutoWindowLevel(False)
    bench.moving.GetDisplayNode().SetWindowLevel(700.0, 100.0)
    bench.add_result()
    layers, names = bench.layers(), node_names(bench.scene)
    bench.open()
    for name in ("gridButton", "glyphButton", "contourButton", "foldingButton", "beforeButton"):
        getattr(bench.ui, name).checked = True
    choose(bench.ui.overlaySelector, bench, "volume")
    assert bench.moving.GetDisplayNode().GetWindow() != 700.0  # one grey scale for both while they are compared
    choose(bench.ui.comparisonSelector, bench, "difference")
    bench.ui.reviewSection.collapsed = True
    assert bench.layers() == layers
    assert bench.overlay() is None
    assert bench.moving.GetDisplayNode().GetWindow() == 700.0
    assert node_names(bench.scene) == names


def test_a_view_that_the_user_changed_meanwhile_keeps_the_change(bench):
    bench.add_result()
    bench.open()
    bench.view("Yellow").SetForegroundVolumeID(bench.moving.GetID())
    bench.ui.reviewSection.collapsed = True
    assert bench.layers("Yellow")[1] == bench.moving.GetID()


def test_a_new_result_in_the_same_node_is_measured_anew(bench):
    transform = bench.add_result()
    bench.open()
    assert bench.ui.foldingValueLabel.text == "None"
    other = nodes.add_transform(bench.scene, bend(fold=True), "other")
    transform.SetAndObserveTransformFromParent(other.GetTransformFromParent())
    bench.section.show_result(None)
    bench.wait()
    assert bench.ui.foldingValueLabel.text != "None"


def test_updates_that_change_nothing_measure_nothing(bench):
    bench.add_result()
    bench.open()
    displacement = bench.role("displacement in colours")
    voxels = displacement.GetImageData()
    bench.moving.SetAndObserveTransformNodeID(bench.parameters.outputTransform.GetID())  # makes VTK invert it
    bench.moving.GetRASBounds([0.0] * 6)
    bench.section.update(bench.parameters)
    bench.wait()
    assert bench.role("displacement in colours").GetImageData() is voxels


def test_a_closed_scene_is_forgotten(bench, scene):
    bench.add_result()
    bench.open()
    bench.ui.linkedCrosshairCheckBox.checked = True
    choose(bench.ui.comparisonSelector, bench, "flicker")
    observer = scene.AddObserver(scene.StartCloseEvent, lambda *_args: bench.section.clear())
    scene.Clear(False)
    scene.RemoveObserver(observer)
    bench.section.update(None)
    assert not bench.section.review.is_on
    assert not bench.section._flicker.active
    assert not any(getattr(bench.ui, name).enabled for name in BUTTONS)


def test_without_parameters_the_views_get_back_what_they_had(bench, scene):
    layers = bench.layers()
    bench.add_result()
    names = node_names(scene)
    bench.open()
    assert bench.layers() != layers
    bench.section.clear()  # as when the module is reloaded
    assert bench.layers() == layers
    assert node_names(scene) == names


def test_a_removed_result_ends_the_review(bench, scene):
    transform = bench.add_result()
    bench.open()
    bench.ui.gridButton.checked = True
    scene.RemoveNode(transform)
    bench.section.update(bench.parameters)
    bench.wait()
    assert not bench.section.review.is_on
    assert bench.visible_ways() == set()


def test_a_reopened_scene_shows_the_same(bench, scene, tmp_path):
    bench.add_result(fold=True)
    bench.open()
    bench.ui.gridButton.checked = True
    choose(bench.ui.overlaySelector, bench, "displacement")
    choose(bench.ui.comparisonSelector, bench, "checkerboard")
    numbers = bench.ui.foldingValueLabel.text
    path = str(tmp_path / "review.mrb")
    slicer.util.saveScene(path)
    bench.section.clear()
    scene.Clear(False)
    slicer.util.loadScene(path)
    from DeepRegSlicer.parameters import DeepRegParameters

    again = DeepRegParameters(scene.GetSingletonNode("DeepRegReviewTest", "vtkMRMLScriptedModuleNode"))
    bench.section.update(again)
    bench.wait()
    assert bench.ui.foldingValueLabel.text == numbers
    assert bench.visible_ways() == {"grid"}
    assert bench.overlay() == bench.role("displacement in colours").GetID()
    assert scene.GetNodeByID(bench.layers()[1]).GetName() == "checkerboard"
    assert len([name for name in node_names(scene) if "checkerboard" in name]) == 1  # the first one was not saved
