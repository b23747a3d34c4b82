"""The panel's landmarks on the stand-in host: what is shown, when it is measured again, what a click does."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import vtk
from DeepRegLib.evidence.landmarks import Landmarks, write_landmarks
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.images.volume import Volume
from DeepRegLib.transforms.displacement_field import DisplacementField

UI_FILE = Path(__file__).resolve().parents[2] / "DeepReg" / "Resources" / "UI" / "DeepReg.ui"
GRID = Geometry((40, 36, 30), (2.0, 2.0, 3.0), (-40.0, -36.0, -45.0))
COUNT = 30
SHIFT = np.array([0.0, 4.0, 6.0])
"""From fixed to moving points: 4 mm to the back, 6 mm up."""


class Case:
    """A pair with landmarks in the scene, and the section with the panel's own widgets."""

    def __init__(self, scene) -> None:
        import slicer
        from DeepRegSlicer import nodes
        from DeepRegSlicer.panel.landmarks_section import LandmarksSection
        from DeepRegSlicer.parameters import DeepRegParameters

        rng = np.random.default_rng(3)
        image = Volume(np.zeros(GRID.shape, np.int16), GRID)
        self.fixed_points = GRID.to_physical(rng.uniform(3, np.array(GRID.size) - 4, (COUNT, 3)))
        self.moving_points = self.fixed_points + SHIFT + rng.normal(0, 0.3, (COUNT, 3))
        self.moving_points[17] += [0.0, 0.0, 9.0]
        labels = tuple(f"L{k}" for k in range(COUNT))
        self.scene = scene
        self.fixed = nodes.add_landmarks(scene, Landmarks(self.fixed_points, labels), "fixed points", (1, 0, 0))
        self.moving = nodes.add_landmarks(scene, Landmarks(self.moving_points, labels), "moving points", (0, 1, 0))
        self.volumes = [nodes.add_volume(scene, image, name) for name in ("fixed", "moving")]
        self.widget = slicer.util.loadUI(str(UI_FILE))
        self.ui = slicer.util.childWidgetVariables(self.widget)
        self.node = scene.AddNewNodeByClass("vtkMRMLScriptedModuleNode", "parameters")
        self.parameters = DeepRegParameters(self.node)
        self.section = LandmarksSection(self.ui, scene)
        self.section.connect()

    def add_transform(self):
        """T is the shift: errors of some 0.5 mm remain, and one of 9 mm."""
        from DeepRegSlicer import nodes

        vectors = np.zeros((*GRID.shape, 3), np.float32) + SHIFT.astype(np.float32)
        return nodes.add_transform(self.scene, DisplacementField(vectors, GRID), "result")

    def choose(self, **others) -> None:
        chosen = {"fixedLandmarks": self.fixed, "movingLandmarks": self.moving}
        chosen |= {"fixedVolume": self.volumes[0], "movingVolume": self.volumes[1]}
        for name, value in (chosen | others).items():
            setattr(self.parameters, name, value)
        self.section.update(self.parameters)

    def settle(self, spin: Callable[..., None]) -> None:
        """Wait until everything that changed is measured and shown."""
        spin(lambda: not self.section._waiting and self.section._measuring is None)

    @property
    def table(self) -> list[list[str]]:
        table = self.ui.landmarkTable
        items = [[table.item(r, c) for c in range(table.columnCount)] for r in range(table.rowCount)]
        return [[item.text() if item else "" for item in row] for row in items]

    @property
    def titles(self) -> list[str]:
        table = self.ui.landmarkTable
        return [table.horizontalHeaderItem(c).text() for c in range(table.columnCount)]

    @property
    def text(self) -> str:
        return self.ui.landmarkSummaryLabel.text


@pytest.fixture
def case(scene):
    case = Case(scene)
    yield case
    case.section.disconnect()
    case.widget.deleteLater()


@pytest.fixture
def measured(case, spin):
    case.choose(outputTransform=case.add_transform())
    case.settle(spin)
    return case


def residuals(case) -> np.ndarray:
    return case.fixed_points + SHIFT - case.moving_points


def arrow_models(case) -> int:
    kind = "vtkMRMLModelNode"
    names = [case.scene.GetNthNodeByClass(k, kind).GetName() for k in range(case.scene.GetNumberOfNodesByClass(kind))]
    return sum(name.startswith("landmark errors") for name in names)


def test_before_a_registration_only_distances_are_shown(case, spin):
    case.choose()
    case.settle(spin)
    assert case.titles == ["Label", "Before", "R", "A", "S"]
    distances = np.linalg.norm(case.fixed_points - case.moving_points, axis=1)
    assert case.table[0][:2] == ["L17", f"{distances[17]:.2f}"]
    assert f"{distances.mean():.2f} ({distances.std(ddof=1):.2f})" in case.text
    assert case.ui.histogramButton.enabled and not case.ui.beforeAfterButton.enabled


def test_a_result_fills_the_table_with_the_largest_error_first(measured):
    after = np.linalg.norm(residuals(measured), axis=1)
    assert measured.titles == ["Label", "Before", "After", "R", "A", "S", "Snapped"]
    assert [row[0] for row in measured.table] == [f"L{k}" for k in np.argsort(-after)]
    seen = np.array([[float(text) for text in row[2:6]] for row in measured.table])
    expected = np.column_stack([after, residuals(measured) * [-1, -1, 1]])[np.argsort(-after)]
    assert np.abs(seen - expected).max() < 0.011
    assert f"{after.max():.2f}" in measured.text and f"{np.median(after):.2f}" in measured.text
    assert measured.ui.landmarkTable.item(0, 0).font().bold()  # the outlier ...
    assert not measured.ui.landmarkTable.item(COUNT - 1, 0).font().bold()  # ... and nothing else


def test_without_landmarks_the_panel_says_what_to_do(case):
    case.choose(movingLandmarks=None)
    assert case.text.startswith("Choose fixed and moving landmarks")
    buttons = (case.ui.histogramButton, case.ui.beforeAfterButton, case.ui.saveLandmarksButton)
    assert not any(button.enabled for button in buttons)


def test_lists_that_do_not_fit_are_told_in_a_sentence(measured, spin):
    measured.moving.SetFixedNumberOfControlPoints(False)
    measured.moving.RemoveNthControlPoint(5)
    measured.settle(spin)
    assert "each needs a partner" in measured.text
    assert "L5" in measured.text
    assert measured.table == []
    assert not measured.ui.saveLandmarksButton.enabled


def test_a_point_that_is_moved_is_measured_again(measured, spin):
    place = measured.moving_points[4] * [-1, -1, 1] + [0.0, 0.0, 20.0]
    measured.moving.SetNthControlPointPosition(4, *place)
    measured.settle(spin)
    assert measured.table[0][0] == "L4"
    assert abs(float(measured.table[0][2]) - 20.0) < 1.5


def test_many_changes_at_once_are_measured_once(measured, spin, monkeypatch):
    from DeepRegSlicer.panel import landmarks_section

    calls = []
    original = landmarks_section.landmark_errors_in_steps
    monkeypatch.setattr(
        landmarks_section, "landmark_errors_in_steps", lambda *nodes: calls.append(nodes) or original(*nodes)
    )
    for k in range(25):
        measured.moving.SetNthControlPointPosition(k, 0.0, 0.0, float(k))
    measured.settle(spin)
    assert len(calls) == 1


def test_another_field_in_the_transform_is_measured(measured, spin):
    from DeepRegSlicer import nodes

    other = nodes.add_transform(measured.scene, DisplacementField.zero(GRID), "other")
    measured.parameters.outputTransform.SetAndObserveTransformFromParent(other.GetTransformFromParent())
    measured.settle(spin)
    assert measured.table[0][2] == measured.table[0][1]
    assert float(measured.table[-1][2]) > 5  # nothing is moved any more


def test_a_parent_of_the_fixed_list_counts(measured, spin):
    parent = measured.scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "parent")
    measured.fixed.SetAndObserveTransformNodeID(parent.GetID())
    matrix = vtk.vtkMatrix4x4()
    matrix.SetElement(0, 3, 50.0)
    parent.SetMatrixTransformToParent(matrix)
    measured.settle(spin)
    assert float(measured.table[-1][2]) > 40


def test_the_moving_list_may_hang_under_the_result(measured, spin):
    before = measured.table
    measured.moving.SetAndObserveTransformNodeID(measured.parameters.outputTransform.GetID())
    assert measured.section._waiting
    measured.settle(spin)
    assert measured.table == before


def test_an_empty_output_node_measures_nothing(case, spin):
    case.choose(outputTransform=case.scene.AddNewNodeByClass("vtkMRMLGridTransformNode", "to be filled"))
    case.settle(spin)
    assert len(case.table) == COUNT
    assert "After" not in case.titles


def test_the_result_of_another_pair_measures_nothing(case, spin):
    from DeepRegSlicer import nodes

    transform = case.add_transform()
    other = nodes.add_volume(case.scene, Volume(np.zeros(GRID.shape, np.int16), GRID), "somebody else")
    nodes.record_images(transform, case.volumes[0], other)
    case.choose(outputTransform=transform)
    case.settle(spin)
    assert len(case.table) == COUNT
    assert "After" not in case.titles


def test_a_click_jumps_to_the_fixed_landmark_in_all_views(measured):
    import slicer

    for name in ("Red", "Green"):
        if measured.scene.GetNodeByID(f"vtkMRMLSliceNode{name}") is None:
            view = slicer.vtkMRMLSliceNode()
            view.SetSingletonTag(name)
            view.SetLayoutName(name)
            measured.scene.AddNode(view)
    measured.ui.landmarkTable.cellClicked.emit(0, 0)
    place = measured.fixed_points[17] * [-1, -1, 1]
    crosshair = measured.scene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
    assert np.allclose(crosshair.GetCrosshairRAS(), place)
    assert crosshair.GetCrosshairMode() == crosshair.ShowBasic
    for k in range(measured.scene.GetNumberOfNodesByClass("vtkMRMLSliceNode")):
        to_ras = measured.scene.GetNthNodeByClass(k, "vtkMRMLSliceNode").GetSliceToRAS()
        normal = np.array([to_ras.GetElement(r, 2) for r in range(3)])
        origin = np.array([to_ras.GetElement(r, 3) for r in range(3)])
        assert abs((place - origin) @ normal) < 1e-6


def test_filling_the_table_does_not_move_the_views(measured, spin):
    crosshair = measured.scene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
    crosshair.SetCrosshairRAS(1.0, 2.0, 3.0)
    measured.moving.SetNthControlPointPosition(4, 0.0, 0.0, 200.0)
    measured.settle(spin)
    assert measured.table[0][0] == "L4"
    assert crosshair.GetCrosshairRAS() == (1.0, 2.0, 3.0)


def test_the_clicked_landmark_stays_selected_when_the_order_changes(measured, spin):
    measured.ui.landmarkTable.cellClicked.emit(0, 0)  # L17
    measured.moving.SetNthControlPointPosition(4, 0.0, 0.0, 200.0)
    measured.settle(spin)
    assert measured.table[0][0] == "L4"
    assert measured.ui.landmarkTable.selectedItems()[0].text() == "L17"


def test_arrows_come_and_go_with_their_switch(measured):
    measured.choose(showErrorVectors=True)
    assert arrow_models(measured) > 0
    measured.choose(showErrorVectors=False)
    assert arrow_models(measured) == 0


def test_the_histogram_is_shown_in_the_plot_view(measured, monkeypatch):
    import slicer

    shown = []
    monkeypatch.setattr(slicer.modules.plots, "_logic", SimpleNamespace(ShowChartInLayout=shown.append))
    measured.ui.histogramButton.click()
    (chart,) = shown
    assert (chart.GetXAxisTitle(), chart.GetYAxisTitle()) == ("error (mm)", "number of landmarks")
    names = [chart.GetNthPlotSeriesNode(k).GetName() for k in range(chart.GetNumberOfPlotSeriesNodes())]
    assert names == ["before", "after"]
    table = chart.GetNthPlotSeriesNode(1).GetTableNode().GetTable()
    heights = [table.GetValue(k, 1).ToDouble() for k in range(table.GetNumberOfRows())]
    assert sum(heights) / 2 == COUNT  # every bar has two corners
    measured.ui.histogramButton.click()
    assert shown[1] is chart  # nothing piles up


def test_the_before_after_plot_holds_every_landmark_and_follows_changes(measured, spin):
    measured.ui.beforeAfterButton.click()
    (chart,) = [
        node
        for node in (
            measured.scene.GetNthNodeByClass(k, "vtkMRMLPlotChartNode")
            for k in range(measured.scene.GetNumberOfNodesByClass("vtkMRMLPlotChartNode"))
        )
        if "before and after" in node.GetTitle()
    ]
    series = chart.GetNthPlotSeriesNode(1)
    table = series.GetTableNode()
    assert table.GetNumberOfRows() == COUNT
    after = np.linalg.norm(residuals(measured), axis=1)
    assert abs(table.GetTable().GetValue(17, 1).ToDouble() - after[17]) < 1e-3
    measured.moving.SetNthControlPointPosition(17, 0.0, 0.0, 200.0)
    measured.settle(spin)
    assert table.GetTable().GetValue(17, 1).ToDouble() > 100
    assert chart.GetYAxisRange()[1] > 100


def test_the_table_node_of_the_scene_is_kept_up_to_date(measured, spin):
    def tables():
        found = [
            measured.scene.GetNthNodeByClass(k, "vtkMRMLTableNode")
            for k in range(measured.scene.GetNumberOfNodesByClass("vtkMRMLTableNode"))
        ]
        return [node for node in found if node.GetName() == "landmark errors"]

    (node,) = tables()
    measured.moving.SetNthControlPointPosition(4, 0.0, 0.0, 200.0)
    measured.settle(spin)
    assert float(node.GetCellText(4, 2)) > 100
    assert tables() == [node]


def test_the_table_is_saved_as_csv(measured, tmp_path: Path, monkeypatch):
    import qt

    target = tmp_path / "Fehler"
    monkeypatch.setattr(qt.QFileDialog, "getSaveFileName", lambda *_args: str(target))
    measured.ui.saveLandmarksButton.click()
    rows = list(csv.DictReader(target.with_suffix(".csv").open(encoding="utf-8")))
    assert len(rows) == COUNT
    assert rows[0]["landmark"] == "L17"


def test_landmarks_are_loaded_from_a_file_and_chosen(case, spin, tmp_path: Path, monkeypatch):
    import qt

    case.choose(fixedLandmarks=None)
    path = write_landmarks(tmp_path / "points.mrk.json", Landmarks(case.fixed_points))
    monkeypatch.setattr(qt.QFileDialog, "getOpenFileName", lambda *_args: str(path))
    case.ui.fixedLandmarksLoadButton.click()
    loaded = case.parameters.fixedLandmarks
    assert loaded.GetNumberOfControlPoints() == COUNT
    assert loaded.GetLocked()
    assert loaded.GetDisplayNode().GetSelectedColor()[0] > 0.9 > 0.2 > loaded.GetDisplayNode().GetSelectedColor()[1]
    assert np.allclose(loaded.GetNthControlPointPosition(3), case.fixed_points[3] * [-1, -1, 1])


def test_a_file_that_cannot_be_read_is_told(case, tmp_path: Path, monkeypatch):
    import qt
    import slicer

    told = []
    monkeypatch.setattr(slicer.util, "errorDisplay", told.append)
    (tmp_path / "points.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    monkeypatch.setattr(qt.QFileDialog, "getOpenFileName", lambda *_args: str(tmp_path / "points.csv"))
    case.choose()
    case.ui.movingLandmarksLoadButton.click()
    assert "points.csv" in told[0] and "columns" in told[0]
    assert case.parameters.movingLandmarks is case.moving


def test_a_deleted_list_empties_the_section(measured, spin):
    measured.scene.RemoveNode(measured.moving)
    spin(lambda: not measured.table)
    assert measured.text.startswith("Choose fixed and moving landmarks")


def test_closing_the_scene_leaves_nothing_behind(measured, spin):
    measured.choose(showErrorVectors=True)
    measured.section.update(None)
    measured.scene.Clear(0)
    assert measured.table == []
    assert arrow_models(measured) == 0
    assert measured.section.Observations == []


def test_no_step_of_three_hundred_landmarks_holds_the_interface(case, spin):
    from DeepRegSlicer import nodes

    rng = np.random.default_rng(0)
    points = GRID.to_physical(rng.uniform(3, np.array(GRID.size) - 4, (300, 3)))
    lists = [nodes.add_landmarks(case.scene, Landmarks(points + k), f"many {k}", (1, 0, 0)) for k in (0, 1)]
    transform = case.add_transform()
    case.choose(fixedLandmarks=lists[0], movingLandmarks=lists[1], outputTransform=transform, showErrorVectors=True)
    steps = case.section._measure_in_steps(*lists, transform, case.volumes[1])
    seconds, ended = [], False
    while not ended:
        start = time.thread_time()  # of this thread alone: other work may share the processor
        ended = next(steps, "end") == "end"
        seconds.append(time.thread_time() - start)
    assert len(case.table) == 300 and case.table[-1][-1] != ""
    assert max(seconds) < 0.1
